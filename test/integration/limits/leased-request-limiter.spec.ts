import * as fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { leaseSize } from '../../../src/modules/limits/lease-size.js';
import { LeasedRequestLimiter } from '../../../src/modules/limits/leased-request-limiter.js';
import { RedisLeaseStore } from '../../../src/modules/limits/redis-lease-store.js';
import { RedisConnection } from '../../../src/platform/redis/redis-connection.js';
import { hasRedisServer, RedisServer, until } from '../../support/redis-server.js';

const MINUTE_MS = 60_000;
const REPLICAS = 3;
const logger = pino({ level: 'silent' });

interface Cluster {
  readonly clock: { timeMs: number; nowMs(): number };
  readonly replicas: LeasedRequestLimiter[];
  readonly connections: RedisConnection[];
}

let organizations = 0;
const newOrg = (): string => `org-${(organizations += 1)}`;

describe.skipIf(!hasRedisServer)('leased limits over three replicas (needs redis-server)', () => {
  let server: RedisServer;
  let cluster: Cluster;

  /** Replicas whose clocks, and the script's, are the test's. */
  async function startCluster(leaseWaitMsMax: number): Promise<Cluster> {
    const clock = {
      timeMs: 1_790_000_000_000,
      nowMs() {
        return this.timeMs;
      },
    };
    const connections = Array.from(
      { length: REPLICAS },
      () => new RedisConnection(server.url, logger),
    );
    await until(() => connections.every((connection) => connection.status() === 'ready'));
    const replicas = connections.map((connection) => {
      const store = new RedisLeaseStore(connection, () => clock.nowMs());
      return new LeasedRequestLimiter(clock, store, { leaseWaitMsMax });
    });
    return { clock, replicas, connections };
  }

  async function beat({ replicas }: Cluster): Promise<void> {
    // Twice: the first replica's first heartbeat does not see the others yet.
    for (const replica of [...replicas, ...replicas]) await replica.heartbeat();
  }

  beforeEach(async () => {
    server = await RedisServer.start();
  });
  afterEach(async () => {
    await Promise.all(cluster.connections.map((connection) => connection.close()));
    await server.kill();
  });

  it('passes at most the limit and one lease per replica within any 60 s', async () => {
    cluster = await startCluster(5_000);
    const step = fc.record({
      gapMs: fc.oneof(fc.nat(20), fc.nat(900), fc.nat(8_000)),
      replica: fc.nat(REPLICAS - 1),
      calls: fc.integer({ min: 1, max: 120 }),
    });
    const limits = fc.constantFrom(1, 2, 5, 60, 240, 600, 1_200);
    let worst = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), limits, async (steps, limit) => {
        const orgId = newOrg();
        await beat(cluster);
        const allowedMs: number[] = [];
        for (const { gapMs, replica, calls } of steps) {
          cluster.clock.timeMs += gapMs;
          if (gapMs >= 1_000) await beat(cluster);
          const limiter = cluster.replicas[replica];
          const permits = Array.from({ length: calls }, () => limiter?.take(orgId, limit));
          for (const permit of await Promise.all(permits)) {
            if (permit?.allowed) allowedMs.push(cluster.clock.timeMs);
          }
        }
        const most = mostWithinAMinute(allowedMs);
        worst = Math.max(worst, most / limit);
        expect(most).toBeLessThanOrEqual(limit + REPLICAS * leaseSize(limit));
        cluster.clock.timeMs += 2 * MINUTE_MS;
      }),
      { numRuns: 40 },
    );
    expect(worst).toBeGreaterThanOrEqual(1);
  });

  it('passes nearly the whole limit: what other replicas hold comes back', async () => {
    cluster = await startCluster(5_000);
    await beat(cluster);
    const orgId = newOrg();
    const limit = 1_200;
    let passed = 0;
    for (let second = 0; second < 60; second += 1) {
      for (const replica of cluster.replicas) {
        for (let call = 0; call < 10; call += 1) {
          if ((await replica.take(orgId, limit)).allowed) passed += 1;
        }
      }
      cluster.clock.timeMs += 1_000;
      await beat(cluster);
    }
    expect(passed).toBeLessThanOrEqual(limit + REPLICAS * leaseSize(limit));
    expect(passed).toBeGreaterThanOrEqual(limit - REPLICAS * leaseSize(limit));
  });

  it.each([1, 2, 5])(
    'passes exactly %i calls a minute, whichever replica is asked',
    async (limit) => {
      cluster = await startCluster(5_000);
      await beat(cluster);
      const orgId = newOrg();
      const firstMs = cluster.clock.timeMs;
      const verdicts: boolean[] = [];
      for (let call = 0; call < limit + 3; call += 1) {
        const permit = await cluster.replicas[call % REPLICAS]?.take(orgId, limit);
        verdicts.push(permit?.allowed === true);
        if (call < limit) cluster.clock.timeMs += 1_500;
      }
      expect(verdicts.filter(Boolean)).toHaveLength(limit);
      cluster.clock.timeMs = firstMs + MINUTE_MS - 1;
      expect((await cluster.replicas[0]?.take(orgId, limit))?.allowed).toBe(false);
      cluster.clock.timeMs += 1;
      await expect(cluster.replicas[0]?.take(orgId, limit)).resolves.toEqual({ allowed: true });
      expect((await cluster.replicas[1]?.take(orgId, limit))?.allowed).toBe(false);
    },
  );

  it('keeps organizations apart', async () => {
    cluster = await startCluster(5_000);
    await beat(cluster);
    const [a, b] = [newOrg(), newOrg()];
    const [first, second] = cluster.replicas;
    expect((await first?.take(a, 1))?.allowed).toBe(true);
    expect((await second?.take(a, 1))?.allowed).toBe(false);
    expect((await second?.take(b, 1))?.allowed).toBe(true);
  });

  it('lets traffic flow when Redis dies, each replica its share, and leases again when it is back', async () => {
    cluster = await startCluster(5_000);
    await beat(cluster);
    const orgId = newOrg();
    const limit = 30;
    for (let call = 0; call < 6; call += 1) await cluster.replicas[0]?.take(orgId, limit);

    await server.kill();
    await until(() => cluster.connections.every((connection) => connection.status() !== 'ready'));
    const passed = cluster.replicas.map((replica) => {
      const permits = Array.from({ length: 15 }, () => replica.take(orgId, limit));
      expect(permits.some((permit) => permit instanceof Promise)).toBe(false);
      return permits.filter((permit) => 'allowed' in permit && permit.allowed).length;
    });
    expect(passed).toEqual([4, 10, 10]);

    await server.start();
    await until(() => cluster.connections.every((connection) => connection.status() === 'ready'));
    await beat(cluster);
    expect(cluster.replicas.every((replica) => replica.leasing)).toBe(true);
    for (const replica of cluster.replicas) await replica.take(orgId, limit);
    // All that was let through is known again, from before the crash too: 30 of 30.
    const refused = await cluster.replicas[0]?.take(orgId, limit);
    expect(refused).toMatchObject({ allowed: false });
  });

  it('lets the local share decide while Redis does not answer', async () => {
    cluster = await startCluster(50);
    await until(async () => {
      await beat(cluster);
      return cluster.replicas.every((replica) => replica.leasing);
    });
    const orgId = newOrg();
    server.freeze();
    try {
      const [first] = cluster.replicas;
      expect((await first?.take(orgId, 3))?.allowed).toBe(true);
      expect(first?.leasing).toBe(false);
      expect(first?.take(orgId, 3)).toMatchObject({ allowed: false });
    } finally {
      server.thaw();
    }
  });

  it('keeps nothing in Redis but counts, and nothing for longer than about a minute', async () => {
    cluster = await startCluster(5_000);
    await beat(cluster);
    const orgId = newOrg();
    await cluster.replicas[0]?.take(orgId, 6_000);
    const [connection] = cluster.connections;
    const reading = {
      name: 'read',
      lua: `return { redis.call('HGETALL', KEYS[1]), redis.call('PTTL', KEYS[1]) }`,
    };
    const reply = await connection?.evalScript(reading, [`shunt:limit:{${orgId}}`], []);
    const [fields, ttlMs] = reply as [string[], number];
    expect(fields).toEqual([`${cluster.clock.timeMs}`, '51000']);
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(66_000);
  });

  it('counts replicas by their heartbeats, and not those that left', async () => {
    cluster = await startCluster(5_000);
    await beat(cluster);
    const [first, , third] = cluster.replicas;
    await third?.stop();
    await first?.heartbeat();
    await server.kill();
    await until(() => cluster.connections[0]?.status() !== 'ready');
    const orgId = newOrg();
    const permits = Array.from({ length: 6 }, () => first?.take(orgId, 6));
    const passed = permits.filter((permit) => permit && 'allowed' in permit && permit.allowed);
    expect(passed).toHaveLength(3);
  });
});

function mostWithinAMinute(sortedMs: readonly number[]): number {
  let most = 0;
  let first = 0;
  for (const [last, lastMs] of sortedMs.entries()) {
    while ((sortedMs[first] ?? 0) <= lastMs - MINUTE_MS) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}
