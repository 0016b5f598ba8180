import { afterAll, beforeAll, expect, test } from 'vitest';
import { ApiKeyService } from '../../../src/modules/api-keys/api-key.service.js';
import { PrincipalDirectory } from '../../../src/modules/api-keys/principal-directory.js';
import type { Principal } from '../../../src/modules/api-keys/principal.js';
import type { TenancyLook } from '../../../src/modules/api-keys/tenancy-watch.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { until } from '../../support/redis-server.js';

const logger = createLogger('silent');
const KEYS = 200;
let db: TestDatabase;
const cleanups: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  db = await testDatabase();
});
afterAll(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup();
  await db.close();
});

async function directory() {
  const database = await db.connect();
  const looks: TenancyLook[] = [];
  const found = new PrincipalDirectory(database, db.secretBox, systemClock, logger, {
    production: false,
    onLook: (look) => looks.push(look),
  });
  await found.start();
  cleanups.push(async () => {
    found.stop();
    await database.close();
  });
  return { directory: found, database, looks };
}

async function principal(of: PrincipalDirectory, token: string): Promise<Principal> {
  const found = await of.find(token);
  if (found.kind !== 'known') throw new Error(found.kind);
  return found.principal;
}

/** Counts, and may hold up, the reading of keys. */
function holdUpLookups(database: Database): { count: number; release: () => void } {
  const query = database.query.bind(database);
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const held = { count: 0, release: () => release() };
  database.query = async (sql: string, parameters?: readonly unknown[]) => {
    if (sql.includes('find_principal')) {
      held.count += 1;
      await released;
    }
    return query(sql, parameters);
  };
  return held;
}

test('one query takes a kill in, however many keys of the organization are in memory, and reads of keys do not hold it up', async () => {
  const { directory: found, database } = await directory();
  const tenant = await db.createTenant({ status: 'active' });
  const keys = new ApiKeyService(db.database, systemClock);
  const tokens = [tenant.apiKey];
  for (let n = 1; n < KEYS; n += 1) {
    const token = `propagation-key-number-${n}`;
    const made = { projectId: tenant.projectId, name: 'k', token };
    await keys.create(tenant.orgId, made, { kind: 'system', part: 'test' });
    tokens.push(token);
  }
  const principals = await Promise.all(tokens.map((token) => principal(found, token)));
  expect(new Set(principals.map(({ standing }) => standing)).size).toBe(1);
  const [{ standing } = principals[0]!] = principals;
  expect(standing).toMatchObject({ status: 'active', hold: false });

  const held = holdUpLookups(database);
  await db.setStatus(tenant.orgId, 'canceled');
  await until(() => standing.status === 'canceled');
  expect(held.count).toBeLessThan(KEYS);
  held.release();
  await until(() => found.isSettled);
  expect((await principal(found, tokens.at(-1)!)).standing).toBe(standing);
});

test('a call that is under way sees the change', async () => {
  const { directory: found } = await directory();
  const tenant = await db.createTenant({ status: 'active' });
  const underWay = await principal(found, tenant.apiKey);
  await db.setStatus(tenant.orgId, 'observing');
  await until(() => underWay.standing.status === 'observing');
});

test('what a start without the database would need: keys in use, and none that is gone or of an erased organization', async () => {
  const { directory: found } = await directory();
  const [kept, revoked, erased] = [
    await db.createTenant({ status: 'active', providerKeys: { openai: 'sk-000000000000000000' } }),
    await db.createTenant(),
    await db.createTenant(),
  ];
  for (const { apiKey } of [kept, revoked, erased]) await principal(found, apiKey);
  const keys = new ApiKeyService(db.database, systemClock);
  await keys.revoke(revoked.orgId, revoked.apiKeyId, { kind: 'system', part: 'test' });
  await db.database.tenant(erased.orgId, (q) =>
    q.query('UPDATE organizations SET hash_key_sealed = NULL'),
  );
  const rows = () => new Map([...found.onDisk()].map((key) => [key.row.org_id, key]));
  await until(
    () => !rows().has(erased.orgId) && rows().get(revoked.orgId)?.row.revoked_at !== null,
  );
  expect(rows().get(kept.orgId)).toMatchObject({ standing: { status: 'active', hold: false } });
  expect(rows().size).toBe(2);

  const later = new PrincipalDirectory(db.database, db.secretBox, systemClock, logger, {
    production: false,
  });
  for (const key of found.onDisk()) later.restore(key);
  expect(later.find(kept.apiKey)).toMatchObject({ kind: 'known' });
  expect(later.find(revoked.apiKey)).toEqual({ kind: 'revoked' });
});

test('the global switch comes with the look itself, and tells when it was true', async () => {
  const { looks } = await directory();
  const last = (): TenancyLook => looks.at(-1)!;
  expect(looks[0]).toMatchObject({ routingEnabled: true, from: null, complete: true });
  const set = (enabled: boolean) =>
    db.database.query('SELECT set_global_routing($1, now(), $2, $3, $4)', [
      enabled,
      'operator',
      'test',
      'a test',
    ]);
  await set(false);
  await until(() => !last().routingEnabled);
  const { version } = last();
  await set(true);
  await until(() => last().routingEnabled);
  expect(last().version).toBeGreaterThan(version);
});

test('a counter that went back makes every standing and key be read anew, whatever their numbers', async () => {
  const { directory: found, looks } = await directory();
  const tenant = await db.createTenant({ status: 'active' });
  const known = await principal(found, tenant.apiKey);
  const before = looks.at(-1)!.version;
  // As after a failover to a server that lacks the latest changes: the status is another, and its number smaller.
  await db.owner.query(`ALTER TABLE organizations DISABLE TRIGGER USER`);
  await db.owner.query(`ALTER TABLE organizations NO FORCE ROW LEVEL SECURITY`);
  await db.owner.query(`ALTER TABLE tenancy_changes NO FORCE ROW LEVEL SECURITY`);
  await db.owner.transaction(async (q) => {
    await q.query(
      `UPDATE organizations SET status = 'observing', requests_per_minute = 77 WHERE id = $1`,
      [tenant.orgId],
    );
    await q.query(`UPDATE tenancy_changes SET version = 2 WHERE org_id = $1`, [tenant.orgId]);
    await q.query(`UPDATE tenancy_version SET version = 3`);
  });
  await until(() => looks.at(-1)!.version < before);
  expect(known.standing.status).toBe('observing');
  await until(async () => (await principal(found, tenant.apiKey)).requestsPerMinute === 77);
  await db.owner.query(`UPDATE tenancy_version SET version = $1`, [before + 100]);
  await db.owner.query(`ALTER TABLE organizations ENABLE TRIGGER USER`);
});
