import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { AuditVerifier } from '../../../src/modules/audit/audit-verifier.js';
import { sqlStateOf } from '../../../src/platform/postgres/query-error.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { testDatabase, type TestDatabase, type TestTenant } from '../../support/postgres.js';
import { guarded, statusOf } from './trail.js';

let db: TestDatabase;
/** `own` is active, `other` observing. */
let own: TestTenant;
let other: TestTenant;
/** As the runtime's login, which may put its role off. */
let login: Database;

beforeAll(async () => {
  db = await testDatabase();
  own = await db.createTenant({ status: 'active' });
  other = await db.createTenant();
  login = await db.connect({ role: null, poolSize: 2 });
});
afterAll(async () => {
  await login?.close();
  await db?.close();
});

const DENIED = '42501';
const RESTRICTED = '23001';

/** The SQLSTATE that ends the transaction; null where it commits. */
async function stateOf(
  database: Database,
  orgId: string,
  work: (q: Queryable) => Promise<unknown>,
): Promise<string | null> {
  try {
    await database.tenant(orgId, work);
    return null;
  } catch (error) {
    return sqlStateOf(error) ?? String(error);
  }
}

const script = (statements: string) => async (q: Queryable) => {
  for (const statement of statements.split(';;')) {
    await q.query(
      statement.replaceAll('$OWN', `'${own.orgId}'`).replaceAll('$OTHER', `'${other.orgId}'`),
    );
  }
};

/** A call of the door; what is given stands in for the usual. */
const door = (given: Readonly<Record<string, string>>): string => {
  const call = {
    org: '$OWN',
    event: `'suspend'`,
    old: `'active'`,
    new: `'suspended'`,
    hold: 'false',
    at: 'now()',
    kind: `'operator'`,
    who: `'olga'`,
    why: `'test'`,
    more: `'{}'`,
    ...given,
  };
  return `SELECT change_subscription(${Object.values(call).join(', ')})`;
};

const entry = (given: Readonly<Record<string, string>>): string => {
  const row = {
    org_id: '$OWN',
    at: 'now()',
    actor_kind: `'operator'`,
    actor: `'olga'`,
    action: `'subscription.suspend'`,
    old_value: `'active'`,
    new_value: `'suspended'`,
    details: `'{"hold": false}'`,
    ...given,
  };
  return `INSERT INTO audit_log (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).join(', ')})`;
};

async function refused(database: Database, sql: string, states: readonly string[]): Promise<void> {
  const before = await guarded(db);
  const state = await stateOf(database, own.orgId, script(sql));
  expect([sql, state]).toEqual([sql, states.find((one) => one === state) ?? states.join(' or ')]);
  expect(await guarded(db)).toEqual(before);
}

describe('as the runtime', () => {
  test.each([
    [`UPDATE organizations SET status = 'suspended'`],
    ['UPDATE organizations SET routing_hold = true'],
    ['UPDATE organizations SET activated_at = now()'],
    [`INSERT INTO organizations (id, name, status) VALUES (gen_random_uuid(), 'x', 'active')`],
    ['DELETE FROM organizations'],
    [`UPDATE audit_log SET reason = 'x'`],
    ['DELETE FROM audit_log'],
    ['TRUNCATE audit_log'],
    ['UPDATE audit_heads SET seq = 0'],
    [`INSERT INTO audit_heads (org_id, seq, hash) VALUES ($OWN, 0, sha256('x'))`],
    ['DELETE FROM audit_heads'],
    ['TRUNCATE audit_heads'],
    ['SELECT seq FROM audit_heads FOR UPDATE'],
    ['UPDATE tenancy_version SET routing_enabled = false'],
    [entry({})],
    [entry({ action: `'subscription.kill'`, new_value: `'observing'` })],
    [entry({ action: `'routing.switch'`, old_value: `'on'`, new_value: `'off'` })],
    [entry({ org_id: '$OTHER', action: `'member.joined'` })],
    [entry({ action: `'member.joined'`, seq: '99' })],
    [entry({ action: `'member.joined'`, hash: `sha256('x')` })],
    [entry({ action: `'member.joined'`, prev_hash: `sha256('x')` })],
    [
      `${entry({ action: `'member.joined'` })} ON CONFLICT (org_id, seq) DO UPDATE SET reason = 'x'`,
    ],
    ['ALTER TABLE organizations DISABLE TRIGGER ALL'],
    ['ALTER TABLE audit_log DISABLE TRIGGER audit_log_linked'],
    ['ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY'],
    ['DROP TRIGGER audit_log_append_only ON audit_log'],
    ['DROP POLICY tenant ON audit_log'],
    [
      'CREATE TRIGGER mine BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change()',
    ],
    ['CREATE RULE mine AS ON INSERT TO audit_log DO INSTEAD NOTHING'],
    ['ALTER FUNCTION is_legal_transition RENAME TO was_legal'],
    [`SELECT is_legal_transition('kill', 'operator', 'active', false, 'observing', true)`],
    [`SELECT audit_field('x')`],
    [`SET LOCAL session_replication_role = 'replica';; ${entry({})}`],
    [`SELECT set_config('session_replication_role', 'replica', true)`],
    [`SELECT set_config('role', 'shunt_owner', true)`],
    [`SET LOCAL ROLE shunt_owner`],
    [`SET LOCAL row_security = off;; ${entry({ org_id: '$OTHER', action: `'member.joined'` })}`],
    [
      `SELECT set_config('shunt.scope', 'directory', true);; UPDATE organizations SET status = 'active'`,
    ],
    ['COPY audit_log (org_id, at, actor_kind, actor, action) FROM PROGRAM $$echo$$'],
  ])('it has no right to: %s', (sql) => refused(db.database, sql, [DENIED]));

  test.each([
    ['an illegal pair', { event: `'activate'`, new: `'past_due'`, kind: `'member'` }],
    ["a legal pair under another event's name", { event: `'payment_past_due'`, kind: `'billing'` }],
    ['an event that there is not', { event: `'jump'` }],
    ['an event with a pattern in it', { event: `'%'` }],
    ['an actor who may not', { kind: `'job'` }],
    ['billing that blocks', { kind: `'billing'` }],
    ['a wrong old status', { old: `'observing'` }],
    ['a status that there is not', { new: `'paused'` }],
    ['a hold on the side', { hold: 'true' }],
    ['a kill without a hold', { event: `'kill'`, new: `'observing'`, hold: 'false' }],
    ['a kill that lets it route on', { event: `'kill'`, new: `'active'`, hold: 'true' }],
    ['a release of what is not held', { event: `'release_hold'`, new: `'active'` }],
    ['a move to where it stands', { event: `'activate'`, new: `'active'`, kind: `'member'` }],
    ['no event', { event: 'NULL' }],
    ['no old status', { old: 'NULL' }],
    ['no new status', { new: 'NULL' }],
    ['no hold', { hold: 'NULL' }],
    ['no actor', { who: 'NULL' }],
    ['an empty actor', { who: `''` }],
    ['no kind of actor', { kind: 'NULL' }],
    ['no time', { at: 'NULL' }],
    ['a time without an end', { at: `'infinity'` }],
    ['a time before there were computers', { at: `'0044-03-15 BC'` }],
    ['details that are no object', { more: `'[1]'` }],
    ['details that are a word', { more: `'"hold"'` }],
    ['details without end', { more: `jsonb_build_object('x', repeat('x', 9000))` }],
    ['an event of 500 characters', { event: `repeat('x', 500)` }],
    ['a reason without end', { why: `repeat('x', 5000)` }],
  ])('the door refuses %s', (_, given) =>
    refused(db.database, door(given), [RESTRICTED, '23502', '23514']),
  );

  test('the door is that of the own organization alone', async () => {
    await refused(db.database, door({ org: '$OTHER', old: `'observing'` }), [DENIED]);
    await refused(db.database, door({ org: 'NULL' }), [DENIED]);
    const before = await guarded(db);
    const unscoped = db.database.query(door({}).replaceAll('$OWN', `'${own.orgId}'`));
    await expect(unscoped).rejects.toMatchObject({ code: DENIED });
    await expect(db.database.query(door({ org: 'NULL' }))).rejects.toMatchObject({
      code: RESTRICTED,
    });
    expect(await guarded(db)).toEqual(before);
  });

  test.each([
    ['a job', `'job'`],
    ['billing', `'billing'`],
    ['a member', `'member'`],
  ])('the global switch is not for %s', (_, kind) =>
    refused(db.database, `SELECT set_global_routing(false, now(), ${kind}, 'x', NULL)`, [
      RESTRICTED,
    ]),
  );

  test.each([
    ['neither on nor off', `NULL, now(), 'operator', 'olga', NULL`],
    ['nobody', `false, now(), 'operator', NULL, NULL`],
    ['no kind', `false, now(), NULL, 'olga', NULL`],
  ])('the global switch is not turned by or to %s', (_, given) =>
    refused(db.database, `SELECT set_global_routing(${given})`, ['23502']),
  );

  test('objects of its own do not stand in for those of the schema', async () => {
    const before = await statusOf(db, other.orgId);
    const state = await stateOf(
      db.database,
      own.orgId,
      script(
        [
          'CREATE TEMP TABLE audit_log (org_id uuid)',
          'CREATE TEMP TABLE organizations (id uuid, status text)',
          'SET LOCAL search_path = pg_temp, public',
          door({ old: `'observing'` }),
        ].join(';;'),
      ),
    );
    expect([DENIED, RESTRICTED]).toContain(state);
    expect(await statusOf(db, other.orgId)).toEqual(before);
  });

  test('when it has its constraints checked makes no difference', async () => {
    await refused(db.database, `SET CONSTRAINTS ALL IMMEDIATE;; ${door({ hold: 'true' })}`, [
      RESTRICTED,
    ]);
    await refused(
      db.database,
      `SAVEPOINT one;; ${door({})};; ROLLBACK TO one;; ${door({ event: `'reinstate'`, old: `'suspended'`, new: `'observing'` })}`,
      [RESTRICTED],
    );
  });

  test('what a savepoint takes back is taken back whole', async () => {
    const before = await guarded(db);
    const undone = script(`SAVEPOINT one;; ${door({})};; ROLLBACK TO one`);
    expect(await stateOf(db.database, own.orgId, undone)).toBeNull();
    expect(await guarded(db)).toEqual(before);
  });

  test('the name of an operator cannot be more than a name', async () => {
    const before = await guarded(db);
    const quoted = door({ who: `'olga''); DELETE FROM audit_log; --'` });
    await stateOf(db.database, own.orgId, async (q) => {
      await script(quoted)(q);
      throw new Error('undone');
    });
    expect(await guarded(db)).toEqual(before);
  });

  test('its login without the role has no more rights', async () => {
    await refused(login, entry({}), [DENIED]);
    await refused(login, `UPDATE organizations SET status = 'suspended'`, [DENIED]);
    await refused(db.database, `RESET ROLE;; ${entry({})}`, [DENIED]);
    await refused(db.database, `SET LOCAL ROLE NONE;; ${entry({})}`, [DENIED]);
  });
});

/** A whole, legal change as the owner writes it by hand. */
const SUSPEND = `UPDATE organizations SET status = 'suspended' WHERE id = $OWN`;

describe('as the owner of the schema, with the triggers on', () => {
  test.each([
    ['a status without an entry', SUSPEND],
    ['a hold without an entry', 'UPDATE organizations SET routing_hold = true WHERE id = $OWN'],
    ['an entry without its change', entry({})],
    ['an entry for another pair', `${entry({ action: `'subscription.cancel'`, actor_kind: `'member'`, new_value: `'canceled'` })};; ${SUSPEND}`],
    ['an entry with another hold', `${entry({ details: `'{"hold": true}'` })};; ${SUSPEND}`],
    ['an entry without a hold', `${entry({ details: `'{}'` })};; ${SUSPEND}`],
    ['an entry with a hold of null', `${entry({ details: `'{"hold": null}'` })};; ${SUSPEND}`],
    ['an entry with a hold in words', `${entry({ details: `'{"hold": "false"}'` })};; ${SUSPEND}`],
    ['an entry of nobody who may', `${entry({ actor_kind: `'job'` })};; ${SUSPEND}`],
    ['an entry without values', `${entry({ old_value: 'NULL', new_value: 'NULL' })};; ${SUSPEND}`],
    ['an entry that begins elsewhere', `${entry({ old_value: `'observing'` })};; ${SUSPEND}`],
    ['a change between two entries of which the last tells another', `${entry({})};; ${entry({ action: `'subscription.reinstate'`, old_value: `'suspended'`, new_value: `'observing'` })};; ${SUSPEND}`],
    ['a second change under one entry', `${entry({})};; ${SUSPEND};; SET CONSTRAINTS ALL IMMEDIATE;; SET CONSTRAINTS ALL DEFERRED;; UPDATE organizations SET status = 'active' WHERE id = $OWN`],
    ['a change back and forth under one entry', `${entry({})};; ${SUSPEND};; UPDATE organizations SET status = 'active' WHERE id = $OWN`],
    ['a change whose entry a savepoint took back', `SAVEPOINT one;; ${entry({})};; ROLLBACK TO one;; ${SUSPEND}`],
    ['an entry whose change a savepoint took back', `SAVEPOINT one;; ${SUSPEND};; ROLLBACK TO one;; ${entry({})}`],
    ['entries that cancel each other out and were never so', `${entry({})};; ${entry({ action: `'subscription.activate'`, actor_kind: `'member'`, old_value: `'suspended'`, new_value: `'active'` })}`],
    ['an organization that starts elsewhere', `SELECT set_config('shunt.org_id', 'ffffffff-0000-4000-8000-000000000003', true);; INSERT INTO organizations (id, name, status) VALUES ('ffffffff-0000-4000-8000-000000000003', 'x', 'active')`],
    ['an entry of an organization that there is not', `SELECT set_config('shunt.org_id', 'ffffffff-0000-4000-8000-000000000004', true);; ${entry({ org_id: `'ffffffff-0000-4000-8000-000000000004'`, old_value: `'observing'` })}`],
    ['an entry of a subscription for the installation', `SELECT set_config('shunt.org_id', '${INSTALLATION_ID}', true);; ${entry({ org_id: `'${INSTALLATION_ID}'`, old_value: `'observing'` })}`],
    ['a changed entry', `UPDATE audit_log SET reason = 'x' WHERE org_id = $OWN`],
    ['a deleted entry', 'DELETE FROM audit_log WHERE org_id = $OWN'],
    ['a deletion of nothing at all', 'DELETE FROM audit_log WHERE false'],
    ['an emptied trail', 'TRUNCATE audit_log'],
    ['emptied heads', 'TRUNCATE audit_heads'],
    ['a deleted head', 'DELETE FROM audit_heads WHERE org_id = $OWN'],
    ['a head that goes back', 'UPDATE audit_heads SET seq = seq - 1 WHERE org_id = $OWN'],
    ['a head with another hash', `UPDATE audit_heads SET hash = sha256('x') WHERE org_id = $OWN`],
    ['a head that begins in the middle', `INSERT INTO audit_heads (org_id, seq, hash) VALUES (gen_random_uuid(), 5, sha256('x'))`],
    ['a switch without an entry', 'UPDATE tenancy_version SET routing_enabled = false'],
    ['a switch in the chain of an organization', `${entry({ action: `'routing.switch'`, old_value: `'on'`, new_value: `'on'` })}`],
    ['an entry of a switch that was not turned', `SELECT set_config('shunt.org_id', '${INSTALLATION_ID}', true);; ${entry({ org_id: `'${INSTALLATION_ID}'`, action: `'routing.switch'`, old_value: `'on'`, new_value: `'off'` })}`],
  ])('%s is refused', (_, sql) => refused(db.owner, sql, [RESTRICTED])); // prettier-ignore

  test('the entry of one organization does not cover the change of another', async () => {
    const before = await guarded(db);
    const state = await stateOf(
      db.owner,
      other.orgId,
      script(
        [
          `UPDATE organizations SET status = 'suspended' WHERE id = $OTHER`,
          `SELECT set_config('shunt.org_id', $OWN, true)`,
          SUSPEND,
          entry({}),
        ].join(';;'),
      ),
    );
    expect(state).toBe(RESTRICTED);
    expect(await guarded(db)).toEqual(before);
  });

  test('given numbers and hashes are not taken', async () => {
    const undone = new Error('undone');
    await db.owner
      .tenant(own.orgId, async (q) => {
        const insert = entry({
          action: `'member.joined'`,
          seq: '999',
          prev_hash: `sha256('x')`,
          hash: `sha256('y')`,
        });
        const [row] = await q.query(
          `${insert.replaceAll('$OWN', `'${own.orgId}'`)}
           RETURNING seq = (SELECT h.seq FROM audit_heads h WHERE h.org_id = audit_log.org_id) AS numbered,
                     hash = sha256('y') AS taken, prev_hash = sha256('x') AS linked`,
        );
        expect(row).toMatchObject({ taken: false, linked: false });
        const [last] = await q.query<{ seq: string; head: string }>(
          `SELECT (SELECT max(seq) FROM audit_log WHERE org_id = $1) AS seq,
                  (SELECT seq FROM audit_heads WHERE org_id = $1) AS head`,
          [own.orgId],
        );
        expect(last?.seq).toBe(last?.head);
        expect(Number(last?.seq)).toBeLessThan(999);
        throw undone;
      })
      .catch((error: unknown) => {
        if (error !== undone) throw error;
      });
  });
});

test('after all that every chain verifies', async () => {
  const verifier = new AuditVerifier(db.database);
  for await (const verdict of verifier.verifyAll()) {
    expect(verdict).toMatchObject({ broken: null });
  }
  expect(await statusOf(db, own.orgId)).toEqual({ status: 'active', hold: false });
  expect(await statusOf(db, other.orgId)).toEqual({ status: 'observing', hold: false });
});

test('turning the global switch leaves the transaction in its own organization', async () => {
  await db.database.tenant(own.orgId, async (q) => {
    const scope = () => q.query(`SELECT current_setting('shunt.org_id') AS scope`);
    const before = await scope();
    for (const [enabled, turned] of [
      [false, true],
      [false, false],
      [true, true],
    ]) {
      expect(
        await q.query(
          `SELECT set_global_routing($1, now(), 'operator', 'olga', 'drill') AS turned`,
          [enabled],
        ),
      ).toEqual([{ turned }]);
      expect(await scope()).toEqual(before);
    }
  });
});
