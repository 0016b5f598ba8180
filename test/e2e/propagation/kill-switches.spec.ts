import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { TcpGate } from '../../integration/tenancy/tcp-gate.js';
import { RedisServer, hasRedisServer } from '../../support/redis-server.js';
import { startTestSandbox } from '../../support/sandbox.js';
import type { Tenant } from '../../support/tenants.js';
import { PausablePostgres } from '../reliability/pausable-postgres.js';
import { endAll, freshDataDir, startReplica, type Replica } from '../reliability/replica.js';
import { measured, until } from '../reliability/until.js';
import { Installation, call, decides } from './installation.js';

const SECOND_MS = 1_000;
const LEASE_MS = 5_000;
const BACK_MS_MAX = 8_000;

const installation = new Installation();
let sandbox: Sandbox;
let postgres: PausablePostgres;
let redis: RedisServer;
/** Of the second replica alone. */
let gates: { postgres: TcpGate; redis: TcpGate };
let replicas: readonly [Replica, Replica];
let origins: readonly string[];
let tenant: Tenant;

describe.skipIf(!hasRedisServer)('what takes routing away', () => {
  beforeAll(async () => {
    sandbox = await startTestSandbox();
    [postgres, redis] = await Promise.all([PausablePostgres.start(), RedisServer.start()]);
    gates = {
      postgres: await TcpGate.to(postgres.runtimeUrl),
      redis: await TcpGate.to(redis.url),
    };
    const env = { ...postgres.env, ...installation.env(sandbox) };
    const first = await startReplica({
      dataDir: freshDataDir(),
      env: { ...env, REDIS_URL: redis.url },
    });
    const second = await startReplica({
      dataDir: freshDataDir(),
      env: { ...env, DATABASE_URL: gates.postgres.url, REDIS_URL: gates.redis.url },
    });
    replicas = [first, second];
    origins = replicas.map(({ origin }) => origin);
    await installation.connect(postgres.runtimeUrl);
  });
  afterAll(async () => {
    await installation.close();
    await endAll();
    await Promise.all([gates.postgres.close(), gates.redis.close()]);
    await redis.kill();
    await postgres.remove();
    await sandbox.close();
  });

  beforeEach(async () => {
    gates.postgres.open();
    gates.redis.open();
    tenant = await installation.tenant('routed');
    await installation.apply(tenant.orgId, 'activate');
    await decides('abstain', origins, tenant.apiKey, BACK_MS_MAX);
  });

  /** From before the act is stored: the longest that anybody could see. */
  async function passesThroughAfter(act: () => Promise<unknown>, what: string): Promise<void> {
    const [tookMs] = await Promise.all([
      decides('passthrough', origins, tenant.apiKey, BACK_MS_MAX),
      act(),
    ]);
    measured(`${what}: both replicas pass through after`, `${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(SECOND_MS);
  }

  const kill = () => installation.apply(tenant.orgId, 'kill');

  it("an operator's kill switch reaches two replicas within a second, and the mode with it", async () => {
    await passesThroughAfter(kill, 'kill');
    for (const origin of origins)
      expect((await call(origin, tenant.apiKey)).mode).toBe('observing');
  });

  it("an owner's own act does, too", async () => {
    await passesThroughAfter(() => installation.apply(tenant.orgId, 'deactivate'), 'deactivation');
  });

  it('the global switch does, for everybody, and leaves the status as it is', async () => {
    try {
      await passesThroughAfter(() => installation.setGlobalRouting(false), 'global switch');
      for (const origin of origins) {
        expect(await call(origin, tenant.apiKey)).toEqual({
          status: 200,
          decision: 'passthrough',
          mode: 'active',
        });
      }
    } finally {
      await installation.setGlobalRouting(true);
    }
    expect(await decides('abstain', origins, tenant.apiKey, BACK_MS_MAX)).toBeLessThan(SECOND_MS);
  });

  it('a suspension blocks within a second, and its end unblocks', async () => {
    const status = async (expected: number): Promise<number> => {
      const taken = origins.map((origin) =>
        until(`calls get ${expected}`, BACK_MS_MAX, async () => {
          return (await call(origin, tenant.apiKey)).status === expected;
        }),
      );
      return Math.max(...(await Promise.all(taken)));
    };
    await installation.apply(tenant.orgId, 'suspend');
    expect(await status(403)).toBeLessThan(SECOND_MS);
    await installation.apply(tenant.orgId, 'reinstate');
    expect(await status(200)).toBeLessThan(SECOND_MS);
  });

  it('it does so when the connections that bring the news were cut', async () => {
    const session = { url: postgres.runtimeUrl, statementTimeoutMs: 5_000 };
    const cut = await withConnection(session, (connection) =>
      connection.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'shunt-listen'`,
      ),
    );
    expect(cut.length).toBeGreaterThanOrEqual(2);
    await passesThroughAfter(kill, 'kill without notifications');
  });

  it.each([
    ['refuses', () => gates.postgres.cut()],
    ['is silent', () => gates.postgres.freeze()],
  ])(
    'it does so on a replica whose Postgres %s, by Redis, and routing goes on until then',
    async (_how, take) => {
      take();
      const goneAt = performance.now();
      await until('its own lease would be over', BACK_MS_MAX, async () => {
        expect(await call(origins[1]!, tenant.apiKey)).toMatchObject({
          status: 200,
          decision: 'abstain',
        });
        return performance.now() - goneAt > LEASE_MS + SECOND_MS;
      });
      await passesThroughAfter(kill, 'kill by Redis alone');
      expect((await call(origins[1]!, tenant.apiKey)).mode).toBe('observing');
    },
  );

  it('without both, its lease ends within five seconds: it passes through, and blocks nothing', async () => {
    gates.postgres.cut();
    gates.redis.cut();
    await kill();
    const tookMs = await decides('passthrough', [origins[1]!], tenant.apiKey, BACK_MS_MAX);
    measured('neither Postgres nor Redis: passes through after', `${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(LEASE_MS + 200);
    // It cannot know the new status: routing ended by the lease.
    expect(await call(origins[1]!, tenant.apiKey)).toMatchObject({ status: 200, mode: 'active' });
    gates.postgres.open();
    gates.redis.open();
    await until('it knows the status', BACK_MS_MAX, async () => {
      return (await call(origins[1]!, tenant.apiKey)).mode === 'observing';
    });
  });

  it('with Redis down, Postgres alone does it', async () => {
    gates.redis.cut();
    await passesThroughAfter(kill, 'kill without Redis');
  });
});
