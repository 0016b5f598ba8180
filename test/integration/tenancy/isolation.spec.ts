import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hashToken } from '../../../src/modules/api-keys/api-key-token.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { mailOwnersWithin } from '../../../src/modules/mail/outbox.js';
import { UserService } from '../../../src/modules/organizations/user.service.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { scopeToUser } from '../../../src/platform/postgres/session-scope.js';
import { testDatabase, type TestDatabase, type TestTenant } from '../../support/postgres.js';
import { ACTOR } from '../../support/tenants.js';
import { systemClock } from '../../../src/platform/clock.js';

let db: TestDatabase;
let a: TestTenant;
let b: TestTenant;

beforeAll(async () => {
  db = await testDatabase();
  const providerKeys = { openai: 'sk-test-000000000000000000' };
  [a, b] = [await db.createTenant({ providerKeys }), await db.createTenant({ providerKeys })];
  const organizations = new OrganizationService(db.database, db.secretBox, systemClock);
  const user = await new UserService(db.database).create('both@example.com', 'a-long-password');
  if (user.kind !== 'created') throw new Error(user.kind);
  for (const { orgId } of [a, b]) {
    await organizations.addMember(orgId, user.userId, 'owner', ACTOR);
    await db.database.tenant(orgId, (q) =>
      mailOwnersWithin(q, orgId, { kind: 'observation_started', dedupeKey: 'test', atMs: 1 }),
    );
  }
});
afterAll(() => db.close());

/** Tables that hold no tenant's rows, and the least that the runtime may do with them. */
const NOT_TENANT_TABLES = new Set([
  'users',
  'operators',
  'operator_sessions',
  'sessions',
  'one_time_tokens',
  'recovery_codes',
  'tenancy_version',
  'price_versions',
  'billing_reconciliation',
  'schema_migrations',
]);

/** Keys that do not begin with the organization, and why. */
const KEY_EXCEPTIONS = new Set([
  'organizations.organizations_pkey', // its id is the organization
  'organizations.organizations_one_first', // one sandbox per installation
  'api_keys.api_keys_key_hash_key', // what an organization is found by
  'billing_inbox.billing_inbox_pkey', // an event is heard of before its organization is
  'billing_subscriptions.billing_subscriptions_subscription_id_key', // what an organization is found by
  'memberships.memberships_user_id_fkey', // to a table that is not a tenant's
]);

const TABLES = `
  SELECT c.oid::int AS oid, c.relname::text AS name, c.relrowsecurity AS enabled,
         c.relforcerowsecurity AS forced, c.relispartition AS partition,
         EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'org_id') AS has_org
    FROM pg_class c
   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY name`;

interface Table {
  readonly oid: number;
  readonly name: string;
  readonly enabled: boolean;
  readonly forced: boolean;
  readonly partition: boolean;
  readonly has_org: boolean;
}

async function tenantTables(): Promise<Table[]> {
  const tables = await db.owner.query<Table>(TABLES);
  return tables.filter((table) => !table.partition && !NOT_TENANT_TABLES.has(table.name));
}

const readable = (table: Table): Promise<{ may: boolean }[]> =>
  db.database.query(`SELECT has_table_privilege($1::oid, 'SELECT') AS may`, [table.oid]);

test('every tenant table has row security enabled and forced', async () => {
  const tables = await tenantTables();
  expect(tables.length).toBeGreaterThanOrEqual(7);
  for (const { name, has_org: hasOrg, enabled, forced } of tables) {
    expect({ name, hasOrg, enabled, forced }).toEqual({
      name,
      hasOrg: name !== 'organizations',
      enabled: true,
      forced: true,
    });
  }
});

test('primary, unique and foreign keys of tenant tables begin with the organization', async () => {
  const names = (await tenantTables()).map((table) => table.name);
  const keys = await db.owner.query<{ name: string; first: string; target: string | null }>(
    `SELECT c.relname || '.' || k.conname AS name, att.attname::text AS first,
            target.attname::text AS target
       FROM pg_constraint k
       JOIN pg_class c ON c.oid = k.conrelid
       JOIN pg_attribute att ON att.attrelid = c.oid AND att.attnum = k.conkey[1]
       LEFT JOIN pg_attribute target ON target.attrelid = k.confrelid AND target.attnum = k.confkey[1]
      WHERE k.contype IN ('p', 'u', 'f') AND c.relname = ANY($1)
      UNION ALL
     SELECT c.relname || '.' || i.relname, att.attname::text, NULL
       FROM pg_index x
       JOIN pg_class c ON c.oid = x.indrelid
       JOIN pg_class i ON i.oid = x.indexrelid
       LEFT JOIN pg_attribute att ON att.attrelid = c.oid AND att.attnum = x.indkey[0]
      WHERE x.indisunique AND c.relname = ANY($1)`,
    [names],
  );
  const wrong = keys.filter(
    ({ name, first, target }) =>
      !KEY_EXCEPTIONS.has(name) &&
      !(first === 'org_id' && (target === null || target === 'org_id' || target === 'id')),
  );
  expect(wrong).toEqual([]);
});

test('the runtime role owns nothing, and no role it is a member of can pass row security', async () => {
  const [row] = await db.database.query(
    `SELECT current_user AS acting,
            (SELECT count(*) FROM pg_class WHERE pg_has_role('shunt_runtime', relowner, 'MEMBER'))::int AS relations,
            (SELECT count(*) FROM pg_proc WHERE pg_has_role('shunt_runtime', proowner, 'MEMBER'))::int AS functions,
            (SELECT bool_or(rolsuper OR rolbypassrls) FROM pg_roles
              WHERE pg_has_role('shunt_app', oid, 'MEMBER')) AS mighty`,
  );
  expect(row).toEqual({ acting: 'shunt_runtime', relations: 0, functions: 0, mighty: false });
  await expect(db.database.assertSafeRuntimeLogin()).resolves.toBeUndefined();
});

test('an owning login is refused for production', async () => {
  await expect(db.owner.assertSafeRuntimeLogin()).rejects.toThrow(/owns tables/);
});

test('an organization sees its own rows and none of the other, in every table', async () => {
  const seen = new Set<string>();
  for (const table of await tenantTables()) {
    const [privilege] = await readable(table);
    if (!privilege?.may) continue;
    const column = table.name === 'organizations' ? 'id' : 'org_id';
    const counts = await db.database.tenant(a.orgId, (q) =>
      q.query<{ own: number; others: number }>(
        `SELECT count(*) FILTER (WHERE ${column} = $1)::int AS own,
                count(*) FILTER (WHERE ${column} <> $1)::int AS others FROM ${table.name}`,
        [a.orgId],
      ),
    );
    expect([table.name, counts[0]?.others]).toEqual([table.name, 0]);
    if ((counts[0]?.own ?? 0) > 0) seen.add(table.name);
  }
  const own = [
    'api_keys',
    'audit_heads',
    'audit_log',
    'memberships',
    'organizations',
    'outbox',
    'projects',
    'provider_keys',
  ];
  expect([...seen]).toEqual(expect.arrayContaining(own));
});

test('a query without an organization sees nothing and inserts nothing', async () => {
  for (const table of await tenantTables()) {
    const [privilege] = await readable(table);
    if (!privilege?.may) continue;
    expect([table.name, await db.database.query(`SELECT * FROM ${table.name}`)]).toEqual([
      table.name,
      [],
    ]);
  }
  const inserting = insertProject(db.database, a.orgId);
  await expect(inserting).rejects.toMatchObject({ code: '42501' });
});

test('the organization of one transaction is not left behind for the next', async () => {
  const alone = await db.connect({ poolSize: 1 });
  try {
    const inside = await alone.tenant(a.orgId, (q) => q.query('SELECT id FROM projects'));
    expect(inside).toHaveLength(1);
    expect(await alone.query('SELECT id FROM projects')).toEqual([]);
    await alone
      .tenant(a.orgId, async () => {
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    expect(await alone.query('SELECT id FROM projects')).toEqual([]);
  } finally {
    await alone.close();
  }
});

test('one organization writes nothing into another', async () => {
  await db.database.tenant(a.orgId, async (q) => {
    expect(
      await q.query(`UPDATE projects SET disabled = true WHERE id = $1 RETURNING id`, [
        b.projectId,
      ]),
    ).toEqual([]);
  });
  const inserting = db.database.tenant(a.orgId, (q) => insertProject(q, b.orgId));
  await expect(inserting).rejects.toMatchObject({ code: '42501' });
  const keyOfOther = db.database.tenant(a.orgId, (q) =>
    q.query(
      `INSERT INTO api_keys (org_id, id, project_id, key_hash, preview, name)
       VALUES ($1, $2, $3, $4, '', 'x')`,
      [a.orgId, randomUUID(), b.projectId, hashToken('x'.repeat(20))],
    ),
  );
  await expect(keyOfOther).rejects.toMatchObject({ code: '23503' });
});

test('the owner is bound by row security too', async () => {
  expect(await db.owner.query('SELECT * FROM memberships')).toEqual([]);
  await expect(insertProject(db.owner, a.orgId)).rejects.toMatchObject({ code: '42501' });
});

test('the runtime cannot loosen what binds it', async () => {
  for (const sql of [
    'ALTER TABLE projects DISABLE ROW LEVEL SECURITY',
    'ALTER TABLE projects NO FORCE ROW LEVEL SECURITY',
    'DROP POLICY tenant ON projects',
    'CREATE POLICY all_rows ON projects USING (true)',
    'ALTER TABLE projects DISABLE TRIGGER ALL',
    'CREATE TABLE mine ()',
    'CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$',
    'SET ROLE shunt_owner',
    'SET SESSION AUTHORIZATION shunt_owner',
    'SET session_replication_role = replica',
    'TRUNCATE api_keys',
    'DELETE FROM api_keys',
    'UPDATE tenancy_version SET version = 0',
    "UPDATE organizations SET status = 'active'",
    "UPDATE audit_log SET reason = 'x'",
    'DELETE FROM audit_log',
    'TRUNCATE audit_log',
    'UPDATE audit_heads SET seq = 0',
    'TRUNCATE audit_heads',
    'UPDATE savings_ledger SET kind = kind',
    'DELETE FROM savings_ledger',
    'TRUNCATE savings_ledger',
    'UPDATE ledger_heads SET seq = 0',
    'INSERT INTO ledger_heads SELECT gen_random_uuid(), 0',
    'DELETE FROM ledger_price_cursors',
    'INSERT INTO ledger_price_cursors SELECT gen_random_uuid(), 0',
    'UPDATE unpriced_calls SET call = call',
    'DELETE FROM seals',
    'UPDATE seals SET hash = hash',
    'TRUNCATE seals',
    'DELETE FROM outbox',
    'UPDATE outbox SET data = data',
    'UPDATE outbox SET recipient_user_id = recipient_user_id',
    'UPDATE api_keys SET key_hash = key_hash',
    'UPDATE api_keys SET project_id = project_id',
    'SELECT * FROM schema_migrations',
    'SELECT pg_read_file($$postgresql.conf$$)',
    'COPY users TO PROGRAM $$cat$$',
  ]) {
    await expect(db.database.query(sql), sql).rejects.toMatchObject({ code: '42501' });
  }
  const bypass = db.database.transaction(async (q) => {
    await q.query('SET LOCAL row_security = off');
    await q.query('SELECT * FROM projects');
  });
  await expect(bypass).rejects.toMatchObject({ code: '42501' });
});

test('a partition cannot be reached around its parent', async () => {
  const tables = await db.owner.query<Table>(TABLES);
  for (const { name } of tables.filter((table) => table.partition)) {
    await expect(db.database.query(`SELECT * FROM ${name}`), name).rejects.toMatchObject({
      code: '42501',
    });
  }
});

test('the look-up by key answers with one key, and nobody but the runtime may ask', async () => {
  const found = await db.database.query<{ org_id: string }>('SELECT * FROM find_principal($1)', [
    hashToken(a.apiKey),
  ]);
  expect(found.map((row) => row.org_id)).toEqual([a.orgId]);
  const [row] = await db.owner.query(
    `SELECT prosecdef AS definer, proconfig AS settings, provolatile::text AS volatility,
            array(SELECT DISTINCT grantee::regrole::text FROM aclexplode(proacl)
                   WHERE privilege_type = 'EXECUTE' ORDER BY 1) AS callers
       FROM pg_proc WHERE proname = 'find_principal'`,
  );
  expect(row).toEqual({
    definer: true,
    settings: ['search_path=pg_catalog, pg_temp'],
    volatility: 's',
    callers: ['shunt_owner', 'shunt_runtime'],
  });
});

test.each(['change_subscription', 'set_global_routing', 'organizations_with_due_mail'])(
  'nobody but the runtime may call %s, which looks nothing up in a schema of the caller',
  async (name) => {
    const [row] = await db.owner.query(
      `SELECT prosecdef AS definer, proconfig AS settings,
              array(SELECT DISTINCT grantee::regrole::text FROM aclexplode(proacl)
                     WHERE privilege_type = 'EXECUTE' ORDER BY 1) AS callers
         FROM pg_proc WHERE proname = $1`,
      [name],
    );
    expect(row).toEqual({
      definer: true,
      settings: ['search_path=pg_catalog, pg_temp'],
      callers: ['shunt_owner', 'shunt_runtime'],
    });
  },
);

test('who has mail due is told by id alone, and of a thousand organizations at most', async () => {
  const due = await db.database.query<Record<string, unknown>>(
    `SELECT * FROM organizations_with_due_mail(now(), now(), 2147483647) AS id`,
  );
  expect(due.map(({ id }) => id)).toEqual(expect.arrayContaining([a.orgId, b.orgId]));
  expect(due.every((row) => Object.keys(row).length === 1)).toBe(true);
  expect(
    await db.database.query(`SELECT organizations_with_due_mail(now(), now(), 1)`),
  ).toHaveLength(1);
});

test('no function that runs as its owner is open to everybody or leaves its search path open', async () => {
  const open = await db.owner.query(
    `SELECT proname FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace AND prosecdef
        AND (proacl IS NULL OR has_function_privilege('public', oid, 'EXECUTE')
             OR NOT coalesce(proconfig::text ~ 'search_path=pg_catalog', false))`,
  );
  expect(open).toEqual([]);
});

test('a user sees their own memberships, the directory the names of organizations, both nothing else', async () => {
  const userId = await new UserService(db.database).findByEmail('BOTH@example.com');
  const organizations = new OrganizationService(db.database, db.secretBox, systemClock);
  const memberships = await db.database.transaction(async (q) => {
    await scopeToUser(q, userId ?? '');
    return q.query<{ orgId: string }>('SELECT org_id AS "orgId" FROM memberships');
  });
  expect(memberships.map(({ orgId }) => orgId).toSorted()).toEqual([a.orgId, b.orgId].toSorted());
  const ids = (await organizations.list()).map(({ id }) => id);
  expect(ids).toEqual(expect.arrayContaining([a.orgId, b.orgId]));
  for (const table of ['projects', 'api_keys', 'provider_keys', 'memberships']) {
    expect(await db.database.directory((q) => q.query(`SELECT * FROM ${table}`))).toEqual([]);
  }
  await db.database.directory(async (q) => {
    expect(await q.query(`UPDATE organizations SET name = 'x' RETURNING id`)).toEqual([]);
  });
});

test('an address is the same in whatever case it is written', async () => {
  const users = new UserService(db.database);
  expect(await users.create('Both@Example.com', 'a-long-password')).toEqual({
    kind: 'email_taken',
  });
});

function insertProject(q: Queryable, orgId: string): Promise<unknown> {
  return q.query(`INSERT INTO projects (org_id, id, name) VALUES ($1, $2, 'intruder')`, [
    orgId,
    randomUUID(),
  ]);
}
