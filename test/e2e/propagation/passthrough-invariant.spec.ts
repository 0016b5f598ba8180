import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  SUBSCRIPTION_STATUSES,
  routesIn,
  type SubscriptionStatus,
} from '../../../src/domain/subscription/status.js';
import type { SubscriptionEvent } from '../../../src/domain/subscription/transitions.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { RedisServer, hasRedisServer } from '../../support/redis-server.js';
import { startTestSandbox } from '../../support/sandbox.js';
import type { Tenant } from '../../support/tenants.js';
import { PausablePostgres } from '../reliability/pausable-postgres.js';
import { endAll, freshDataDir, startReplica, type Replica } from '../reliability/replica.js';
import { until } from '../reliability/until.js';
import { Installation, call } from './installation.js';

const LIMIT_MS = 20_000;
const LEASE_MS = 5_000;

const WAY_TO: Readonly<Record<SubscriptionStatus, readonly SubscriptionEvent[]>> = {
  observing: [],
  observation_ended: ['close_window'],
  active: ['activate'],
  past_due: ['activate', 'payment_past_due'],
  canceled: ['activate', 'cancel'],
  suspended: ['suspend'],
};

const installation = new Installation();
const tenants = new Map<SubscriptionStatus, Tenant>();
let sandbox: Sandbox;
let postgres: PausablePostgres;
let redis: RedisServer;
let replica: Replica;

/** What goes wrong around a call; the last one stays wrong. */
const CONDITIONS: Readonly<Record<string, () => Promise<void>>> = {
  'everything up, but for Paddle, which nobody reaches': () => Promise.resolve(),
  'every job failing': breakJobs,
  'Redis down': () => redis.kill(),
  'Postgres down': () => postgres.pause(),
  'Postgres and Redis down for longer than the lease': leaseOver,
};

beforeAll(async () => {
  if (!hasRedisServer) return;
  sandbox = await startTestSandbox();
  [postgres, redis] = await Promise.all([PausablePostgres.start(), RedisServer.start()]);
  replica = await startReplica({
    dataDir: freshDataDir(),
    env: {
      ...postgres.env,
      ...installation.env(sandbox),
      REDIS_URL: redis.url,
      PADDLE_API_KEY: 'pdl_test_key',
      PADDLE_WEBHOOK_SECRET: 'pdl_ntfset_test',
      PADDLE_BASE_URL: 'http://127.0.0.1:1',
    },
  });
  await installation.connect(postgres.runtimeUrl);
  for (const status of SUBSCRIPTION_STATUSES) {
    const tenant = await installation.tenant(status);
    tenants.set(status, tenant);
    await installation.apply(tenant.orgId, ...WAY_TO[status]);
    await until('the replica knows the status', LIMIT_MS, async () => {
      const answer = await call(replica.origin, tenant.apiKey);
      return answer.mode === status || answer.status === 403;
    });
  }
});
afterAll(async () => {
  if (!hasRedisServer) return;
  await installation.close();
  await endAll();
  await redis.kill();
  await postgres.remove();
  await sandbox.close();
});

/** Whatever jobs read and write is closed to them; resolves once one of them has failed by it. */
async function breakJobs(): Promise<void> {
  const before = await failedRuns();
  const owner = { url: postgres.env['DATABASE_MIGRATION_URL']!, statementTimeoutMs: 10_000 };
  await withConnection(owner, async (connection) => {
    await connection.query(`
      REVOKE ALL ON outbox, observations, observation_steps, reports, billing_inbox,
                    billing_subscriptions FROM shunt_runtime`);
    await connection.query(`
      REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM shunt_runtime;
      GRANT EXECUTE ON FUNCTION find_principal(bytea) TO shunt_runtime`);
    await connection.query(`
      DO $$ BEGIN EXECUTE (
        SELECT coalesce(string_agg(format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC, shunt_runtime;', nspname), ' '), 'SELECT 1')
          FROM pg_namespace WHERE nspname NOT IN ('public', 'pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg_%'
      ); END $$`);
  });
  await until('a job fails', LIMIT_MS, async () => (await failedRuns()) > before);
}

/** Attempts of scheduled jobs that failed so far. */
async function failedRuns(): Promise<number> {
  const text = await (await fetch(`${replica.origin}/metrics`)).text();
  return [...text.matchAll(/^shunt_job_runs_total\{.*result="failed".*\} (\d+)/gm)]
    .map((line) => Number(line[1]))
    .reduce((sum, count) => sum + count, 0);
}

async function leaseOver(): Promise<void> {
  const active = tenants.get('active')!;
  await until('the lease is over', LEASE_MS + 2_000, async () => {
    return (await call(replica.origin, active.apiKey)).decision === 'passthrough';
  });
}

describe.skipIf(!hasRedisServer)('a call is forwarded, whatever the status but suspended', () => {
  for (const [condition, bringAbout] of Object.entries(CONDITIONS)) {
    describe(`with ${condition}`, () => {
      beforeAll(bringAbout);

      it.each(SUBSCRIPTION_STATUSES.filter((status) => status !== 'suspended'))(
        '%s',
        async (status) => {
          const { origin } = replica;
          const answer = await call(origin, tenants.get(status)!.apiKey);
          const mayRoute = routesIn(status) && !condition.includes('longer than the lease');
          expect(answer).toMatchObject({ status: 200, mode: status });
          if (!mayRoute) expect(answer.decision).toBe('passthrough');
          else expect(['abstain', 'passthrough']).toContain(answer.decision);
        },
      );

      it('suspended stays blocked, which needs no lease', async () => {
        const answer = await call(replica.origin, tenants.get('suspended')!.apiKey);
        expect(answer.status).toBe(403);
      });
    });
  }
});
