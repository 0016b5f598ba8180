/** Monotonic milliseconds, as `performance.now`. */
export type MonotonicMs = () => number;

/** How long a replica that can ask nobody goes on routing. */
export const LEASE_MS = 5_000;

/**
 * The right to route, for a short time: it ends by itself unless somebody who knows confirms that nothing changed, or
 * what. It counts from the moment at which the question was asked, since the answer may be as old as that.
 */
export class RoutingLease {
  #endsAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly now: MonotonicMs = () => performance.now()) {}

  isLive(): boolean {
    return this.now() < this.#endsAt;
  }

  /** @param askedAt when the look began that confirmed what this replica knows. */
  renew(askedAt: number): void {
    this.#endsAt = Math.max(this.#endsAt, askedAt + LEASE_MS);
  }

  /** What this replica knows may be wrong. */
  end(): void {
    this.#endsAt = Number.NEGATIVE_INFINITY;
  }
}
