/**
 * A request's body in memory, for as long as each part of it is needed: what is sent until it was sent, the whole
 * until it was looked at, a head of it until the call has ended, for an estimate of its tokens.
 */
export class Payload {
  /** As it came, compressed or not; only for as long as it may have to be sent again. */
  private came: Buffer | null;
  private sent: Buffer | null;
  private kept: Buffer;
  private retained = false;
  readonly rawBytes: number;
  /** Of the inflated body. */
  readonly plainBytes: number;

  constructor(
    raw: Buffer,
    /** Inflated, where it came compressed; what facts and spans refer to. */
    plain: Buffer,
    private readonly hold: BodyHold,
  ) {
    this.came = raw;
    this.sent = raw;
    this.kept = plain;
    this.rawBytes = raw.length;
    this.plainBytes = plain.length;
  }

  /** The inflated body; after `lookedAt` only its head. */
  get plain(): Buffer {
    return this.kept;
  }

  /** What goes to the provider next: these bytes, or those that came. */
  replace(bytes: Buffer | null): void {
    this.sent = bytes ?? this.came;
  }

  /** It may have to be sent more than once. */
  retain(): void {
    this.retained = true;
  }

  /** Gives the bytes to send, and lets go of them unless they are retained. */
  takeToSend(): Buffer | null {
    const bytes = this.sent;
    this.sent = null;
    if (!this.retained) this.came = null;
    return bytes;
  }

  /** The body was looked at: from here on its head will do. */
  lookedAt(headBytesMax: number): void {
    this.sent = null;
    this.came = null;
    if (this.kept.length > headBytesMax)
      this.kept = Buffer.from(this.kept.subarray(0, headBytesMax));
    this.hold.shrinkTo(this.kept.length);
  }
}

/** Bodies of all calls together; a call that would exceed it is refused rather than the process lost. */
export const BODIES_BYTES_MAX = 1024 * 1024 * 1024;

/** Counts the bytes of request bodies in memory. */
export class BodyBudget {
  private bytes = 0;

  constructor(private readonly bytesMax: number = BODIES_BYTES_MAX) {}

  /** One call's share; given back with `close`. */
  open(): BodyHold {
    let held = 0;
    let closed = false;
    const shrinkTo = (bytes: number): void => {
      const freed = Math.max(0, held - bytes);
      this.bytes -= freed;
      held -= freed;
    };
    return {
      grow: (bytes) => {
        // Nobody would give these back; the call that brings them is at its end.
        if (closed) return false;
        if (this.bytes + bytes > this.bytesMax) return false;
        this.bytes += bytes;
        held += bytes;
        return true;
      },
      shrinkTo,
      close: () => {
        closed = true;
        shrinkTo(0);
      },
    };
  }
}

export interface BodyHold {
  /** False where there is no room, or the call has ended. */
  grow(bytes: number): boolean;
  shrinkTo(bytes: number): void;
  close(): void;
}
