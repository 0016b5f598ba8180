import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Standing, StandingFacts } from '../../../src/modules/api-keys/standing.js';
import type { TenancyLook } from '../../../src/modules/api-keys/tenancy-watch.js';
import {
  FOLLOWED_MAX,
  RELAYED_MAX,
  RELAY_KEYS,
} from '../../../src/modules/subscriptions/relay-scripts.js';
import { ALIVE_MS, RelayStore } from '../../../src/modules/subscriptions/relay-store.js';
import { RoutingFollower } from '../../../src/modules/subscriptions/routing-follower.js';
import { LEASE_MS, RoutingLease } from '../../../src/modules/subscriptions/routing-lease.js';
import { RoutingRelay } from '../../../src/modules/subscriptions/routing-relay.js';
import { RoutingRight } from '../../../src/modules/subscriptions/routing-right.js';
import { RedisConnection } from '../../../src/platform/redis/redis-connection.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { RedisServer, hasRedisServer, until } from '../../support/redis-server.js';

const logger = createLogger('silent');
let server: RedisServer;
let redis: RedisConnection;
let store: RelayStore;

const FLUSH = { name: 'flush', lua: `redis.call('FLUSHALL') return 1` };
const EVICT = { name: 'evict', lua: `redis.call('DEL', KEYS[1]) return 1` };
const flush = () => redis.evalScript(FLUSH, [RELAY_KEYS[0]], []);

const change = (version: number, fields: Partial<StandingFacts> = {}): StandingFacts => ({
  orgId: `org-${version}`,
  version,
  status: 'observing',
  hold: true,
  ...fields,
});

/** A replica that sees the database, and says so. */
class Seer {
  readonly relay: RoutingRelay;

  constructor(through: Pick<RelayStore, 'tell'> = store) {
    this.relay = new RoutingRelay(through);
  }

  async look(version: number, from: number | null, fields: Partial<TenancyLook> = {}) {
    this.relay.looked({
      startedAt: performance.now(),
      line: 'a',
      version,
      from,
      changes: [],
      complete: true,
      routingEnabled: true,
      ...fields,
    });
    await this.relay.settled();
  }
}

/** A replica that saw the database up to a version, and since then only what others tell. */
class Blind {
  now = performance.now();
  readonly taken: StandingFacts[] = [];
  readonly right = new RoutingRight(new RoutingLease(() => this.now), { engaged: false });
  readonly follower = new RoutingFollower({
    store,
    right: this.right,
    take: (standings) => this.taken.push(...standings),
    logger,
    now: () => this.now,
  });

  constructor(version: number, line = 'a') {
    const look = { line, version, from: null, changes: [], complete: true, routingEnabled: true };
    this.right.looked({ ...look, startedAt: this.now });
  }

  get routes(): boolean {
    const active: Standing = { orgId: 'o', version: 0, status: 'active', hold: false };
    return this.right.mayRoute(active);
  }

  async ask(afterMs = 1_000): Promise<void> {
    this.now += afterMs;
    await this.follower.ask();
  }
}

describe.skipIf(!hasRedisServer)('what replicas tell each other through Redis', () => {
  beforeAll(async () => {
    server = await RedisServer.start();
    redis = new RedisConnection(server.url, logger);
    store = new RelayStore(redis);
    await until(() => redis.status() === 'ready');
  });
  afterAll(async () => {
    await redis.close();
    await server.kill();
  });
  beforeEach(flush);

  it('brings changes, the global switch and the lease to a replica without the database', async () => {
    const seer = new Seer();
    await seer.look(10, null);
    const blind = new Blind(10);
    await blind.ask(LEASE_MS);
    expect(blind.routes).toBe(true);
    await seer.look(12, 10, { changes: [change(11), change(12, { status: 'suspended' })] });
    await blind.ask();
    expect(blind.taken).toEqual([change(11), change(12, { status: 'suspended' })]);
    expect(blind.right.known).toEqual({ line: 'a', version: 12 });
    await seer.look(13, 12, { routingEnabled: false });
    await blind.ask();
    expect(blind.routes).toBe(false);
    await blind.ask();
    expect(blind.taken).toHaveLength(2);
  });

  it('gives no lease once nobody sees the database any more', async () => {
    await new Seer().look(10, null);
    const blind = new Blind(10);
    await until(async () => (await store.hear(10))?.ageMs === null);
    await blind.ask(LEASE_MS);
    expect(blind.routes).toBe(false);
  });

  it('gives a lease that counts from the look at the database, not from the question to Redis', async () => {
    await new Seer().look(10, null, { startedAt: performance.now() - ALIVE_MS / 2 });
    const blind = new Blind(10);
    await blind.ask(LEASE_MS);
    expect(blind.routes).toBe(true);
    blind.now += LEASE_MS - ALIVE_MS / 2;
    expect(blind.routes).toBe(false);
  });

  it('never goes back: a late replica writes nothing, and its look confirms nothing', async () => {
    const [fast, slow] = [new Seer(), new Seer()];
    await fast.look(10, null);
    await fast.look(12, 10, { changes: [change(12)], routingEnabled: false });
    await until(async () => (await store.hear(10))?.ageMs === null);
    await slow.look(11, null);
    expect(await store.hear(10)).toMatchObject({
      version: 12,
      routingEnabled: false,
      ageMs: null,
      changes: [change(12)],
    });
  });

  it('closes the gap that a new replica leaves before the others have told', async () => {
    const [old, fresh] = [new Seer(), new Seer()];
    await old.look(10, null);
    await fresh.look(12, null);
    const blind = new Blind(10);
    await blind.ask();
    // Something happened that it cannot learn: better no routing than the wrong one.
    expect(blind.routes).toBe(false);
    await old.look(12, 10, { changes: [change(11), change(12)] });
    await blind.ask();
    expect(blind.taken).toEqual([change(11), change(12)]);
    expect(blind.routes).toBe(true);
  });

  it('survives a flushed Redis: nobody gets a lease by what is no longer known', async () => {
    const seer = new Seer();
    await seer.look(10, null);
    await seer.look(12, 10, { changes: [change(12)] });
    await flush();
    const [behind, current] = [new Blind(10), new Blind(12)];
    await behind.ask(LEASE_MS);
    expect(behind.routes).toBe(false);
    await seer.look(12, 12);
    await behind.ask();
    await current.ask(LEASE_MS);
    expect([behind.routes, current.routes]).toEqual([false, true]);
  });

  it('knows nothing rather than a part, where Redis threw a part away', async () => {
    const seer = new Seer();
    await seer.look(10, null);
    await seer.look(12, 10, { changes: [change(12)] });
    await redis.evalScript(EVICT, [RELAY_KEYS[1]], []);
    expect(await store.hear(10)).toBeNull();
    await seer.look(13, 12, { changes: [change(13)] });
    const blind = new Blind(10);
    await blind.ask();
    expect([blind.taken, blind.routes]).toEqual([[], false]);
  });

  it('ends the lease of a replica that knew another life of the database', async () => {
    const seer = new Seer();
    await seer.look(100, null);
    const blind = new Blind(105);
    // Restored from a backup: what 101 to 105 were is lost, and others take their numbers.
    await seer.look(100, null, { line: 'b' });
    await seer.look(106, 100, { line: 'b', changes: [change(106)] });
    expect(blind.routes).toBe(true);
    await blind.ask();
    expect(blind.routes).toBe(false);
  });

  it('begins anew where the counter of the same server went back', async () => {
    const seer = new Seer();
    await seer.look(100, null);
    await seer.look(90, null);
    expect(await store.hear(90)).toMatchObject({ version: 90, floor: 90 });
    const blind = new Blind(100);
    await blind.ask(LEASE_MS);
    expect(blind.routes).toBe(false);
  });

  it('tells later what could not be told while Redis was away', async () => {
    let isAway = false;
    const seer = new Seer({
      tell: async (told) => {
        if (isAway) throw new Error('away');
        return store.tell(told);
      },
    });
    await seer.look(10, null);
    isAway = true;
    await seer.look(11, 10, { changes: [change(11)] });
    isAway = false;
    await seer.look(12, 11, { changes: [change(12)] });
    const blind = new Blind(10);
    await blind.ask();
    expect(blind.taken).toEqual([change(11), change(12)]);
  });

  it('keeps a bounded number of changes, and takes many in more than one answer', async () => {
    const seer = new Seer();
    await seer.look(0, null);
    const total = RELAYED_MAX + 500;
    for (let from = 0; from < total; from += FOLLOWED_MAX) {
      const upTo = Math.min(from + FOLLOWED_MAX, total);
      const changes = Array.from({ length: upTo - from }, (_, n) => change(from + n + 1));
      await seer.look(upTo, from, { changes });
    }
    const [old, recent] = [new Blind(499), new Blind(500)];
    await Promise.all([old.ask(), recent.ask()]);
    expect([old.taken.length, old.routes]).toEqual([0, false]);
    expect(recent.taken.map(({ version }) => version)).toEqual(
      Array.from({ length: RELAYED_MAX }, (_, n) => 501 + n),
    );
    expect([recent.right.known?.version, recent.routes]).toEqual([total, true]);
  });
});
