import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LocalRequestLimiter } from './local-request-limiter.js';

class FakeClock {
  constructor(public timeMs = 1_790_000_000_000) {}
  nowMs(): number {
    return this.timeMs;
  }
}

describe('LocalRequestLimiter', () => {
  it.each([1, 2, 5])(
    'lets exactly %i calls a minute through, and the next one a minute on',
    (limit) => {
      const clock = new FakeClock();
      const limiter = new LocalRequestLimiter(clock);
      for (let call = 0; call < limit; call += 1) {
        expect(limiter.take('org', limit).allowed).toBe(true);
        clock.timeMs += 2_000;
      }
      const refused = limiter.take('org', limit);
      expect(refused).toEqual({
        allowed: false,
        retryAfterMs: 60_000 - limit * 2_000,
        limitPerMinute: limit,
      });
      if (refused.allowed) return;
      clock.timeMs += refused.retryAfterMs - 1;
      expect(limiter.take('org', limit).allowed).toBe(false);
      clock.timeMs += 1;
      expect(limiter.take('org', limit).allowed).toBe(true);
      expect(limiter.take('org', limit).allowed).toBe(false);
    },
  );

  it('never lets more than the limit through within any 60 s', () => {
    const calls = fc.array(fc.nat(4_000), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(calls, fc.integer({ min: 1, max: 30 }), (gaps, limit) => {
        const clock = new FakeClock();
        const limiter = new LocalRequestLimiter(clock);
        const allowedMs: number[] = [];
        for (const gapMs of gaps) {
          clock.timeMs += gapMs;
          if (limiter.take('org', limit).allowed) allowedMs.push(clock.timeMs);
        }
        for (const startMs of allowedMs) {
          const within = allowedMs.filter((ms) => ms >= startMs && ms < startMs + 60_000).length;
          expect(within).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });

  it('counts all calls of an organization together, and organizations apart', () => {
    const limiter = new LocalRequestLimiter(new FakeClock());
    expect(limiter.take('a', 2).allowed).toBe(true);
    expect(limiter.take('a', 2).allowed).toBe(true);
    expect(limiter.take('a', 2).allowed).toBe(false);
    expect(limiter.take('b', 2).allowed).toBe(true);
  });

  it('applies a changed limit to the next call', () => {
    const limiter = new LocalRequestLimiter(new FakeClock());
    expect(limiter.take('a', 1).allowed).toBe(true);
    expect(limiter.take('a', 1).allowed).toBe(false);
    expect(limiter.take('a', 2).allowed).toBe(true);
    expect(limiter.take('a', 1).allowed).toBe(false);
  });

  it.each([0, -1, Number.NaN])('refuses everything under a limit of %d', (limit) => {
    const refused = new LocalRequestLimiter(new FakeClock()).take('a', limit);
    expect(refused).toMatchObject({ allowed: false, retryAfterMs: 60_000 });
  });

  it('forgets the organization heard from longest ago beyond its bound', () => {
    const limiter = new LocalRequestLimiter(new FakeClock(), 2);
    for (const orgId of ['a', 'b', 'c']) limiter.take(orgId, 1);
    expect(limiter.take('c', 1).allowed).toBe(false);
    expect(limiter.take('a', 1).allowed).toBe(true);
  });
});
