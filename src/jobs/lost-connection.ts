/** Resolves when the queue's server went away, or the library met anything that it did not expect. */
export class LostConnection {
  readonly happened: Promise<Error>;
  #report: (error: Error) => void = () => undefined;

  constructor() {
    this.happened = new Promise((resolve) => {
      this.#report = resolve;
    });
  }

  report(error: Error): void {
    this.#report(error);
  }
}
