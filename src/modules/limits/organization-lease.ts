import type { LeaseGrant } from './lease-store.js';
import type { Permit } from './request-limiter.js';
import { SlidingWindow } from './sliding-window.js';

/** Permits of a lease that are not used by then are given back. */
export const LEASE_TTL_MS = 2_000;

/** A refusal is repeated for at most this long before the store is asked again: others may have given permits back. */
const REFUSAL_TTL_MS = 1_000;

/** Grants given back with one request; older ones beyond that come free with the window. */
const RETURNS_MAX = 64;

interface Chunk {
  readonly bucketMs: number;
  readonly expiresAtMs: number;
  permits: number;
}

export interface Waiter {
  readonly limitPerMinute: number;
  readonly settle: (permit: Permit) => void;
}

/** What one replica holds for one organization. It decides nothing about Redis. */
export class OrganizationLease {
  readonly orgId: string;
  /** Everything that this replica let through, leased or not. */
  readonly window = new SlidingWindow();
  readonly waiters: Waiter[] = [];
  requesting = false;
  #limitPerMinute: number;
  #unreported: SlidingWindow | null = null;
  #chunks: Chunk[] = [];
  #available = 0;
  #returns: { bucketMs: number; permits: number }[] = [];
  #refusedUntilMs = 0;
  #freesAtMs = 0;

  constructor(orgId: string, limitPerMinute: number) {
    this.orgId = orgId;
    this.#limitPerMinute = limitPerMinute;
  }

  get limitPerMinute(): number {
    return this.#limitPerMinute;
  }

  get available(): number {
    return this.#available;
  }

  get hasReturns(): boolean {
    return this.#returns.length > 0;
  }

  /** Permits held, or on their way back. */
  get holds(): boolean {
    return this.#chunks.length > 0 || this.#returns.length > 0;
  }

  /** A new limit takes effect at once: what was leased or refused under the old one is void. */
  changeLimit(limitPerMinute: number): void {
    this.#limitPerMinute = limitPerMinute;
    this.#refusedUntilMs = 0;
    this.giveBack();
  }

  /** Uses a leased permit, oldest lease first. */
  consume(nowMs: number): boolean {
    for (;;) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) return false;
      if (chunk.expiresAtMs > nowMs) {
        chunk.permits -= 1;
        this.#available -= 1;
        if (chunk.permits === 0) this.#chunks.shift();
        this.window.record(nowMs);
        return true;
      }
      this.#chunks.shift();
      this.#return(chunk);
    }
  }

  expireChunks(nowMs: number): void {
    for (;;) {
      const chunk = this.#chunks[0];
      if (chunk === undefined || chunk.expiresAtMs > nowMs) return;
      this.#chunks.shift();
      this.#return(chunk);
    }
  }

  /** @param sentAtMs when the request was sent: a slow answer must not lengthen the lease. */
  hold(bucketMs: number, permits: number, sentAtMs: number): void {
    if (permits <= 0) return;
    this.#chunks.push({ bucketMs, permits, expiresAtMs: sentAtMs + LEASE_TTL_MS });
    this.#available += permits;
  }

  giveBack(): void {
    for (const chunk of this.#chunks.splice(0)) this.#return(chunk);
  }

  /** A grant that came too late for those who waited for it. */
  returnGrant(grant: LeaseGrant): void {
    this.#addReturn(grant.bucketMs, grant.demandGranted + grant.spareGranted);
  }

  takeReturns(): { bucketMs: number; permits: number }[] {
    return this.#returns.splice(0);
  }

  refuse(retryAfterMs: number, nowMs: number): Permit {
    this.#freesAtMs = nowMs + retryAfterMs;
    this.#refusedUntilMs = nowMs + Math.min(retryAfterMs, REFUSAL_TTL_MS);
    return { allowed: false, retryAfterMs, limitPerMinute: this.#limitPerMinute };
  }

  /** The last refusal, while it stands. */
  refusal(nowMs: number): Permit | null {
    if (nowMs >= this.#refusedUntilMs) return null;
    return {
      allowed: false,
      retryAfterMs: Math.max(1, this.#freesAtMs - nowMs),
      limitPerMinute: this.#limitPerMinute,
    };
  }

  /** Lets a call through that the store does not know of. */
  recordUnreported(nowMs: number): void {
    this.#unreported ??= new SlidingWindow();
    this.#unreported.record(nowMs);
  }

  takeUnreported(nowMs: number): { ageMs: number; permits: number }[] {
    const entries = this.#unreported?.entries(nowMs) ?? [];
    this.#unreported = null;
    return entries.map(({ timeMs, permits }) => ({ ageMs: Math.max(0, nowMs - timeMs), permits }));
  }

  /** The store has lost what it knew: this replica's whole window is told again, and its leases are void. */
  forgetStore(nowMs: number): void {
    this.#chunks = [];
    this.#returns = [];
    this.#available = 0;
    const entries = this.window.entries(nowMs);
    this.#unreported = entries.length > 0 ? new SlidingWindow() : null;
    for (const { timeMs, permits } of entries) this.#unreported?.record(timeMs, permits);
  }

  #return(chunk: Chunk): void {
    this.#available -= chunk.permits;
    this.#addReturn(chunk.bucketMs, chunk.permits);
  }

  #addReturn(bucketMs: number, permits: number): void {
    if (permits <= 0) return;
    if (this.#returns.length >= RETURNS_MAX) this.#returns.shift();
    this.#returns.push({ bucketMs, permits });
  }
}
