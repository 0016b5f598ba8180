import { setTimeout as pause } from 'node:timers/promises';
import { getQueueToken } from '@nestjs/bullmq';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { Queue } from 'bullmq';
import type { Clock } from '../platform/clock.js';
import type { QueueServer } from '../platform/queue/queue-backend.js';
import { NestLogger } from '../platform/telemetry/nest-logger.js';
import { safeError, type Logger } from '../platform/telemetry/logger.js';
import type { Metrics } from '../platform/telemetry/metrics.js';
import { JOB_QUEUE, ensureSchedule } from './job-queue.js';
import { JobProcessor } from './job.processor.js';
import { JobRuns } from './job-runs.js';
import type { Job } from './job-table.js';
import { JobsModule } from './jobs.module.js';
import { LostConnection } from './lost-connection.js';

export interface JobRunnerContext {
  readonly server: QueueServer;
  readonly jobs: readonly Job[];
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

const READY_MS_MAX = 10_000;
const CLOSE_MS_MAX = 5_000;
const REOPEN_MS_MIN = 1_000;
const REOPEN_MS_MAX = 30_000;
/** One that was open for so long was not lost for the reason of the time before. */
const STEADY_MS = 60_000;
const CHECK_INTERVAL_MS = 5 * 60_000;
const COMPLAINT_INTERVAL_MS = 60_000;

/**
 * Keeps the queue and its worker open for as long as the process lives. Whatever goes wrong with their connections,
 * both are closed and opened anew, after a pause that grows: there is one way to recover, and it is always the same.
 */
export class JobRunner {
  readonly #runs: JobRuns;
  readonly #stopping = new AbortController();
  readonly #open;
  readonly #reopened;
  #kept: Promise<void> = Promise.resolve();
  #complainedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly context: JobRunnerContext) {
    const { jobs, metrics, logger } = context;
    this.#runs = new JobRuns(jobs, metrics, logger);
    this.#open = metrics.gauge('shunt_job_queue_open', 'Whether the queue of jobs is connected');
    this.#reopened = metrics.counter(
      'shunt_job_queue_reopened_total',
      'How often the queue of jobs was opened anew',
    );
  }

  /** Returns at once: what the queue's server does keeps nobody from starting. */
  start(): void {
    this.#kept = this.#keepOpen();
  }

  /** Runs that are under way are asked to end and not waited for: what they leave, the next run does. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#runs.stop();
    await this.#kept;
  }

  async #keepOpen(): Promise<void> {
    const { signal } = this.#stopping;
    let pauseMs = REOPEN_MS_MIN;
    while (!signal.aborted) {
      const openedAt = performance.now();
      await this.#openOnce(signal).catch((error: unknown) => this.#complain(error));
      if (signal.aborted) return;
      this.#reopened.inc();
      if (performance.now() - openedAt > STEADY_MS) pauseMs = REOPEN_MS_MIN;
      await pause(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, REOPEN_MS_MAX);
    }
  }

  /** Returns when the process stops; throws when the connection is lost, or never came. */
  async #openOnce(signal: AbortSignal): Promise<void> {
    const { server, jobs, clock, logger } = this.context;
    const lost = new LostConnection();
    const failing = lost.happened.then((error) => Promise.reject(error));
    failing.catch(() => undefined);
    const opened = await NestFactory.createApplicationContext(
      JobsModule.of(server, this.#runs, lost),
      { logger: new NestLogger(logger), abortOnError: false },
    );
    try {
      const queue = opened.get<Queue>(getQueueToken(JOB_QUEUE), { strict: false });
      const { worker } = opened.get(JobProcessor);
      const inTime = <T>(work: Promise<T>) => within(READY_MS_MAX, signal, [failing, work]);
      await inTime(Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]));
      while (!signal.aborted) {
        await inTime(ensureSchedule(queue, jobs, clock.nowMs()));
        this.#open.set(1);
        const nextCheck = pause(CHECK_INTERVAL_MS, undefined, { signal, ref: false });
        await Promise.race([failing, nextCheck.catch(() => undefined)]);
      }
    } finally {
      this.#open.set(0);
      await close(opened);
    }
  }

  #complain(error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    if (performance.now() - this.#complainedAt < COMPLAINT_INTERVAL_MS) return;
    this.#complainedAt = performance.now();
    const { logger } = this.context;
    logger.warn({ err: safeError(error) }, 'the queue of jobs is away; it is opened anew');
  }
}

/** Settles as the first of them does; rejects after the limit, or when it is no use any more. */
async function within<T>(
  limitMs: number,
  signal: AbortSignal,
  work: readonly [Promise<never>, Promise<T>],
): Promise<T> {
  // What loses the race has no other handler.
  for (const promise of work) promise.catch(() => undefined);
  const ended = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  const limit = new Promise<never>((_, reject) => {
    const late = (): void => reject(new Error(`no answer within ${limitMs} ms`));
    if (ended.aborted) late();
    ended.addEventListener('abort', late, { once: true });
  });
  return Promise.race([...work, limit]);
}

/** Connections to a server that is away may never end; after a while they are left to the process. */
async function close(opened: INestApplicationContext): Promise<void> {
  const { worker } = opened.get(JobProcessor);
  const closed = worker
    .close(true)
    .then(() => opened.close())
    .catch(() => undefined);
  const waiting = new AbortController();
  const limit = pause(CLOSE_MS_MAX, undefined, { signal: waiting.signal }).catch(() => undefined);
  await Promise.race([closed, limit]);
  waiting.abort();
}
