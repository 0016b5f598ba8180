import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sqlStateOf } from '../../../src/platform/postgres/query-error.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { startTwoOrganizations, type Member, type TwoOrganizations } from './two-organizations.js';

/**
 * Every relation of the database, and whose rows it holds. One that is not listed here fails the walk: whoever adds
 * a table says what it is, and the rest of this file then holds it to that.
 */
const RELATIONS: Readonly<
  Record<string, { readonly tenantBy: string; readonly view?: true } | { readonly shared: string }>
> = {
  live_negotiated_prices: { tenantBy: 'org_id', view: true },
  api_keys: { tenantBy: 'org_id' },
  billing_customers: { tenantBy: 'org_id' },
  billing_inbox: { tenantBy: 'org_id' },
  billing_subscriptions: { tenantBy: 'org_id' },
  audit_heads: { tenantBy: 'org_id' },
  audit_log: { tenantBy: 'org_id' },
  ledger_heads: { tenantBy: 'org_id' },
  ledger_price_cursors: { tenantBy: 'org_id' },
  memberships: { tenantBy: 'org_id' },
  negotiated_prices: { tenantBy: 'org_id' },
  observation_steps: { tenantBy: 'org_id' },
  observations: { tenantBy: 'org_id' },
  organizations: { tenantBy: 'id' },
  outbox: { tenantBy: 'org_id' },
  projects: { tenantBy: 'org_id' },
  provider_keys: { tenantBy: 'org_id' },
  reports: { tenantBy: 'org_id' },
  savings_statements: { tenantBy: 'org_id' },
  invoice_imports: { tenantBy: 'org_id' },
  invoice_lines: { tenantBy: 'org_id' },
  route_rules: { tenantBy: 'org_id' },
  request_log: { tenantBy: 'org_id' },
  savings_ledger: { tenantBy: 'org_id' },
  seals: { tenantBy: 'org_id' },
  tenancy_changes: { tenantBy: 'org_id' },
  unpriced_calls: { tenantBy: 'org_id' },
  operators: { shared: 'they serve all organizations' },
  invitations: { tenantBy: 'org_id' },
  sessions: { shared: 'a person may belong to several organizations' },
  one_time_tokens: { shared: 'a person may belong to several organizations' },
  recovery_codes: { shared: 'a person may belong to several organizations' },
  operator_sessions: { shared: 'who of the operators is signed in' },
  billing_reconciliation: { shared: 'how far the nightly comparison has come' },
  price_versions: { shared: 'the public price lists' },
  schema_migrations: { shared: 'the state of the schema' },
  tenancy_version: { shared: 'one counter' },
  users: { shared: 'a person may belong to several organizations' },
};

/** Functions of the schema that the runtime may call. */
const FUNCTIONS = [
  'attribute_billing_events(uuid,text,text,integer)',
  'drop_expired_request_log_partitions(timestamp with time zone)',
  'ensure_request_log_partitions(date,integer)',
  'erase_organization(uuid)',
  'erase_organization_records(uuid,integer)',
  'erase_organization_rows(uuid,integer)',
  'organizations_to_erase(integer)',
  'request_organization_deletion(uuid)',
  'withdraw_organization_deletion(uuid)',
  'find_billing_owner(text,text,uuid)',
  'find_principal(bytea)',
  'first_forwarded_calls(uuid[])',
  'organizations_to_observe(uuid,integer)',
  'organizations_with_late_prices(uuid,integer)',
  'organizations_with_unsealed_entries(uuid,integer)',
  'organizations_with_due_steps(timestamp with time zone,timestamp with time zone,uuid,integer)',
  'delete_finished_mail(timestamp with time zone,integer)',
  'mail_backlog()',
  'organizations_with_due_mail(timestamp with time zone,timestamp with time zone,integer)',
  'organizations_with_expired_invitations(timestamp with time zone,integer)',
  'set_global_routing(boolean,timestamp with time zone,text,text,text)',
  'change_subscription(uuid,text,text,text,boolean,timestamp with time zone,text,text,text,jsonb)',
];

/** Ways past `org_id = the organization of this transaction`, and why they are there. */
const POLICIES_BESIDE_TENANT = [
  'audit_heads.directory', // all chains, for whoever verifies them; ids and hashes
  'audit_heads.owner_links', // the trigger, as the owner
  'audit_log.owner_adds', // change_subscription and set_global_routing, as the owner
  'audit_log.owner_reads', // the checks of a status against its trail, as the owner
  'ledger_heads.directory', // all ledgers, for whoever verifies them; ids and numbers
  'ledger_heads.owner_reads', // organizations_with_unsealed_entries, as the owner
  'ledger_price_cursors.owner_notes', // the trigger, and organizations_with_late_prices, as the owner
  'unpriced_calls.owner_reads', // organizations_with_late_prices, as the owner
  'seals.owner_reads', // organizations_with_unsealed_entries, as the owner
  'invitations.owner_reads', // organizations_with_expired_invitations, as the owner
  'outbox.owner_reads', // organizations_with_due_mail, as the owner
  'outbox.owner_sweeps', // delete_finished_mail, as the owner
  'api_keys.owner_reads', // find_principal, as the owner
  'billing_customers.owner_reads', // whose an event is
  'billing_inbox.owner_attributes', // an event's organization becomes known
  'billing_subscriptions.owner_reads', // whose an event is
  'negotiated_prices.owner_reads', // find_principal, as the owner
  'route_rules.owner_reads', // find_principal, as the owner
  'memberships.own', // one's own organizations, at sign-in
  'observations.owner_reads', // organizations_to_observe and organizations_with_due_steps, as the owner
  'organizations.directory', // the list for operators and jobs
  'organizations.owner_reads',
  'projects.owner_reads',
  'provider_keys.owner_reads',
  'tenancy_changes.directory', // whom a replica must refresh
  'tenancy_changes.owner_notes', // the trigger, as the owner
];

const TENANT_RELATIONS = Object.entries(RELATIONS).flatMap(([name, kind]) =>
  'tenantBy' in kind ? [{ name, column: kind.tenantBy, isView: kind.view === true }] : [],
);
const TENANT_TABLES = TENANT_RELATIONS.filter(({ isView }) => !isView).map(
  ({ name, column }) => [name, column] as const,
);

/** No privilege, or a row that the policy does not let pass. */
const INSUFFICIENT_PRIVILEGE = '42501';

let rig: TwoOrganizations;
beforeAll(async () => {
  rig = await startTwoOrganizations();
});
afterAll(() => rig?.stop());

const DIRECTIONS = [
  ['A', 'B'],
  ['B', 'A'],
] as const;
const member = (name: 'A' | 'B'): Member => (name === 'A' ? rig.a : rig.b);

/** As the runtime, on behalf of one organization; the SQLSTATE where it is refused. Nothing of it stays. */
async function attempt<Row>(as: Member, sql: string, parameters: readonly unknown[] = []) {
  const { database } = rig.gateway.app.engine;
  const undone = new Error('undone');
  let rows: Row[] = [];
  try {
    await database.tenant(as.orgId, async (q: Queryable) => {
      rows = await q.query<Row>(sql, parameters);
      throw undone;
    });
  } catch (error) {
    if (error !== undone) return { refused: sqlStateOf(error) ?? String(error), rows: [] };
  }
  return { refused: null, rows };
}

test('every relation of the database is known to this walk, and every one of the walk is there', async () => {
  const found = await rig.asSuperuser<{ name: string }>(
    `SELECT CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1`,
  );
  expect(found.map(({ name }) => name)).toEqual(Object.keys(RELATIONS).toSorted());
});

test("a relation with an organization in it is a tenant's, and so is one that refers to one", async () => {
  const found = await rig.asSuperuser<{ name: string }>(
    `SELECT DISTINCT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND a.attname IN ('org_id', 'organization_id', 'project_id', 'api_key_id') ORDER BY 1`,
  );
  const tenants = TENANT_TABLES.map(([name]) => name).filter((name) => name !== 'organizations');
  expect(found.map(({ name }) => name)).toEqual(tenants.toSorted());
});

test("every function that the runtime may call is known, and so is every policy beside the tenant's own", async () => {
  const functions = await rig.asSuperuser<{ name: string }>(
    `SELECT p.oid::regprocedure::text AS name FROM pg_proc p
       JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        AND has_function_privilege('shunt_runtime', p.oid, 'EXECUTE') AND p.prorettype <> 'trigger'::regtype
      ORDER BY 1`,
  );
  expect(functions.map(({ name }) => name).toSorted()).toEqual(FUNCTIONS.toSorted());
  const policies = await rig.asSuperuser<{ name: string; tenant: boolean }>(
    `SELECT tablename || '.' || policyname AS name, policyname = 'tenant' AS tenant
       FROM pg_policies ORDER BY 1`,
  );
  const beside = policies.filter(({ tenant }) => !tenant).map(({ name }) => name);
  expect(beside).toEqual(POLICIES_BESIDE_TENANT.toSorted());
  const guarded = policies.filter(({ tenant }) => tenant).map(({ name }) => name.split('.')[0]);
  expect(guarded.toSorted()).toEqual(TENANT_TABLES.map(([name]) => name).toSorted());
});

test('a view sees what its reader may see, and nobody can change a thing through it', async () => {
  const views = await rig.asSuperuser<{ name: string; options: string[]; open: boolean }>(
    `SELECT relname AS name, reloptions AS options,
            has_any_column_privilege('shunt_runtime', oid, 'INSERT, UPDATE')
            OR has_table_privilege('shunt_runtime', oid, 'DELETE') AS open
       FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'`,
  );
  const known = TENANT_RELATIONS.filter(({ isView }) => isView).map(({ name }) => name);
  expect(views.map(({ name }) => name).toSorted()).toEqual(known.toSorted());
  for (const { options, open } of views) {
    expect(options).toContain('security_invoker=true');
    expect(open).toBe(false);
  }
});

test('no partition of a tenant table can be named by the runtime', async () => {
  const found = await rig.asSuperuser<{ name: string; open: boolean }>(
    `SELECT c.relname AS name, has_any_column_privilege('shunt_runtime', c.oid, 'SELECT, INSERT, UPDATE')
            OR has_table_privilege('shunt_runtime', c.oid, 'DELETE, TRUNCATE') AS open
       FROM pg_class c WHERE c.relispartition AND c.relkind IN ('r', 'p')`,
  );
  expect(found.length).toBeGreaterThan(10);
  expect(found.filter(({ open }) => open)).toEqual([]);
});

describe.each(DIRECTIONS)('as the runtime for %s, nothing of %s', (own, others) => {
  test.each(TENANT_RELATIONS)('is visible in $name', async ({ name: table, column }) => {
    const theirs = await rig.asSuperuser(`SELECT FROM ${table} WHERE ${column} = $1`, [
      member(others).orgId,
    ]);
    expect(theirs.length).toBeGreaterThan(0);
    const all = await attempt<{ owner: string }>(
      member(own),
      `SELECT ${column}::text AS owner FROM ${table}`,
    );
    expect(all.refused).toBeNull();
    expect([...new Set(all.rows.map(({ owner }) => owner))]).toEqual([member(own).orgId]);
    const asked = await attempt(member(own), `SELECT FROM ${table} WHERE ${column} = $1`, [
      member(others).orgId,
    ]);
    expect(asked).toEqual({ refused: null, rows: [] });
  });

  test.each(TENANT_TABLES)('can be changed in %s', async (table, column) => {
    const columns = await rig.asSuperuser<{ name: string }>(
      `SELECT quote_ident(attname) AS name FROM pg_attribute
        WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`,
      [table],
    );
    expect(columns.length).toBeGreaterThan(1);
    for (const { name } of columns) {
      const sql = `UPDATE ${table} SET ${name} = ${name}`;
      const named = await attempt(member(own), `${sql} WHERE ${column} = $1 RETURNING ${column}`, [
        member(others).orgId,
      ]);
      if (named.refused === null) expect([table, name, named.rows]).toEqual([table, name, []]);
      else expect([table, name, named.refused]).toEqual([table, name, INSUFFICIENT_PRIVILEGE]);
      const all = await attempt<Record<string, string>>(
        member(own),
        `${sql} RETURNING ${column}::text AS owner`,
      );
      const owners = new Set(all.rows.map(({ owner }) => owner));
      owners.delete(member(own).orgId);
      expect([table, name, [...owners]]).toEqual([table, name, []]);
    }
  });

  test.each(TENANT_TABLES)('can be given away or taken over in %s', async (table, column) => {
    const given = await attempt(member(own), `UPDATE ${table} SET ${column} = $1`, [
      member(others).orgId,
    ]);
    expect(given.refused).toBe(INSUFFICIENT_PRIVILEGE);
    const taken = await attempt(
      member(own),
      `UPDATE ${table} SET ${column} = $1 WHERE ${column} = $2`,
      [member(own).orgId, member(others).orgId],
    );
    expect(taken.refused).toBe(INSUFFICIENT_PRIVILEGE);
  });

  test.each(TENANT_TABLES)('can be deleted from %s', async (table, column) => {
    const deleted = await attempt(
      member(own),
      `DELETE FROM ${table} WHERE ${column} = $1 RETURNING ${column}`,
      [member(others).orgId],
    );
    if (deleted.refused === null) expect(deleted.rows).toEqual([]);
    else expect(deleted.refused).toBe(INSUFFICIENT_PRIVILEGE);
    expect(await attempt(member(own), `TRUNCATE ${table} CASCADE`)).toMatchObject({
      refused: INSUFFICIENT_PRIVILEGE,
    });
  });

  test.each(TENANT_TABLES)('can be added to in %s', async (table, column) => {
    const [row] = await rig.asSuperuser<{ json: string }>(
      `SELECT to_jsonb(r)::text AS json FROM ${table} r WHERE ${column} = $1 LIMIT 1`,
      [member(others).orgId],
    );
    const json = JSON.parse(row!.json) as Record<string, unknown>;
    const insertable = await rig.asSuperuser<{ name: string }>(
      `SELECT attname AS name FROM pg_attribute
        WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
          AND has_column_privilege('shunt_runtime', attrelid, attnum, 'INSERT')`,
      [table],
    );
    // Only what it may set, so that it is the row's organization that is refused, and not a column.
    const names = insertable.map(({ name }) => name).filter((name) => name in json);
    if (names.length === 0) return;
    expect(names).toContain(column);
    const list = names.map((name) => `"${name}"`).join(', ');
    const inserted = await attempt(
      member(own),
      `INSERT INTO ${table} (${list})
       SELECT ${list} FROM jsonb_populate_record(NULL::${table}, $1::jsonb)`,
      [row!.json],
    );
    expect(inserted.refused).toBe(INSUFFICIENT_PRIVILEGE);
  });

  test('is found by a key that is not theirs, and no function tells more', async () => {
    const ids = [member(others).apiKeyId, member(others).orgId, member(others).projectId];
    for (const id of ids) {
      const found = await attempt(member(own), 'SELECT * FROM find_principal($1)', [
        Buffer.from(id.replaceAll('-', ''), 'hex'),
      ]);
      expect(found).toEqual({ refused: null, rows: [] });
    }
    const dropped = await attempt(
      member(own),
      `SELECT * FROM drop_expired_request_log_partitions(now() + interval '100 years')`,
    );
    expect(dropped).toEqual({ refused: null, rows: [] });
  });

  test('is moved by the function that moves a subscription', async () => {
    const stands = () =>
      rig.asSuperuser(
        `SELECT o.status, o.routing_hold, h.seq FROM organizations o JOIN audit_heads h ON h.org_id = o.id
          WHERE o.id = $1`,
        [member(others).orgId],
      );
    const before = await stands();
    expect(before).toHaveLength(1);
    for (const [event, to, hold] of [
      ['suspend', 'suspended', false],
      ['kill', 'observing', true],
    ]) {
      const moved = await attempt(
        member(own),
        `SELECT change_subscription($1, $2, 'observing', $3, $4, now(), 'operator', 'x', NULL, NULL)`,
        [member(others).orgId, event, to, hold],
      );
      expect(moved.refused).toBe(INSUFFICIENT_PRIVILEGE);
    }
    expect(await stands()).toEqual(before);
  });

  test('is told by the functions that work for all, beyond ids and figures', async () => {
    const due = await attempt<Record<string, unknown>>(
      member(own),
      `SELECT * FROM organizations_with_due_mail('9999-01-01', '9999-01-01', 2147483647) AS id`,
    );
    expect(due.refused).toBeNull();
    expect(due.rows.map((row) => Object.keys(row))).toEqual(due.rows.map(() => ['id']));
    const turned = await attempt(
      member(own),
      `SELECT set_global_routing(false, now(), 'operator', 'x', NULL) AS turned,
              (SELECT count(*)::int FROM audit_log WHERE org_id <> $1) AS seen`,
      [member(own).orgId],
    );
    expect(turned).toEqual({ refused: null, rows: [{ turned: true, seen: 0 }] });
    const [{ seen }] = (
      await attempt<{ seen: number }>(
        member(own),
        `WITH turned AS MATERIALIZED (SELECT set_global_routing(false, now(), 'operator', 'x', NULL))
         SELECT (SELECT count(*)::int FROM audit_log WHERE org_id <> $1) AS seen FROM turned`,
        [member(own).orgId],
      )
    ).rows as [{ seen: number }];
    expect(seen).toBe(0);
  });
});

test('without an organization nothing is visible and nothing can be changed', async () => {
  const { database } = rig.gateway.app.engine;
  for (const [table, column] of TENANT_TABLES) {
    expect([table, await database.query(`SELECT * FROM ${table}`)]).toEqual([table, []]);
    const changing = database.query(`UPDATE ${table} SET ${column} = ${column}`);
    await expect(changing, table).rejects.toMatchObject({ code: INSUFFICIENT_PRIVILEGE });
  }
});

test('an organization that there is not, or that is no id at all, sees nothing', async () => {
  const nobody = { ...rig.a, orgId: '00000000-0000-4000-8000-000000000000' };
  for (const [table] of TENANT_TABLES) {
    expect(await attempt(nobody, `SELECT FROM ${table}`)).toEqual({ refused: null, rows: [] });
  }
  for (const orgId of ['*', '%', `${rig.a.orgId},${rig.b.orgId}`, "' OR true --"]) {
    const { refused, rows } = await attempt({ ...rig.a, orgId }, 'SELECT FROM projects');
    expect(rows).toEqual([]);
    expect(refused).not.toBeNull();
  }
});
