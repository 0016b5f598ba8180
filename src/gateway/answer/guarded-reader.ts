import type { AnswerFindings, AnswerReader } from './answer-reader.js';

const UNREADABLE: AnswerFindings = {
  usageEvents: [],
  unreadable: true,
  complete: false,
  error: undefined,
};

const NO_SAMPLE = { bytes: Buffer.alloc(0), totalBytes: 0 };

/** Keeps a fault of the reader inside from the answer: from then on it passes as it came, and counts as unreadable. */
export class GuardedReader implements AnswerReader {
  private failed = false;

  constructor(
    private readonly inner: AnswerReader,
    private readonly onFault: (error: unknown) => void,
  ) {}

  get ended(): boolean {
    return !this.failed && this.inner.ended;
  }

  get atBoundary(): boolean {
    return !this.failed && this.inner.atBoundary;
  }

  feed(chunk: Buffer): Buffer | null {
    if (this.failed) return chunk;
    try {
      return this.inner.feed(chunk);
    } catch (error) {
      this.fail(error);
      return chunk;
    }
  }

  flush(): Buffer | null {
    if (this.failed) return null;
    try {
      return this.inner.flush();
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  findings(): AnswerFindings | Promise<AnswerFindings> {
    if (this.failed) return UNREADABLE;
    try {
      const found = this.inner.findings();
      return found instanceof Promise ? found.catch((error: unknown) => this.fail(error)) : found;
    } catch (error) {
      return this.fail(error);
    }
  }

  sample(): { readonly bytes: Buffer; readonly totalBytes: number } {
    if (this.failed) return NO_SAMPLE;
    try {
      return this.inner.sample();
    } catch (error) {
      this.fail(error);
      return NO_SAMPLE;
    }
  }

  private fail(error: unknown): AnswerFindings {
    this.failed = true;
    this.onFault(error);
    return UNREADABLE;
  }
}
