/** The length of every window: limits are per minute. */
export const WINDOW_MS = 60_000;

/** Permits taken within this span share a bucket, and come free together. */
export const BUCKET_MS = 1_000;

/** Buckets begin at least `BUCKET_MS` apart and live at most `WINDOW_MS + BUCKET_MS`: 61 at once. A power of two. */
const BUCKETS_MAX = 64;
const INDEX_MASK = BUCKETS_MAX - 1;

/**
 * Counts what was taken within the last minute, in constant space.
 *
 * A bucket begins with the first permit that does not fit the one before it, and is forgotten 60 s after its
 * last permit. So a permit counts for 60 s, or up to one second longer where it shared a bucket with
 * later ones; permits taken more than a second apart are exact to the millisecond. Never fewer are counted
 * than were taken. Times are milliseconds; a clock that steps back is held at the last time seen.
 */
export class SlidingWindow {
  readonly #startMs = new Float64Array(BUCKETS_MAX);
  /** Of a bucket's last permit, after its start. */
  readonly #lastOffsetMs = new Uint16Array(BUCKETS_MAX);
  readonly #count = new Float64Array(BUCKETS_MAX);
  #oldest = 0;
  #size = 0;
  #total = 0;

  /** The permits that count at `nowMs`. */
  used(nowMs: number): number {
    while (this.#size > 0 && this.#freesMs(this.#oldest) <= nowMs) {
      this.#total -= this.#count[this.#oldest] ?? 0;
      this.#oldest = (this.#oldest + 1) & INDEX_MASK;
      this.#size -= 1;
    }
    return this.#total;
  }

  record(nowMs: number, permits = 1): void {
    this.used(nowMs);
    let timeMs = nowMs;
    if (this.#size > 0) {
      const newest = (this.#oldest + this.#size - 1) & INDEX_MASK;
      const startMs = this.#startMs[newest] ?? 0;
      const lastOffsetMs = this.#lastOffsetMs[newest] ?? 0;
      timeMs = Math.max(nowMs, startMs + lastOffsetMs);
      if (timeMs - startMs < BUCKET_MS) {
        this.#lastOffsetMs[newest] = timeMs - startMs;
        this.#count[newest] = (this.#count[newest] ?? 0) + permits;
        this.#total += permits;
        return;
      }
    }
    const index = (this.#oldest + this.#size) & INDEX_MASK;
    this.#startMs[index] = timeMs;
    this.#lastOffsetMs[index] = 0;
    this.#count[index] = permits;
    this.#size += 1;
    this.#total += permits;
  }

  /** When fewer than `limit` permits will count, if none is taken until then. */
  freesAtMs(nowMs: number, limit: number): number {
    let remaining = this.used(nowMs);
    for (let offset = 0; offset < this.#size; offset += 1) {
      if (remaining < limit) break;
      const index = (this.#oldest + offset) & INDEX_MASK;
      remaining -= this.#count[index] ?? 0;
      if (remaining < limit) return this.#freesMs(index);
    }
    return remaining < limit ? nowMs : nowMs + WINDOW_MS;
  }

  /** The buckets that count at `nowMs`, oldest first: when their last permit was taken, and how many they hold. */
  entries(nowMs: number): { readonly timeMs: number; readonly permits: number }[] {
    this.used(nowMs);
    return Array.from({ length: this.#size }, (_, offset) => {
      const index = (this.#oldest + offset) & INDEX_MASK;
      return {
        timeMs: (this.#startMs[index] ?? 0) + (this.#lastOffsetMs[index] ?? 0),
        permits: this.#count[index] ?? 0,
      };
    });
  }

  #freesMs(index: number): number {
    return (this.#startMs[index] ?? 0) + (this.#lastOffsetMs[index] ?? 0) + WINDOW_MS;
  }
}
