import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiKeyService } from '../../../src/modules/api-keys/api-key.service.js';
import { PrincipalDirectory } from '../../../src/modules/api-keys/principal-directory.js';
import type { Authentication } from '../../../src/modules/api-keys/principal.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { ProjectService } from '../../../src/modules/projects/project.service.js';
import { ProviderKeyService } from '../../../src/modules/provider-keys/provider-key.service.js';
import { systemClock, type Clock } from '../../../src/platform/clock.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { TcpGate } from './tcp-gate.js';
import { ACTOR } from '../../support/tenants.js';

const logger = createLogger('silent');
let db: TestDatabase;
const cleanups: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  db = await testDatabase();
});
afterAll(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup();
  await db.close();
});

async function directoryOn(database: Database, clock: Clock = systemClock, production = false) {
  const directory = new PrincipalDirectory(database, db.secretBox, clock, logger, { production });
  await directory.start();
  cleanups.push(() => directory.stop());
  return directory;
}

async function gated(): Promise<{ gate: TcpGate; database: Database }> {
  const gate = await TcpGate.to(db.runtimeUrl);
  const database = await db.connect({ url: gate.url, statementTimeoutMs: 1_000 });
  cleanups.push(async () => {
    gate.open();
    await database.close();
    await gate.close();
  });
  return { gate, database };
}

async function principalOf(answer: Authentication | Promise<Authentication>) {
  const found = await answer;
  if (found.kind !== 'known') throw new Error(found.kind);
  return found.principal;
}

async function until(
  condition: () => Promise<boolean> | boolean,
  limitMs: number,
): Promise<number> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > limitMs) throw new Error(`not within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return performance.now() - start;
}

test('a key is answered with its organization, project and limits, and at once the second time', async () => {
  const tenant = await db.createTenant({
    project: { strict: true, allowedModels: ['gpt-*'], allowedPaths: ['openai:/files*'] },
    providerKeys: { openai: 'sk-test-000000000000000000' },
  });
  const directory = await directoryOn(db.database);
  const principal = await principalOf(directory.find(tenant.apiKey));
  expect(principal).toMatchObject({
    apiKeyId: tenant.apiKeyId,
    orgId: tenant.orgId,
    projectId: tenant.projectId,
    standing: { orgId: tenant.orgId, status: 'observing', hold: false },
    retentionClass: 'd90',
    strict: true,
    projectDisabled: false,
    orgAllow: { providers: null, models: null },
    projectAllow: { providers: null, models: ['gpt-*'] },
    allowedPaths: ['openai:/files*'],
    sandbox: false,
  });
  expect(principal.hashKey.symmetricKeySize).toBe(32);
  const keys = new ProviderKeyService(db.database, db.secretBox, systemClock);
  expect(keys.open(principal, 'openai')).toBe('sk-test-000000000000000000');
  expect(keys.open(principal, 'groq')).toBeNull();
  expect(directory.find(tenant.apiKey)).not.toBeInstanceOf(Promise);
});

test('an unknown key is refused from memory for a while, and known as soon as it exists', async () => {
  const tenant = await db.createTenant();
  const directory = await directoryOn(db.database);
  const token = 'a-key-that-comes-later';
  expect(await directory.find(token)).toEqual({ kind: 'unknown' });
  expect(directory.find(token)).toEqual({ kind: 'unknown' });
  const keys = new ApiKeyService(db.database, systemClock);
  await keys.create(tenant.orgId, { projectId: tenant.projectId, name: 'later', token }, ACTOR);
  await until(async () => (await directory.find(token)).kind === 'known', 1_000);
});

test('keys of an impossible length are refused without a look-up', async () => {
  const directory = await directoryOn(db.database);
  expect(directory.find('short')).toEqual({ kind: 'unknown' });
  expect(directory.find('x'.repeat(100_000))).toEqual({ kind: 'unknown' });
});

test('a hundred calls with a new key share one look-up', async () => {
  const tenant = await db.createTenant();
  const directory = await directoryOn(db.database);
  const answers = Array.from({ length: 100 }, () => directory.find(tenant.apiKey));
  expect(new Set(answers).size).toBe(1);
  expect((await answers[0])?.kind).toBe('known');
});

test('a revoked key is refused within 1 s on every replica', async ({ annotate }) => {
  const other = await db.connect();
  cleanups.push(() => other.close());
  const replicas = [await directoryOn(db.database), await directoryOn(other)];
  const tenant = await db.createTenant();
  for (const replica of replicas) await replica.find(tenant.apiKey);
  await new ApiKeyService(db.database, systemClock).revoke(tenant.orgId, tenant.apiKeyId, ACTOR);
  const refused = (): boolean =>
    replicas.every((replica) => (replica.find(tenant.apiKey) as Authentication).kind === 'revoked');
  const tookMs = await until(refused, 1_000);
  await annotate(`revocation by notification: ${tookMs.toFixed(1)} ms`);
});

test('a revoked key is refused within 1 s where notifications are lost', async ({ annotate }) => {
  const database = await db.connect();
  cleanups.push(() => database.close());
  database.listen = () => () => undefined;
  const directory = await directoryOn(database);
  const tenant = await db.createTenant();
  await directory.find(tenant.apiKey);
  await new ApiKeyService(db.database, systemClock).revoke(tenant.orgId, tenant.apiKeyId, ACTOR);
  const refused = (): boolean =>
    (directory.find(tenant.apiKey) as Authentication).kind === 'revoked';
  const tookMs = await until(refused, 1_000);
  await annotate(`revocation by poll: ${tookMs.toFixed(1)} ms`);
});

test('suspension, allow-lists, project and provider keys are taken in without being asked for', async () => {
  const tenant = await db.createTenant();
  const directory = await directoryOn(db.database);
  await directory.find(tenant.apiKey);
  const seen = (): Promise<Awaited<ReturnType<typeof principalOf>>> =>
    principalOf(directory.find(tenant.apiKey));
  await db.setStatus(tenant.orgId, 'suspended');
  await until(async () => (await seen()).standing.status === 'suspended', 1_000);
  const organizations = new OrganizationService(db.database, db.secretBox, systemClock);
  await organizations.update(tenant.orgId, { allowedProviders: ['groq'] }, ACTOR);
  await organizations.setRequestsPerMinute(tenant.orgId, 5, ACTOR);
  await until(async () => (await seen()).requestsPerMinute === 5, 1_000);
  expect((await seen()).orgAllow.providers).toEqual(['groq']);
  await new ProjectService(db.database, systemClock).update(
    tenant.orgId,
    tenant.projectId,
    { disabled: true },
    ACTOR,
  );
  await until(async () => (await seen()).projectDisabled, 1_000);
  const providerKeys = new ProviderKeyService(db.database, db.secretBox, systemClock);
  await providerKeys.set(tenant.orgId, 'groq', 'gsk_00000000000000000000', ACTOR);
  await until(async () => (await seen()).providerKeys.groq !== undefined, 1_000);
  await providerKeys.remove(tenant.orgId, 'groq', ACTOR);
  await until(async () => (await seen()).providerKeys.groq === undefined, 1_000);
});

test('an expired key is refused by the clock alone, and a rotated one until its overlap ends', async () => {
  let nowMs = Date.now();
  const clock = { nowMs: () => nowMs };
  const tenant = await db.createTenant();
  const directory = await directoryOn(db.database, clock);
  const keys = new ApiKeyService(db.database, clock);
  const rotated = await keys.rotate(tenant.orgId, tenant.apiKeyId, undefined, ACTOR);
  if (rotated.kind !== 'issued') throw new Error(rotated.kind);
  expect((await directory.find(tenant.apiKey)).kind).toBe('known');
  expect((await directory.find(rotated.token)).kind).toBe('known');
  nowMs += 24 * 3_600_000 - 1;
  expect(directory.find(tenant.apiKey)).toMatchObject({ kind: 'known' });
  nowMs += 1;
  expect(directory.find(tenant.apiKey)).toEqual({ kind: 'revoked' });
  expect(directory.find(rotated.token)).toMatchObject({ kind: 'known' });
});

test('while the database is away known keys work, known refusals stay, an unknown key is unavailable', async ({
  annotate,
}) => {
  const { gate, database } = await gated();
  const directory = await directoryOn(database);
  const [good, revoked] = [await db.createTenant(), await db.createTenant()];
  await new ApiKeyService(db.database, systemClock).revoke(revoked.orgId, revoked.apiKeyId, ACTOR);
  await directory.find(good.apiKey);
  expect(await directory.find(revoked.apiKey)).toEqual({ kind: 'revoked' });
  gate.cut();
  const answer = await directory.find('a-key-that-nobody-has-seen');
  expect(answer).toEqual({ kind: 'unavailable' });
  expect(directory.find(good.apiKey)).toMatchObject({ kind: 'known' });
  expect(directory.find(revoked.apiKey)).toEqual({ kind: 'revoked' });
  // What changed meanwhile is taken in when the connection is back.
  await new ApiKeyService(db.database, systemClock).revoke(good.orgId, good.apiKeyId, ACTOR);
  expect(directory.find(good.apiKey)).toMatchObject({ kind: 'known' });
  gate.open();
  const refused = (): boolean => (directory.find(good.apiKey) as Authentication).kind === 'revoked';
  const tookMs = await until(refused, 3_000);
  await annotate(`revocation after reconnect: ${tookMs.toFixed(0)} ms`);
});

test('a database that accepts and never answers makes an unknown key unavailable within 2 s', async () => {
  const { gate, database } = await gated();
  const directory = await directoryOn(database);
  gate.freeze();
  const start = performance.now();
  expect(await directory.find('another-key-that-nobody-saw')).toEqual({ kind: 'unavailable' });
  expect(performance.now() - start).toBeLessThan(2_500);
});

test('the sandbox is for the first organization, outside production, until it has a provider key', async () => {
  const first = await db.createTenant({ isFirst: true });
  const second = await db.createTenant();
  const development = await directoryOn(db.database);
  expect((await principalOf(development.find(first.apiKey))).sandbox).toBe(true);
  expect((await principalOf(development.find(second.apiKey))).sandbox).toBe(false);
  const production = await directoryOn(db.database, systemClock, true);
  expect((await principalOf(production.find(first.apiKey))).sandbox).toBe(false);
  const keys = new ProviderKeyService(db.database, db.secretBox, systemClock);
  await keys.set(first.orgId, 'openai', 'sk-000000000000000000000', ACTOR);
  await until(async () => !(await principalOf(development.find(first.apiKey))).sandbox, 1_000);
});

test('an answer from memory costs a few microseconds', async ({ annotate }) => {
  const tenant = await db.createTenant();
  const directory = await directoryOn(db.database);
  await directory.find(tenant.apiKey);
  const rounds = 200_000;
  for (let i = 0; i < rounds; i += 1) directory.find(tenant.apiKey);
  const start = performance.now();
  for (let i = 0; i < rounds; i += 1) directory.find(tenant.apiKey);
  const microseconds = ((performance.now() - start) * 1_000) / rounds;
  await annotate(`find(): ${microseconds.toFixed(2)} us`);
  expect(microseconds).toBeLessThan(20);
});

test('many changes of one transaction move the counter that everybody waits for once', async () => {
  const { orgId, projectId } = await db.createTenant();
  const version = async (): Promise<number> => {
    const [row] = await db.database.query<{ version: string }>(
      'SELECT version FROM tenancy_version',
    );
    return Number(row!.version);
  };
  const before = await version();
  await db.database.tenant(orgId, (q) =>
    q.query(
      `INSERT INTO api_keys (org_id, id, project_id, key_hash, preview, name)
       SELECT $1::uuid, gen_random_uuid(), $2::uuid, sha256(convert_to(n::text || $1::uuid::text, 'UTF8')), 'x', 'x'
         FROM generate_series(1, 500) AS n`,
      [orgId, projectId],
    ),
  );
  expect(await version()).toBe(before + 1);
});
