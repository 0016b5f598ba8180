import { Readable } from 'node:stream';

/** A reader who takes nothing for so long has gone, or keeps others from theirs. */
const STALLED_MS_MAX = 60_000;
const AT_ONCE_MAX = 3;

/**
 * Long answers for people to download. They read no further than is taken, so few of them at once are bearable: more
 * wait. One that nobody takes is cut off, from the start on, since there may never be a first read.
 */
export class Downloads {
  readonly #running = new Set<string>();

  constructor(
    private readonly stalledMsMax: number = STALLED_MS_MAX,
    private readonly atOnceMax: number = AT_ONCE_MAX,
  ) {}

  /**
   * Null while the same one (`name`), or as many as may be, are under way. Rejects with what is wrong before the first
   * chunk, which can still be answered with an error; what fails later breaks the stream off.
   */
  async open(name: string, chunks: AsyncGenerator<string, void, void>): Promise<Readable | null> {
    if (this.#running.has(name) || this.#running.size >= this.atOnceMax) return null;
    this.#running.add(name);
    try {
      const first = await chunks.next();
      const stream: Readable = Readable.from(
        watched(first, chunks, () => stalled.refresh()),
        { highWaterMark: 1 },
      );
      const stalled = setTimeout(
        () => stream.destroy(new Error('nobody takes the download')),
        this.stalledMsMax,
      ).unref();
      // Whoever reads it hears of it too; where nobody does, it must not end the process.
      stream.on('error', () => undefined);
      stream.once('close', () => {
        clearTimeout(stalled);
        this.#running.delete(name);
      });
      return stream;
    } catch (error) {
      this.#running.delete(name);
      throw error;
    }
  }
}

async function* watched(
  first: IteratorResult<string, void>,
  rest: AsyncGenerator<string, void, void>,
  taken: () => void,
): AsyncGenerator<string> {
  try {
    if (!first.done) yield first.value;
    for await (const chunk of rest) {
      taken();
      yield chunk;
    }
  } finally {
    await rest.return();
  }
}
