import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BreakerTarget } from '../../../src/modules/resilience/breaker.js';
import { Breakers } from '../../../src/modules/resilience/breakers.js';
import { CoolDowns } from '../../../src/modules/resilience/cool-downs.js';
import { ResilienceSharing } from '../../../src/modules/resilience/resilience-sharing.js';
import { SharedProbeRights } from '../../../src/modules/resilience/shared-probe-rights.js';
import { systemClock } from '../../../src/platform/clock.js';
import { RedisConnection } from '../../../src/platform/redis/redis-connection.js';
import { hasRedisServer, RedisServer, until } from '../../support/redis-server.js';

const SOL: BreakerTarget = { provider: 'openai', model: 'gpt-6-sol', synthetic: false };
const LUNA: BreakerTarget = { provider: 'openai', model: 'gpt-6-luna', synthetic: false };
const A = 'org-a';
const B = 'org-b';
const HOUR_MS = 3_600_000;
const SPREAD_MS_MAX = 1_000;
/** Shorter than in service, so that the test need not wait, and longer than a change needs to spread. */
const RESET_MS = 2_000;
const HALF_OPEN_MS_MAX = RESET_MS + 1_000;

interface Replica {
  readonly redis: RedisConnection;
  readonly breakers: Breakers;
  readonly coolDowns: CoolDowns;
  readonly sharing: ResilienceSharing;
}

describe.skipIf(!hasRedisServer)('breakers over two replicas (needs redis-server)', () => {
  let server: RedisServer;
  let replicas: Replica[];
  let one: Replica;
  let two: Replica;

  async function startReplica(): Promise<Replica> {
    const redis = new RedisConnection(server.url, pino({ level: 'silent' }));
    const replicaId = randomUUID();
    const rights = new SharedProbeRights(redis, replicaId);
    const breakers = new Breakers({
      clock: systemClock,
      rightOf: (key) => rights.rightOf(key),
      resetMs: RESET_MS,
    });
    const coolDowns = new CoolDowns(systemClock);
    const parts = { redis, breakers, coolDowns, clock: systemClock, replicaId };
    const sharing = new ResilienceSharing(parts);
    sharing.start();
    const replica = { redis, breakers, coolDowns, sharing };
    replicas.push(replica);
    await until(() => redis.status() === 'ready');
    return replica;
  }

  beforeEach(async () => {
    server = await RedisServer.start();
    replicas = [];
    one = await startReplica();
    two = await startReplica();
  });
  afterEach(async () => {
    for (const { sharing, breakers, redis } of replicas) {
      sharing.stop();
      breakers.stop();
      await redis.close();
    }
    await server.kill();
  });

  const stateFor = ({ breakers }: Replica, orgId: string) =>
    breakers.stateFor({ target: LUNA, orgId });
  const attempt = ({ breakers }: Replica, orgId: string) =>
    breakers.attempt({ target: LUNA, orgId });
  function fail({ breakers }: Replica, orgId: string, times = 6): void {
    for (let time = 0; time < times; time += 1)
      breakers.observe({ target: LUNA, orgId }, 'transient');
  }
  async function within(ms: number, condition: () => boolean): Promise<void> {
    const startedAt = performance.now();
    await until(condition);
    expect(performance.now() - startedAt).toBeLessThan(ms);
  }
  async function halfOpen(replica: Replica): Promise<void> {
    const startedAt = performance.now();
    while (stateFor(replica, A) !== 'half_open') {
      expect(performance.now() - startedAt).toBeLessThan(HALF_OPEN_MS_MAX);
      await pause(25);
    }
  }

  it('what opens on one is open on the other within a second, for the same organizations', async () => {
    fail(one, A);
    expect(stateFor(one, A)).toBe('open');
    await within(SPREAD_MS_MAX, () => stateFor(two, A) === 'open');
    expect(stateFor(two, B)).toBe('closed');
  });

  it('failures of two organizations, one at each replica, open it for everybody on both', async () => {
    fail(one, A);
    fail(two, B);
    await within(SPREAD_MS_MAX, () =>
      [one, two].every((replica) => stateFor(replica, 'org-new') === 'open'),
    );
  });

  it('one probe goes out over both, and its success closes both within a second', async () => {
    fail(one, A);
    fail(one, B);
    await until(() => stateFor(two, A) === 'open');
    await Promise.all([halfOpen(one), halfOpen(two)]);
    const probes: { succeeded(): void }[] = [];
    // Both see plenty of calls, from both organizations; none of them waits.
    for (let round = 0; round < 40; round += 1) {
      for (const replica of [one, two]) {
        for (const orgId of [A, B]) {
          const made = attempt(replica, orgId);
          if (made.allowed) probes.push(made);
        }
      }
      await pause(25);
    }
    expect(probes).toHaveLength(1);
    probes[0]?.succeeded();
    await within(SPREAD_MS_MAX, () =>
      [one, two].every((replica) => stateFor(replica, A) === 'closed'),
    );
  });

  it('a probe that fails keeps both from probing again at once', async () => {
    fail(one, A);
    await until(() => stateFor(two, A) === 'open');
    await Promise.all([halfOpen(one), halfOpen(two)]);
    attempt(one, A);
    let probe = attempt(one, A);
    await until(() => {
      if (!probe.allowed) probe = attempt(one, A);
      return probe.allowed;
    });
    probe.failed('transient');
    await within(SPREAD_MS_MAX, () => stateFor(two, A) === 'open');
    expect([attempt(one, A).allowed, attempt(two, A).allowed]).toEqual([false, false]);
  });

  it('a cool-down of one organization is known on the other replica, for that organization alone', async () => {
    const call = (orgId: string) => ({ orgId, target: LUNA, keyId: 'key' });
    one.coolDowns.failed(call(A), 'quota', HOUR_MS);
    await within(SPREAD_MS_MAX, () => two.coolDowns.isCoolingDown(call(A)));
    expect(two.coolDowns.isCoolingDown(call(B))).toBe(false);
    const untilMs = two.coolDowns.current(call(A))?.untilMs ?? 0;
    expect(Math.abs(untilMs - Date.now() - HOUR_MS)).toBeLessThan(2_000);
    // Another model's success ends it for the others on both, and leaves it to the one that failed.
    const other = { ...call(A), target: SOL };
    expect(two.coolDowns.isCoolingDown(other)).toBe(true);
    two.coolDowns.succeeded(other, Date.now());
    await within(SPREAD_MS_MAX, () => !one.coolDowns.isCoolingDown(other));
    for (const { coolDowns } of [one, two]) {
      const leftMs = (coolDowns.current(call(A))?.untilMs ?? 0) - Date.now();
      expect(leftMs).toBeGreaterThan(HOUR_MS - 10_000);
    }
    two.coolDowns.succeeded(call(A), Date.now());
    await within(SPREAD_MS_MAX, () => !one.coolDowns.isCoolingDown(call(A)));
  });

  it('a replica that joins later learns what is open and what cools down', async () => {
    fail(one, A);
    one.coolDowns.failed({ orgId: B, target: LUNA, keyId: 'key' }, 'rate_limit', 60_000);
    await until(() => stateFor(two, A) === 'open');
    const three = await startReplica();
    await within(SPREAD_MS_MAX, () => stateFor(three, A) === 'open');
    await until(() => three.coolDowns.isCoolingDown({ orgId: B, target: LUNA, keyId: 'key' }));
  });

  it('without Redis each replica goes by what it knows, and tells it once Redis is back', async () => {
    await server.kill();
    await until(() => [one, two].every(({ redis }) => redis.status() !== 'ready'));
    fail(one, A);
    expect(stateFor(one, A)).toBe('open');
    expect(attempt(two, A).allowed).toBe(true);
    await halfOpen(one);
    const probe = attempt(one, A);
    expect(probe.kind).toBe('probe');
    probe.failed('transient');
    await server.start();
    await until(() => stateFor(two, A) === 'open');
  });

  it('a Redis that comes back empty is told again what is open and what cools down', async () => {
    const call = { orgId: B, target: LUNA, keyId: 'key' };
    fail(one, A);
    one.coolDowns.failed(call, 'quota', 60_000);
    await until(() => stateFor(two, A) === 'open' && two.coolDowns.isCoolingDown(call));
    await server.kill();
    await until(() => [one, two].every(({ redis }) => redis.status() !== 'ready'));
    await server.start();
    const three = await startReplica();
    await until(() => stateFor(three, A) !== 'closed' && three.coolDowns.isCoolingDown(call));
  });

  it('a Redis that takes commands and answers none holds nobody up', async () => {
    server.freeze();
    const startedAt = performance.now();
    for (let call = 0; call < 1_000; call += 1) {
      attempt(one, A).failed('transient');
      one.coolDowns.failed({ orgId: A, target: LUNA, keyId: 'key' }, 'quota', null);
    }
    expect(performance.now() - startedAt).toBeLessThan(500);
    expect(stateFor(one, A)).toBe('open');
    server.thaw();
    await until(() => stateFor(two, A) === 'open');
  });
});
