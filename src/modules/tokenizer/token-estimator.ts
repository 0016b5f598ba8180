import { Worker } from 'node:worker_threads';
import type { TokenEstimate } from '../metering/estimate.js';

export interface EstimateRequest {
  /** The request body, inflated, or its head. */
  readonly request: Buffer;
  /** How long the whole body was; the head's count is scaled to it. */
  readonly requestBytes: number;
  /** The head of the answer. */
  readonly answer: Buffer;
  /** How long the whole answer was; the head's count is scaled to it. */
  readonly answerBytes: number;
}

/** Why there is no estimate; a closed set, for a metric's label. */
export type GivenUpReason =
  'queue_full' | 'waited_too_long' | 'took_too_long' | 'failed' | 'closed';

/** What the estimator needs of a worker thread. */
export type EstimateWorker = Pick<Worker, 'on' | 'postMessage' | 'terminate'>;

/** Estimates that wait for the worker at the most, by number and by what they hold; a further one is given up. */
export const QUEUED_MAX = 1_000;
export const QUEUED_BYTES_MAX = 32 * 1024 * 1024;
/** An estimate that waited longer is given up without being made: those behind it still have time. */
export const WAIT_MS_MAX = 10_000;
/** A job that takes longer ends its worker, which is the one way to stop it. */
export const JOB_MS_MAX = 5_000;
/** What is still queued or counted so long after the close is given up. */
export const CLOSE_MS_MAX = 5_000;
/** A longer request, or answer, is counted by its head and scaled. */
const REQUEST_BYTES_MAX = 256 * 1024;
const ANSWER_BYTES_MAX = 64 * 1024;

interface Job {
  readonly request: Uint8Array<ArrayBuffer>;
  readonly requestBytes: number;
  readonly answer: Uint8Array<ArrayBuffer>;
  readonly answerBytes: number;
  readonly queuedAt: number;
  readonly resolve: (estimate: TokenEstimate | null) => void;
}

interface Running {
  readonly job: Job;
  readonly timer: NodeJS.Timeout;
}

/**
 * Counts tokens with tiktoken in a worker thread, started at the first need: the tokenizer takes 0.1 s and 100 MB
 * to load, and a long text takes longer than an event loop may be held. One job is with the worker at a time and the
 * others wait here, where they can be given up: what the worker has been sent cannot be taken back. Jobs have copies
 * of the bytes that are counted, and keep no body in memory.
 */
export class TokenEstimator {
  private worker: EstimateWorker | null = null;
  private readonly queue: Job[] = [];
  private queuedBytes = 0;
  private running: Running | null = null;
  private closed = false;
  private onIdle: (() => void) | null = null;

  constructor(
    /** Told of each estimate that was not made. */
    private readonly onGivenUp: (reason: GivenUpReason) => void = () => {},
    private readonly startWorker: () => EstimateWorker = startTokenWorker,
  ) {}

  /** Null where no estimate can be made in time. Never rejects. */
  estimate(request: EstimateRequest): Promise<TokenEstimate | null> {
    return new Promise((resolve) => {
      const refusal = this.refusal(request);
      if (refusal !== null) return this.giveUp(resolve, refusal);
      try {
        const job = jobOf(request, resolve);
        this.queue.push(job);
        this.queuedBytes += sizeOf(job);
      } catch {
        return this.giveUp(resolve, 'failed');
      }
      this.next();
    });
  }

  /** Lets what is queued or being counted come to its end, within a limit. Later estimates are given up at once. */
  async close(): Promise<void> {
    this.closed = true;
    if (this.running !== null) await this.idle();
    for (const job of this.queue.splice(0)) this.giveUp(job.resolve, 'closed');
    this.queuedBytes = 0;
    this.abandon('closed');
    await this.stopWorker();
  }

  private refusal({ request, answer }: EstimateRequest): GivenUpReason | null {
    if (this.closed) return 'closed';
    const bytes =
      Math.min(request.length, REQUEST_BYTES_MAX) + Math.min(answer.length, ANSWER_BYTES_MAX);
    const isFull = this.queue.length >= QUEUED_MAX || this.queuedBytes + bytes > QUEUED_BYTES_MAX;
    return isFull ? 'queue_full' : null;
  }

  private idle(): Promise<void> {
    return new Promise((resolve) => {
      // Holds the process, which the worker and its jobs do not.
      const timer = setTimeout(resolve, CLOSE_MS_MAX);
      this.onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Sends the next job that is still worth making. */
  private next(): void {
    while (this.running === null && this.queue.length > 0) {
      const job = this.queue.shift()!;
      this.queuedBytes -= sizeOf(job);
      if (performance.now() - job.queuedAt > WAIT_MS_MAX) {
        this.giveUp(job.resolve, 'waited_too_long');
      } else this.send(job);
    }
    if (this.running === null) this.onIdle?.();
  }

  private send(job: Job): void {
    const timer = setTimeout(() => this.tookTooLong(), JOB_MS_MAX).unref();
    this.running = { job, timer };
    try {
      this.worker ??= this.listening(this.startWorker());
      const { request, requestBytes, answer, answerBytes } = job;
      const message = { request, requestBytes, answer, answerBytes };
      this.worker.postMessage(message, [request.buffer, answer.buffer]);
    } catch {
      this.abandon('failed');
    }
  }

  private listening(worker: EstimateWorker): EstimateWorker {
    worker.on('message', (estimate: TokenEstimate | null) => {
      if (this.worker !== worker) return;
      if (estimate === null) this.abandon('failed');
      else this.finish()?.resolve(estimate);
      this.next();
    });
    worker.on('error', () => this.lost(worker));
    worker.on('exit', () => this.lost(worker));
    return worker;
  }

  private lost(worker: EstimateWorker): void {
    if (this.worker !== worker) return;
    this.worker = null;
    this.abandon('failed');
    this.next();
  }

  private tookTooLong(): void {
    void this.stopWorker();
    this.abandon('took_too_long');
    this.next();
  }

  private async stopWorker(): Promise<void> {
    const { worker } = this;
    this.worker = null;
    try {
      await worker?.terminate();
    } catch {
      // It has ended in another way, which is all that was wanted.
    }
  }

  /** Takes the running job, so that it is answered once. */
  private finish(): Job | null {
    const { running } = this;
    if (running === null) return null;
    clearTimeout(running.timer);
    this.running = null;
    return running.job;
  }

  private abandon(reason: GivenUpReason): void {
    const job = this.finish();
    if (job !== null) this.giveUp(job.resolve, reason);
  }

  private giveUp(resolve: Job['resolve'], reason: GivenUpReason): void {
    resolve(null);
    this.onGivenUp(reason);
  }
}

function jobOf(
  { request, requestBytes, answer, answerBytes }: EstimateRequest,
  resolve: Job['resolve'],
): Job {
  return {
    request: copyOfHead(request, REQUEST_BYTES_MAX),
    requestBytes,
    answer: copyOfHead(answer, ANSWER_BYTES_MAX),
    answerBytes,
    queuedAt: performance.now(),
    resolve,
  };
}

/**
 * Exactly these bytes, in memory of their own that can change hands: a view would take the whole body along, and
 * copy it on the main thread.
 */
function copyOfHead(bytes: Buffer, bytesMax: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes.subarray(0, bytesMax));
}

function sizeOf(job: Job): number {
  return job.request.length + job.answer.length;
}

function startTokenWorker(): EstimateWorker {
  // Sources run as they are in tests; the built product has JavaScript beside this file.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`./token-worker.${extension}`, import.meta.url));
  worker.unref();
  return worker;
}
