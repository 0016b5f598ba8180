/** A start this much behind its time counts as late, in milliseconds. */
const LATE_MS = 50;

export interface Start {
  /** Milliseconds to wait before the call starts. */
  readonly waitMs: number;
  readonly late: boolean;
}

/**
 * When the call of this index (from 0) starts, at a steady rate. Counted from the beginning and not from the call
 * before, so that a slow stretch is made up for and the rate is kept over the whole run.
 */
export function startOf(index: number, ratePerS: number, elapsedMs: number): Start {
  const dueMs = (index * 1_000) / ratePerS;
  return { waitMs: Math.max(0, dueMs - elapsedMs), late: elapsedMs - dueMs > LATE_MS };
}

/** Which calls stream, spread evenly: of any n in a row, `share * n` of them, give or take one. */
export function streams(index: number, share: number): boolean {
  return Math.floor((index + 1) * share) > Math.floor(index * share);
}
