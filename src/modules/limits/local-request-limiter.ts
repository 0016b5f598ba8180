import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import { RequestLimiter, type Permit } from './request-limiter.js';
import { SlidingWindow, WINDOW_MS } from './sliding-window.js';

/** The windows of organizations not heard from longest are forgotten beyond this many (about 1.5 KB each). */
export const ORGANIZATIONS_MAX = 10_000;

export const ALLOWED: Permit = Object.freeze({ allowed: true });

/** The limit of a single replica: exact, in memory, never waits. */
export class LocalRequestLimiter extends RequestLimiter {
  readonly #clock: Clock;
  readonly #windows: LRUCache<string, SlidingWindow>;

  constructor(clock: Clock, organizationsMax: number = ORGANIZATIONS_MAX) {
    super();
    this.#clock = clock;
    this.#windows = new LRUCache({ max: organizationsMax });
  }

  override take(orgId: string, limitPerMinute: number): Permit {
    let window = this.#windows.get(orgId);
    if (window === undefined) {
      window = new SlidingWindow();
      this.#windows.set(orgId, window);
    }
    return takeFrom(window, limitPerMinute, limitPerMinute, this.#clock.nowMs());
  }
}

/** Takes a permit while fewer than `share` count; a refusal names the organization's whole limit. */
export function takeFrom(
  window: SlidingWindow,
  share: number,
  limitPerMinute: number,
  nowMs: number,
): Permit {
  if (window.used(nowMs) < share) {
    window.record(nowMs);
    return ALLOWED;
  }
  const freesAtMs = share >= 1 ? window.freesAtMs(nowMs, share) : nowMs + WINDOW_MS;
  return { allowed: false, retryAfterMs: Math.max(1, freesAtMs - nowMs), limitPerMinute };
}
