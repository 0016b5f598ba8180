import { safeError, type Logger } from '../platform/telemetry/logger.js';
import type { Metrics } from '../platform/telemetry/metrics.js';
import type { Job } from './job-table.js';

/** What the queue keeps of a failed run: a class of failure. A message or a stack may quote content. */
export class FailedRun extends Error {
  override readonly name = 'FailedRun';

  constructor(readonly failure: string) {
    super(failure);
    this.stack = failure;
  }
}

/** `skipped`: the run before it has not come to its end yet in this process. */
export type RunResult = 'done' | 'failed' | 'skipped';

const DURATION_BUCKETS_SECONDS = [0.01, 0.1, 1, 10, 60, 600, 3_600];

/** Runs jobs by their name: each within its time, each failure counted and told by its class alone. */
export class JobRuns {
  readonly #jobs: ReadonlyMap<string, Job>;
  readonly #running = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #runs;
  readonly #duration;
  readonly #lastSuccess;

  constructor(
    readonly jobs: readonly Job[],
    metrics: Metrics,
    private readonly logger: Logger,
  ) {
    this.#jobs = new Map(jobs.map((job) => [job.name, job]));
    this.#runs = metrics.counter(
      'shunt_job_runs_total',
      'Runs of scheduled jobs, each attempt counted',
      ['job', 'result'],
    );
    this.#duration = metrics.histogram(
      'shunt_job_duration_seconds',
      'How long runs of scheduled jobs took',
      DURATION_BUCKETS_SECONDS,
      ['job'],
    );
    this.#lastSuccess = metrics.gauge(
      'shunt_job_last_success_timestamp_seconds',
      'When a scheduled job last came to its end in this process',
      ['job'],
    );
  }

  /** Throws `FailedRun`. */
  async run(name: string): Promise<RunResult> {
    const job = this.#jobs.get(name);
    // Left in the queue by another version of the product.
    if (job === undefined) throw new FailedRun('unknown_job');
    if (this.#running.has(name)) {
      this.#runs.inc({ job: name, result: 'skipped' });
      return 'skipped';
    }
    const end = this.#duration.startTimer({ job: name });
    try {
      await this.#limited(job);
      this.#runs.inc({ job: name, result: 'done' });
      this.#lastSuccess.setToCurrentTime({ job: name });
      return 'done';
    } catch (error) {
      // The process ends: what is left undone, the next one does.
      if (this.#stopping.signal.aborted) throw new FailedRun('stopping');
      this.#runs.inc({ job: name, result: 'failed' });
      this.logger.error({ job: name, err: safeError(error) }, 'a run of a job failed');
      throw new FailedRun(failureOf(error));
    } finally {
      end();
    }
  }

  /** Asks what is running to end, and lets nothing wait for it. */
  stop(): void {
    this.#stopping.abort();
  }

  /** The work itself cannot be cancelled: until it has ended, the job's next runs are skipped. */
  async #limited(job: Job): Promise<void> {
    const ending = new AbortController();
    const late = setTimeout(() => ending.abort(new LateRun('time_limit')), job.limitMs).unref();
    const stop = (): void => ending.abort(new LateRun('stopping'));
    const { signal: stopping } = this.#stopping;
    stopping.addEventListener('abort', stop, { once: true });
    if (stopping.aborted) stop();
    this.#running.add(job.name);
    const work = (async () => job.run(ending.signal))();
    void work.catch(() => undefined).finally(() => this.#running.delete(job.name));
    try {
      await Promise.race([work, aborted(ending.signal)]);
    } finally {
      clearTimeout(late);
      stopping.removeEventListener('abort', stop);
    }
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => reject(signal.reason as Error);
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
  });
}

class LateRun extends Error {
  override readonly name = 'LateRun';

  constructor(readonly code: string) {
    super(code);
  }
}

/** An error's code, else its name: from a closed set, or of the form of an identifier. */
function failureOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  for (const said of [code, name]) {
    if (typeof said === 'string' && /^[A-Za-z0-9_]{1,60}$/.test(said)) return said;
  }
  return 'unknown';
}
