import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { leaseSize } from './lease-size.js';
import type { Heartbeat, LeaseGrant, LeaseRequest, LeaseStore } from './lease-store.js';
import { LeasedRequestLimiter } from './leased-request-limiter.js';

/** A store that answers when the test says so. */
class ScriptedStore implements LeaseStore {
  readonly requests: LeaseRequest[] = [];
  isReachable = true;
  isSlow = false;
  beat: Heartbeat = { replicas: 1, epoch: 'one' };
  answer: (request: LeaseRequest) => Promise<LeaseGrant> = (request) =>
    Promise.resolve(granted(request));
  reachable(): boolean {
    return this.isReachable;
  }
  lease(request: LeaseRequest): Promise<LeaseGrant> {
    this.requests.push(request);
    return this.answer(request);
  }
  heartbeat(): Promise<Heartbeat> {
    if (this.isSlow) return new Promise(() => undefined);
    return this.isReachable ? Promise.resolve(this.beat) : Promise.reject(new Error('away'));
  }
  leave(): Promise<void> {
    return Promise.resolve();
  }
}

function granted({ demand, spare }: LeaseRequest): LeaseGrant {
  return { demandGranted: demand, spareGranted: spare, bucketMs: 7, retryAfterMs: 0 };
}

const LIMIT = 6_000;
let clock: { timeMs: number; nowMs(): number };
let store: ScriptedStore;
let limiter: LeasedRequestLimiter;

beforeEach(async () => {
  vi.useFakeTimers();
  clock = {
    timeMs: 1_790_000_000_000,
    nowMs() {
      return this.timeMs;
    },
  };
  store = new ScriptedStore();
  limiter = new LeasedRequestLimiter(clock, store);
  await limiter.heartbeat();
});
afterEach(() => void vi.useRealTimers());

describe('LeasedRequestLimiter', () => {
  it('waits for the first permit only, and answers from the lease after it', async () => {
    const first = limiter.take('org', LIMIT);
    expect(first).toBeInstanceOf(Promise);
    expect(await first).toEqual({ allowed: true });
    expect(limiter.take('org', LIMIT)).toEqual({ allowed: true });
    expect(store.requests).toHaveLength(1);
  });

  it('tops the lease up in the background before it runs dry', async () => {
    await limiter.take('org', LIMIT);
    for (let call = 0; call < leaseSize(LIMIT) - 1; call += 1) {
      expect(limiter.take('org', LIMIT)).not.toBeInstanceOf(Promise);
      await Promise.resolve();
    }
    expect(store.requests.length).toBeGreaterThan(1);
    expect(store.requests.at(-1)?.demand).toBe(0);
  });

  it('asks once for all calls that wait at the same time', async () => {
    const calls = Array.from({ length: 200 }, () => limiter.take('org', LIMIT));
    const permits = await Promise.all(calls);
    expect(permits.every(({ allowed }) => allowed)).toBe(true);
    expect(store.requests.map(({ demand }) => demand)).toEqual([1, 149]);
  });

  it('lets the local share decide after 50 ms, and gives the late grant back', async () => {
    store.beat = { replicas: 3, epoch: 'one' };
    await limiter.heartbeat();
    let release: (grant: LeaseGrant) => void = () => undefined;
    store.isSlow = true;
    store.answer = () => new Promise((resolve) => (release = resolve));
    const calls = [limiter.take('org', 6), limiter.take('org', 6), limiter.take('org', 6)];
    await vi.advanceTimersByTimeAsync(50);
    expect((await Promise.all(calls)).map(({ allowed }) => allowed)).toEqual([true, true, false]);
    expect(limiter.leasing).toBe(false);
    release({ demandGranted: 1, spareGranted: 0, bucketMs: 9, retryAfterMs: 0 });
    await vi.advanceTimersByTimeAsync(50);
    store.isSlow = false;
    store.answer = (request) => Promise.resolve(granted(request));
    await limiter.heartbeat();
    expect(store.requests.at(-1)).toMatchObject({
      demand: 0,
      returned: [{ bucketMs: 9, permits: 1 }],
    });
  });

  it('leases again at once when it was only late itself', async () => {
    store.answer = () => new Promise(() => undefined);
    const call = limiter.take('org', 6);
    await vi.advanceTimersByTimeAsync(50);
    expect((await call).allowed).toBe(true);
    expect(limiter.leasing).toBe(true);
  });

  it('never waits while the store is away, and tells it afterwards what it let through', async () => {
    store.isReachable = false;
    expect(limiter.take('org', 2)).toEqual({ allowed: true });
    clock.timeMs += 10_000;
    expect(limiter.take('org', 2)).toEqual({ allowed: true });
    expect(limiter.take('org', 2)).toMatchObject({ allowed: false, retryAfterMs: 50_000 });
    store.isReachable = true;
    await limiter.heartbeat();
    await limiter.take('org', 2);
    expect(store.requests[0]?.unreported).toEqual([
      { ageMs: 10_000, permits: 1 },
      { ageMs: 0, permits: 1 },
    ]);
  });

  it('leases again with the first call after the store is back', async () => {
    store.isReachable = false;
    expect(limiter.take('org', 100)).toEqual({ allowed: true });
    expect(limiter.leasing).toBe(false);
    store.isReachable = true;
    expect(limiter.take('org', 100)).toEqual({ allowed: true });
    await vi.advanceTimersByTimeAsync(0);
    expect(limiter.leasing).toBe(true);
  });

  it('tells a store that lost its memory everything within the window', async () => {
    await limiter.take('org', 100);
    clock.timeMs += 5_000;
    await limiter.take('org', 100);
    store.beat = { replicas: 1, epoch: 'two' };
    await limiter.heartbeat();
    await limiter.take('org', 100);
    expect(store.requests.at(-1)?.unreported).toEqual([
      { ageMs: 5_000, permits: 1 },
      { ageMs: 0, permits: 1 },
    ]);
  });

  it('gives back what was not used within two seconds', async () => {
    await limiter.take('org', LIMIT);
    clock.timeMs += 2_000;
    await limiter.heartbeat();
    expect(store.requests.at(-1)).toMatchObject({
      demand: 0,
      spare: 0,
      returned: [{ bucketMs: 7, permits: 50 }],
    });
  });

  it('repeats a refusal without asking again, for a second at most', async () => {
    store.answer = () =>
      Promise.resolve({ demandGranted: 0, spareGranted: 0, bucketMs: 0, retryAfterMs: 30_000 });
    expect(await limiter.take('org', 5)).toMatchObject({ allowed: false, retryAfterMs: 30_000 });
    clock.timeMs += 999;
    expect(limiter.take('org', 5)).toMatchObject({ allowed: false, retryAfterMs: 29_001 });
    clock.timeMs += 1;
    expect(limiter.take('org', 5)).toBeInstanceOf(Promise);
  });

  it('applies a changed limit to the next call, whatever it holds or has refused', async () => {
    await limiter.take('org', LIMIT);
    store.answer = () =>
      Promise.resolve({ demandGranted: 0, spareGranted: 0, bucketMs: 0, retryAfterMs: 60_000 });
    expect((await limiter.take('org', 1)).allowed).toBe(false);
    store.answer = (request) => Promise.resolve(granted(request));
    expect((await limiter.take('org', 2)).allowed).toBe(true);
  });

  it('gives everything back when it stops', async () => {
    await limiter.take('org', LIMIT);
    await limiter.stop();
    expect(store.requests.at(-1)?.returned).toEqual([{ bucketMs: 7, permits: 50 }]);
  });
});

describe('leaseSize', () => {
  it.each([
    [1, 0],
    [5, 0],
    [119, 0],
    [120, 1],
    [6_000, 50],
    [1_000_000_000, 5_000],
    [Number.NaN, 0],
  ])('of a limit of %d is %d', (limit, size) => expect(leaseSize(limit)).toBe(size));
});
