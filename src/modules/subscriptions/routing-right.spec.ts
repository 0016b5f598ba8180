import { describe, expect, it, test } from 'vitest';
import { SUBSCRIPTION_STATUSES, routesIn } from '../../domain/subscription/status.js';
import type { Standing } from '../api-keys/standing.js';
import type { TenancyLook } from '../api-keys/tenancy-watch.js';
import { LEASE_MS, RoutingLease } from './routing-lease.js';
import { RoutingRight } from './routing-right.js';

const ACTIVE: Standing = { orgId: 'o', version: 1, status: 'active', hold: false };

class Rig {
  nowMs = 1_000;
  readonly localKill = { engaged: false };
  readonly right = new RoutingRight(new RoutingLease(() => this.nowMs), this.localKill);

  look(fields: Partial<TenancyLook> = {}): void {
    this.right.looked({
      startedAt: this.nowMs,
      line: 'a',
      version: 10,
      from: 10,
      changes: [],
      complete: true,
      routingEnabled: true,
      ...fields,
    });
  }
}

test('a replica that has never reached the database routes nothing', () => {
  expect(new Rig().right.mayRoute(ACTIVE)).toBe(false);
});

test('routing happens in the statuses for it alone, without a hold', () => {
  const rig = new Rig();
  rig.look();
  for (const status of SUBSCRIPTION_STATUSES) {
    expect(rig.right.mayRoute({ ...ACTIVE, status })).toBe(routesIn(status));
    expect(rig.right.mayRoute({ ...ACTIVE, status, hold: true })).toBe(false);
  }
});

test('the global switch and the local one end it at once, and give it back', () => {
  const rig = new Rig();
  rig.look();
  rig.localKill.engaged = true;
  expect(rig.right.mayRoute(ACTIVE)).toBe(false);
  rig.localKill.engaged = false;
  expect(rig.right.mayRoute(ACTIVE)).toBe(true);
  rig.look({ version: 11, routingEnabled: false });
  expect(rig.right.mayRoute(ACTIVE)).toBe(false);
  rig.look({ version: 12 });
  expect(rig.right.mayRoute(ACTIVE)).toBe(true);
});

describe('the lease', () => {
  it('ends 5 s after the look began, not after its answer came', () => {
    const rig = new Rig();
    const startedAt = rig.nowMs;
    rig.nowMs += 1_900;
    rig.look({ startedAt });
    rig.nowMs = startedAt + LEASE_MS - 1;
    expect(rig.right.mayRoute(ACTIVE)).toBe(true);
    rig.nowMs += 1;
    expect(rig.right.mayRoute(ACTIVE)).toBe(false);
  });

  it('is not given by a look that did not see everything', () => {
    const rig = new Rig();
    rig.look({ complete: false });
    expect(rig.right.mayRoute(ACTIVE)).toBe(false);
  });

  it('is renewed by what others saw only where it is of the same line, and at least as new', () => {
    const rig = new Rig();
    rig.look();
    const told = { line: 'a', version: 10, routingEnabled: true, askedAt: 0 };
    rig.nowMs += LEASE_MS;
    for (const wrong of [{ line: 'b' }, { version: 9 }, { askedAt: null }]) {
      rig.right.told({ ...told, askedAt: rig.nowMs, ...wrong });
      expect(rig.right.mayRoute(ACTIVE)).toBe(false);
    }
    rig.right.told({ ...told, askedAt: rig.nowMs });
    expect(rig.right.mayRoute(ACTIVE)).toBe(true);
    rig.right.doubt();
    expect(rig.right.mayRoute(ACTIVE)).toBe(false);
  });

  it('is live at no moment that lies 5 s after the newest confirmation, whatever arrives in which order', () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const rig = new Rig();
      let random = seed;
      const next = (below: number): number => {
        random = (random * 48_271) % 2_147_483_647;
        return random % below;
      };
      let newest = Number.NEGATIVE_INFINITY;
      for (let step = 0; step < 50; step += 1) {
        rig.nowMs += next(2_500);
        const askedAt = rig.nowMs - next(3_000);
        if (next(3) === 0) {
          rig.look({ startedAt: askedAt });
          newest = Math.max(newest, askedAt);
        } else if (next(2) === 0 && rig.right.known !== null) {
          rig.right.told({ line: 'a', version: 10, routingEnabled: true, askedAt });
          newest = Math.max(newest, askedAt);
        }
        expect(rig.right.mayRoute(ACTIVE)).toBe(rig.nowMs < newest + LEASE_MS);
      }
    }
  });
});

test('what others told of the global switch is not undone by an older look of its own that was late', () => {
  const rig = new Rig();
  rig.look();
  rig.right.told({ line: 'a', version: 12, routingEnabled: false, askedAt: rig.nowMs });
  rig.look({ version: 11, from: 10 });
  expect(rig.right.mayRoute(ACTIVE)).toBe(false);
  rig.look({ version: 13, from: 11 });
  expect(rig.right.mayRoute(ACTIVE)).toBe(true);
});

test('the question costs a call well under a microsecond', ({ annotate }) => {
  const rig = new Rig();
  const right = new RoutingRight(new RoutingLease(), rig.localKill);
  right.looked({
    startedAt: performance.now() + 60_000,
    line: 'a',
    version: 1,
    from: null,
    changes: [],
    complete: true,
    routingEnabled: true,
  });
  const rounds = 500_000;
  let yes = 0;
  for (let i = 0; i < rounds; i += 1) if (right.mayRoute(ACTIVE)) yes += 1;
  const start = performance.now();
  for (let i = 0; i < rounds; i += 1) if (right.mayRoute(ACTIVE)) yes += 1;
  const nanoseconds = ((performance.now() - start) * 1e6) / rounds;
  expect(yes).toBe(rounds * 2);
  expect(nanoseconds).toBeLessThan(5_000);
  void annotate(`mayRoute(): ${nanoseconds.toFixed(0)} ns`);
});
