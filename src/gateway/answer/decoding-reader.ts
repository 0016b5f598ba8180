import zlib from 'node:zlib';
import { finished, type Transform } from 'node:stream';
import type { AnswerFindings, AnswerReader } from './answer-reader.js';

/** Compressed bytes that may wait for the decoder; beyond it the answer is relayed, but no longer read. */
const BACKLOG_BYTES_MAX = 8 * 1024 * 1024;
/** Decoded bytes that are read at the most: what expands further is not an answer. */
const DECODED_BYTES_MAX = 256 * 1024 * 1024;

/** By the names of content encodings, in lower case. */
const DECODERS: ReadonlyMap<string, () => Transform> = new Map([
  ['gzip', () => zlib.createGunzip()],
  ['x-gzip', () => zlib.createGunzip()],
  ['deflate', () => zlib.createInflate()],
  ['br', () => zlib.createBrotliDecompress()],
  ['zstd', () => zlib.createZstdDecompress()],
]);

/** Relays a compressed answer as it is, and decodes a copy for the reader inside. */
export class DecodingReader implements AnswerReader {
  /** The last event is seen too late to be withheld; the end of the body is what waits for the record. */
  readonly ended = false;
  readonly atBoundary = false;
  private readonly decoder: Transform | null;
  private decodedBytes = 0;
  private failed = false;

  constructor(
    private readonly inner: AnswerReader,
    encoding: string,
    /** Told of a fault of the reader inside, which then reads no further. */
    private readonly onFault: (error: unknown) => void = () => {},
  ) {
    this.decoder = DECODERS.get(encoding.toLowerCase())?.() ?? null;
    this.failed = this.decoder === null;
    this.decoder?.on('data', (decoded: Buffer) => this.decoded(decoded));
    this.decoder?.on('error', () => this.fail());
  }

  feed(chunk: Buffer): Buffer {
    if (this.failed || this.decoder === null) return chunk;
    this.decoder.write(chunk);
    if (this.decoder.writableLength > BACKLOG_BYTES_MAX) this.fail();
    return chunk;
  }

  flush(): null {
    return null;
  }

  async findings(): Promise<AnswerFindings> {
    await this.drained();
    this.inner.flush();
    const found = await this.inner.findings();
    return this.failed ? { ...found, unreadable: true } : found;
  }

  sample(): { bytes: Buffer; totalBytes: number } {
    return this.inner.sample();
  }

  private drained(): Promise<void> {
    const { decoder } = this;
    if (this.failed || decoder === null) return Promise.resolve();
    return new Promise((resolve) => {
      finished(decoder, () => resolve());
      decoder.end();
    });
  }

  private decoded(bytes: Buffer): void {
    if (this.failed) return;
    this.decodedBytes += bytes.length;
    if (this.decodedBytes > DECODED_BYTES_MAX) return this.fail();
    // Called by the decoder and not by whoever fed it: what is thrown in here would end the process.
    try {
      this.inner.feed(bytes);
    } catch (error) {
      this.fail();
      this.onFault(error);
    }
  }

  private fail(): void {
    this.failed = true;
    this.decoder?.destroy();
  }
}
