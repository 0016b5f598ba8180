const EMPTY = Buffer.alloc(0);
const CAPACITY_BYTES_MIN = 256;

/**
 * Bytes that wait for more, copied into one buffer that doubles up to its bound: a provider that sends byte by byte
 * costs bytes, and not a Buffer object for each.
 */
export class HeldBytes {
  private buffer = EMPTY;
  private filled = 0;

  constructor(private readonly bytesMax: number) {}

  get length(): number {
    return this.filled;
  }

  /** False, with nothing taken in, where the bound would be passed. */
  append(piece: Buffer): boolean {
    const needed = this.filled + piece.length;
    if (needed > this.bytesMax) return false;
    if (needed > this.buffer.length) this.grow(needed);
    piece.copy(this.buffer, this.filled);
    this.filled = needed;
    return true;
  }

  /** What is held, as it lies; later bytes are written behind it and never into it. */
  view(): Buffer {
    return this.filled === 0 ? EMPTY : this.buffer.subarray(0, this.filled);
  }

  /** Hands over what is held, and begins anew in another buffer. */
  take(): Buffer {
    const held = this.view();
    this.buffer = EMPTY;
    this.filled = 0;
    return held;
  }

  private grow(needed: number): void {
    const capacity = Math.max(needed, this.buffer.length * 2, CAPACITY_BYTES_MIN);
    const larger = Buffer.allocUnsafe(Math.min(capacity, this.bytesMax));
    this.buffer.copy(larger, 0, 0, this.filled);
    this.buffer = larger;
  }
}

/** The last bytes of what passes: at least `bytesMax` of them where there were so many. */
export class LastBytes {
  private buffer = EMPTY;
  private filled = 0;

  constructor(private readonly bytesMax: number) {}

  append(piece: Buffer): void {
    if (this.buffer.length === 0) this.buffer = Buffer.allocUnsafe(this.bytesMax * 2);
    const kept = piece.subarray(Math.max(0, piece.length - this.bytesMax));
    // Moved to the front only once per `bytesMax`, so that a byte is moved once at the most.
    if (this.filled + kept.length > this.buffer.length) this.moveToFront();
    kept.copy(this.buffer, this.filled);
    this.filled += kept.length;
  }

  view(): Buffer {
    return this.buffer.subarray(Math.max(0, this.filled - this.bytesMax), this.filled);
  }

  private moveToFront(): void {
    this.filled = this.view().copy(this.buffer);
  }
}
