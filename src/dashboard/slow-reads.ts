import { BoundedConcurrency } from '../platform/bounded-concurrency.js';
import { HttpError } from '../platform/http/http-error.js';

/** Each holds a connection of the pool for as long as it reads; the others are left to what must be quick. */
const RUNNING_MAX = 2;
/** Those that wait included. */
const ASKED_MAX = 20;
const RETRY_SECONDS = 5;

/**
 * Reads that add up many calls: however many of them members ask for, the kill switch and the sign-in find the
 * database free. One for each route that has such reads.
 */
export class SlowReads {
  readonly #running = new BoundedConcurrency(RUNNING_MAX);
  #asked = 0;

  /** Throws a 503 where too many wait already. */
  async run<T>(read: () => Promise<T>): Promise<T> {
    if (this.#asked >= ASKED_MAX) {
      throw new HttpError(
        503,
        'temporarily_unavailable',
        'Too many calls are being added up at the moment. Try again.',
        RETRY_SECONDS,
      );
    }
    this.#asked += 1;
    try {
      return await this.#running.run(read);
    } finally {
      this.#asked -= 1;
    }
  }
}
