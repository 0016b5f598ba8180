import { Worker } from 'node:worker_threads';
import type { TokenEstimate } from '../metering/estimate.js';

export interface EstimateRequest {
  /** The request body, inflated. */
  readonly request: Buffer;
  /** The head of the answer. */
  readonly answer: Buffer;
  /** How long the whole answer was; the head's count is scaled to it. */
  readonly answerBytes: number;
}

/** Estimates that wait for the worker at the most; a further one is given up at once. */
const PENDING_MAX = 64;
const ESTIMATE_MS_MAX = 5_000;
/** A longer request is counted by its head and scaled. */
const REQUEST_BYTES_MAX = 1024 * 1024;

interface Pending {
  readonly resolve: (estimate: TokenEstimate | null) => void;
  readonly timer: NodeJS.Timeout;
}

interface Answered {
  readonly id: number;
  readonly estimate: TokenEstimate | null;
}

/**
 * Counts tokens with tiktoken in a worker thread, started at the first need: the tokenizer takes 0.1 s and 100 MB
 * to load, and a long text takes longer than an event loop may be held. Texts live in the worker only while counted.
 */
export class TokenEstimator {
  private worker: Worker | null = null;
  private readonly pending = new Map<number, Pending>();
  private readonly counting = new Set<Promise<unknown>>();
  private nextId = 1;

  /** Null where no estimate can be made in time. Never throws. */
  estimate(request: EstimateRequest): Promise<TokenEstimate | null> {
    if (this.pending.size >= PENDING_MAX) return Promise.resolve(null);
    const id = this.nextId++;
    const counted = new Promise<TokenEstimate | null>((resolve) => {
      const timer = setTimeout(() => this.settle(id, null), ESTIMATE_MS_MAX).unref();
      this.pending.set(id, { resolve, timer });
      this.running().postMessage({
        id,
        request: request.request.subarray(0, REQUEST_BYTES_MAX),
        requestBytes: request.request.length,
        answer: request.answer,
        answerBytes: request.answerBytes,
      });
    });
    this.counting.add(counted);
    return counted.finally(() => this.counting.delete(counted));
  }

  /** Lets what is being counted come to its end, each within its own limit. */
  async close(): Promise<void> {
    await Promise.all(this.counting);
    await this.worker?.terminate();
    this.worker = null;
  }

  private running(): Worker {
    if (this.worker !== null) return this.worker;
    // Sources run as they are in tests; the built product has JavaScript beside this file.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./token-worker.${extension}`, import.meta.url));
    worker.unref();
    worker.on('message', ({ id, estimate }: Answered) => this.settle(id, estimate));
    worker.on('error', () => this.lost(worker));
    worker.on('exit', () => this.lost(worker));
    this.worker = worker;
    return worker;
  }

  private lost(worker: Worker): void {
    if (this.worker !== worker) return;
    this.worker = null;
    for (const id of this.pending.keys()) this.settle(id, null);
  }

  private settle(id: number, estimate: TokenEstimate | null): void {
    const waiting = this.pending.get(id);
    if (waiting === undefined) return;
    this.pending.delete(id);
    clearTimeout(waiting.timer);
    waiting.resolve(estimate);
  }
}
