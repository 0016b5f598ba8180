/** A lease holds what half a second at the full rate needs. */
const LEASES_PER_MINUTE = 120;

const LEASE_PERMITS_MAX = 5_000;

/**
 * How many permits one replica may hold in advance: `floor(limit / 120)`, at most 5,000.
 *
 * 6,000 per minute gives 50. Below 120 per minute it is 0: every permit is then asked for when it is needed,
 * so that small limits are exact.
 */
export function leaseSize(limitPerMinute: number): number {
  if (!(limitPerMinute > 0)) return 0;
  return Math.min(Math.floor(limitPerMinute / LEASES_PER_MINUTE), LEASE_PERMITS_MAX);
}

/** More is fetched in the background when no more than this is left. */
export function lowWaterMark(limitPerMinute: number): number {
  return Math.floor(leaseSize(limitPerMinute) / 2);
}
