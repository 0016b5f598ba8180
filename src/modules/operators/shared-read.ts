/**
 * One read under way, however many ask. Who asks while one is going shares the next: what everybody gets was read
 * after they asked, and a flood of callers costs one connection.
 */
export class SharedRead<T> {
  #running: Promise<unknown> | null = null;
  #next: Promise<T> | null = null;

  constructor(private readonly read: () => Promise<T>) {}

  get(): Promise<T> {
    if (this.#running === null) return this.#start();
    const before = this.#running;
    this.#next ??= before.then(
      () => this.#startNext(),
      () => this.#startNext(),
    );
    return this.#next;
  }

  #startNext(): Promise<T> {
    this.#next = null;
    return this.#start();
  }

  #start(): Promise<T> {
    const reading = this.read();
    const running = reading.then(
      () => undefined,
      () => undefined,
    );
    this.#running = running;
    void running.then(() => {
      if (this.#running === running) this.#running = null;
    });
    return reading;
  }
}
