interface Waiting {
  readonly rank: () => number;
  readonly start: () => void;
}

const inOrder = (): number => 0;

/**
 * Runs at most `max` works at a time; of those that wait the lowest rank first, and of one rank who came first. A rank
 * is asked whenever a place is free: what was known when it came may have changed. Who calls bounds how many wait.
 */
export class BoundedConcurrency {
  #running = 0;
  readonly #waiting: Waiting[] = [];

  constructor(private readonly max: number) {}

  async run<T>(work: () => Promise<T>, rank: () => number = inOrder): Promise<T> {
    if (this.#running < this.max) this.#running += 1;
    else await new Promise<void>((start) => this.#waiting.push({ rank, start }));
    try {
      return await work();
    } finally {
      // The place passes straight to the next one, so nobody can slip in between.
      const next = this.#takeNext();
      if (next) next.start();
      else this.#running -= 1;
    }
  }

  #takeNext(): Waiting | null {
    let [best, lowest] = [0, Infinity];
    for (const [index, { rank }] of this.#waiting.entries()) {
      const found = rank();
      if (found < lowest) [best, lowest] = [index, found];
    }
    return this.#waiting.splice(best, 1)[0] ?? null;
  }
}
