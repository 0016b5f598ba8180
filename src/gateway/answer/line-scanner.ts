import { HeldBytes } from './held-bytes.js';

/** The longest line of an event stream that is held while it is incomplete. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Splits a byte stream into lines without copying: a line inside one chunk is given as its place in that chunk;
 * only a line that spans chunks is joined. `\n` and `\r\n` end a line.
 */
export class LineScanner {
  private readonly held = new HeldBytes(LINE_BYTES_MAX);
  private skipping = false;
  /** A line was longer than `LINE_BYTES_MAX` and was passed over. */
  overlong = false;

  constructor(private readonly onLine: (bytes: Buffer, start: number, end: number) => void) {}

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const feed = chunk.indexOf(LINE_FEED, at);
      if (feed < 0) return this.hold(chunk.subarray(at));
      if (this.held.length > 0 || this.skipping) this.completeHeld(chunk.subarray(at, feed));
      else this.onLine(chunk, at, trimmed(chunk, at, feed));
      at = feed + 1;
    }
  }

  /** The end of the stream ends a last line that has no line feed. */
  end(): void {
    if (this.held.length > 0) this.giveHeld();
  }

  private hold(piece: Buffer): void {
    if (this.skipping || this.held.append(piece)) return;
    this.overlong = true;
    this.skipping = true;
    this.held.take();
  }

  private completeHeld(piece: Buffer): void {
    this.hold(piece);
    if (this.skipping) this.skipping = false;
    else this.giveHeld();
  }

  private giveHeld(): void {
    const line = this.held.take();
    this.onLine(line, 0, trimmed(line, 0, line.length));
  }
}

function trimmed(bytes: Buffer, start: number, end: number): number {
  return end > start && bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
}
