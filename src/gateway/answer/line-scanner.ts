/** The longest line of an event stream that is held while it is incomplete. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Splits a byte stream into lines without copying: a line inside one chunk is given as its place in that chunk;
 * only a line that spans chunks is joined. `\n` and `\r\n` end a line.
 */
export class LineScanner {
  private pieces: Buffer[] = [];
  private pieceBytes = 0;
  private skipping = false;
  /** A line was longer than `LINE_BYTES_MAX` and was passed over. */
  overlong = false;

  constructor(private readonly onLine: (bytes: Buffer, start: number, end: number) => void) {}

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const feed = chunk.indexOf(LINE_FEED, at);
      if (feed < 0) return this.hold(chunk.subarray(at));
      if (this.pieceBytes > 0 || this.skipping) this.completeHeld(chunk.subarray(at, feed));
      else this.onLine(chunk, at, trimmed(chunk, at, feed));
      at = feed + 1;
    }
  }

  /** The end of the stream ends a last line that has no line feed. */
  end(): void {
    if (this.pieceBytes > 0) this.completeHeld(Buffer.alloc(0));
  }

  private hold(piece: Buffer): void {
    if (this.skipping) return;
    this.pieces.push(piece);
    this.pieceBytes += piece.length;
    if (this.pieceBytes <= LINE_BYTES_MAX) return;
    this.overlong = true;
    this.skipping = true;
    this.pieces = [];
    this.pieceBytes = 0;
  }

  private completeHeld(piece: Buffer): void {
    if (this.skipping) {
      this.skipping = false;
      return;
    }
    this.pieces.push(piece);
    const line = Buffer.concat(this.pieces);
    this.pieces = [];
    this.pieceBytes = 0;
    this.onLine(line, 0, trimmed(line, 0, line.length));
  }
}

function trimmed(bytes: Buffer, start: number, end: number): number {
  return end > start && bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
}
