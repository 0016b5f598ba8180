import { randomBytes } from 'node:crypto';
import { cpSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ApiKeyService } from '../../../src/modules/api-keys/api-key.service.js';
import { SnapshotFile } from '../../../src/modules/api-keys/snapshot-file.js';
import { systemClock } from '../../../src/platform/clock.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { DashboardClient } from '../../support/dashboard-client.js';
import { startTestSandbox } from '../../support/sandbox.js';
import { failToStart } from '../../support/shunt-process.js';
import type { Tenant } from '../../support/tenants.js';
import { Caller } from '../reliability/caller.js';
import { PausablePostgres } from '../reliability/pausable-postgres.js';
import { endAll, freshDataDir, startReplica, type Replica } from '../reliability/replica.js';
import { RequestLogReader } from '../reliability/request-log.js';
import { measured, until } from '../reliability/until.js';
import { Installation, call, decides } from './installation.js';

const LIMIT_MS = 30_000;
const CALLS = 30;

const installation = new Installation();
let sandbox: Sandbox;
let postgres: PausablePostgres;
let dataDir: string;
let good: Tenant;
let active: Tenant;
let suspended: Tenant;
let revoked: Tenant;
/** Its key is never used before the database goes away. */
let unseen: Tenant;
/** It gives the database half a minute to appear: the other tests need not wait for that. */
let startOfOtherKey: ReturnType<typeof failToStart>;

beforeAll(async () => {
  sandbox = await startTestSandbox();
  postgres = await PausablePostgres.start();
  dataDir = freshDataDir();
  const replica = await start();
  await installation.connect(postgres.runtimeUrl);
  [good, active, suspended, revoked, unseen] = (await Promise.all(
    ['good', 'active', 'suspended', 'revoked', 'unseen'].map((name) => installation.tenant(name)),
  )) as [Tenant, Tenant, Tenant, Tenant, Tenant];
  await installation.apply(active.orgId, 'activate');
  await installation.apply(suspended.orgId, 'suspend');
  await statusOf(replica, good, 200);
  await decides('abstain', [replica.origin], active.apiKey, LIMIT_MS);
  await statusOf(replica, suspended, 403);
  await statusOf(replica, revoked, 200);
  await revoke(revoked);
  await statusOf(replica, revoked, 401);
  // Killed: what counts is what it kept while it ran.
  const box = new SecretBox({ current: installation.encryptionKey, previous: null });
  await until('the snapshot holds them', LIMIT_MS, async () => {
    const snapshot = await new SnapshotFile(dataDir, box).read();
    const rows = [...(snapshot?.entries() ?? [])].map(({ row }) => row);
    return rows.length === 4 && rows.some((row) => row.revoked_at !== null);
  });
  await replica.end('SIGKILL');
  startOfOtherKey = startWithOtherKey();
});
afterAll(async () => {
  await startOfOtherKey;
  await installation.close();
  await endAll();
  await postgres.remove();
  await sandbox.close();
});

/** A test that fails must not leave the next one without a database. */
let isAway = false;
async function away(): Promise<void> {
  await postgres.pause();
  isAway = true;
}
async function back(): Promise<void> {
  if (isAway) await postgres.resume();
  isAway = false;
}
afterEach(back);

function start(env: Readonly<Record<string, string>> = {}): Promise<Replica> {
  return startReplica({
    dataDir,
    env: { ...postgres.env, ...installation.env(sandbox), ...env },
  });
}

/** On what the last run left, copied; its database's port is closed, as that of one that is away. */
function startWithOtherKey(): ReturnType<typeof failToStart> {
  const left = freshDataDir();
  cpSync(dataDir, left, { recursive: true });
  const closed = (url: string): string => Object.assign(new URL(url), { port: '1' }).toString();
  return failToStart({
    NODE_ENV: 'test',
    SHUNT_DATA_DIR: left,
    DATABASE_URL: closed(postgres.env['DATABASE_URL'] ?? ''),
    DATABASE_MIGRATION_URL: closed(postgres.env['DATABASE_MIGRATION_URL'] ?? ''),
    ...installation.env(sandbox),
    SHUNT_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  });
}

async function revoke({ orgId, apiKeyId }: Tenant): Promise<void> {
  const keys = new ApiKeyService(installation.database, systemClock);
  expect(await keys.revoke(orgId, apiKeyId, { kind: 'system', part: 'test' })).toBe(true);
}

async function statusOf({ origin }: Replica, { apiKey }: Tenant, expected: number) {
  await until(`it is answered ${expected}`, LIMIT_MS, async () => {
    return (await call(origin, apiKey)).status === expected;
  });
}

/** What the dashboard answers to somebody who wants to sign in. */
async function signIn(origin: string): Promise<number> {
  const client = new DashboardClient(origin);
  await client.get('/api/session');
  const body = { email: 'owner@example.test', password: 'whatever it is' };
  return (await client.post('/api/login', body)).status;
}

async function page({ origin }: Replica, path: string): Promise<number> {
  return (await fetch(`${origin}/${path}`)).status;
}

it('a start without Postgres serves what the last run knew, refuses what it refused, and becomes a normal one by itself without losing a record', async () => {
  await away();
  const beganAt = performance.now();
  const replica = await start();
  measured('cold start without Postgres', `${Math.round(performance.now() - beganAt)} ms`);
  const { origin } = replica;
  expect(await call(origin, good.apiKey)).toEqual({
    status: 200,
    decision: 'passthrough',
    mode: 'observing',
  });
  expect(await call(origin, active.apiKey)).toEqual({
    status: 200,
    decision: 'passthrough',
    mode: 'active',
  });
  expect((await call(origin, suspended.apiKey)).status).toBe(403);
  expect((await call(origin, revoked.apiKey)).status).toBe(401);
  expect((await call(origin, unseen.apiKey)).status).toBe(503);
  expect(await page(replica, 'healthz')).toBe(200);
  const readiness = await fetch(`${origin}/readyz`);
  expect([readiness.status, await readiness.json()]).toMatchObject([503, { status: 'degraded' }]);

  expect(await page(replica, 'api/session')).toBe(200);
  expect(await signIn(origin)).toBe(503);
  const caller = new Caller(origin, good.apiKey);
  const calls = Array.from({ length: CALLS }, (_, n) => caller.call({ streamed: n % 2 === 0 }));
  await Promise.all(calls.map((each) => each.end));
  expect(calls.filter((each) => each.status !== 200 || !each.whole)).toEqual([]);

  await back();
  const normalMs = await until('it is ready', LIMIT_MS, async () => {
    return (await page(replica, 'readyz')) === 200;
  });
  measured('ready after the return of Postgres', `${Math.round(normalMs)} ms`);
  await statusOf(replica, unseen, 200);
  await decides('abstain', [origin], active.apiKey, LIMIT_MS);
  const reader = await RequestLogReader.at(postgres.runtimeUrl);
  await until('the records are there', LIMIT_MS, async () => {
    const ids = new Set(await reader.ids());
    return calls.every((each) => ids.has(each.requestId ?? ''));
  });
  await reader.close();
  await caller.close();
  expect(await replica.end()).toBe(0);
});

it('a key that was revoked while the replica was down is served until Postgres is back, and not a moment longer than that takes', async () => {
  await revoke(good);
  await away();
  const replica = await start();
  // It cannot know: this is why a snapshot has an age.
  expect((await call(replica.origin, good.apiKey)).status).toBe(200);
  await back();
  await statusOf(replica, good, 401);
  expect(await replica.end()).toBe(0);
});

it('a restart reads the keys of the last run again, and forgets none', async () => {
  for (let round = 0; round < 2; round += 1) expect(await (await start()).end()).toBe(0);
  await away();
  const replica = await start();
  expect((await call(replica.origin, active.apiKey)).status).toBe(200);
  expect((await call(replica.origin, good.apiKey)).status).toBe(401);
  await replica.end('SIGKILL');
  await back();
});

it('a snapshot does not stand in for a database that refuses the login', async () => {
  const wrong = new URL(postgres.runtimeUrl);
  wrong.password = 'not-the-password';
  const failed = await failToStart({
    NODE_ENV: 'test',
    SHUNT_DATA_DIR: dataDir,
    ...postgres.env,
    ...installation.env(sandbox),
    DATABASE_URL: wrong.toString(),
  });
  expect(failed.code).toBe(1);
  expect(failed.output).toContain('Shunt did not start');
});

it('a snapshot of another encryption key is not used: without Postgres the start fails, and says why', async () => {
  const failed = await startOfOtherKey;
  expect(failed.code).toBe(1);
  expect(failed.output).toContain('the snapshot cannot be read');
});
