import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { hashAuditEntry } from '../../../src/modules/audit/audit-encoding.js';
import { INSTALLATION_ID, type AuditEntry } from '../../../src/modules/audit/audit-entry.js';
import { AUDIT_COLUMNS, AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { AuditVerifier } from '../../../src/modules/audit/audit-verifier.js';
import { SubscriptionService } from '../../../src/modules/subscriptions/subscription.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { entriesOf, tamper } from './trail.js';

let db: TestDatabase;
let verifier: AuditVerifier;
/** A chain of its own for each test. */
let orgId: string;
let last: number;
let moved: number;

const operator = { kind: 'operator', name: 'olga' } as const;

beforeAll(async () => {
  db = await testDatabase();
  verifier = new AuditVerifier(db.database);
});
afterAll(() => db.close());

beforeEach(async () => {
  ({ orgId } = await db.createTenant());
  const subscriptions = new SubscriptionService(db.database, systemClock, async () => 'off');
  const trail = new AuditTrail(db.database);
  for (const event of ['suspend', 'reinstate', 'kill', 'suspend'] as const) {
    const applied = await subscriptions.apply(orgId, { event, actor: operator, reason: 'test' });
    if (applied.kind !== 'changed') throw new Error(applied.kind);
    moved = applied.auditSeq;
    await trail.add(orgId, {
      actor: operator,
      action: 'report.created',
      atMs: 1,
      details: { n: 1 },
    });
  }
  last = (await entriesOf(db, orgId)).length;
  expect(await verifier.verify(orgId)).toMatchObject({ verified: last, broken: null });
});

async function brokenBy(work: (q: Queryable) => Promise<unknown>) {
  await tamper(db, work);
  const verdict = await verifier.verify(orgId);
  // Everything before the named entry holds; a wrong status shows after all of them.
  if (verdict.broken && verdict.broken.fault !== 'status_mismatch')
    expect(verdict.verified).toBeLessThanOrEqual(verdict.broken.seq);
  return verdict.broken;
}

const change = (column: string, value: string, seq: number) => (q: Queryable) =>
  q.query(`UPDATE audit_log SET ${column} = ${value} WHERE org_id = $1 AND seq = $2`, [orgId, seq]);

test.each([
  ['at', `at + interval '1 millisecond'`],
  ['actor_kind', `'command'`],
  ['actor', `'oleg'`],
  ['action', `'report.deleted'`],
  ['subject', `'x'`],
  ['old_value', `'x'`],
  ['new_value', `''`],
  ['reason', `'another'`],
  ['details', `'{"n": 2}'`],
  ['details', `details || '{"m": 1}'`],
  ['hash', `sha256('x')`],
])('a changed %s is found, with its place', async (column, value) => {
  expect(await brokenBy(change(column, value, 5))).toEqual({ fault: 'changed', seq: 5 });
});

test('a changed link is found, with its place', async () => {
  const broken = await brokenBy(change('prev_hash', `sha256('x')`, 5));
  expect(broken).toEqual({ fault: 'changed', seq: 5 });
});

test.each([1, 5])('a deleted entry %i is missed', async (seq) => {
  const broken = await brokenBy((q) =>
    q.query('DELETE FROM audit_log WHERE org_id = $1 AND seq = $2', [orgId, seq]),
  );
  expect(broken).toEqual({ fault: 'missing', seq });
});

test('a deleted entry is missed although the numbers were closed up', async () => {
  const broken = await brokenBy(async (q) => {
    await q.query('DELETE FROM audit_log WHERE org_id = $1 AND seq = 5', [orgId]);
    await renumber(q, 5, -1);
    await q.query('UPDATE audit_heads SET seq = seq - 1 WHERE org_id = $1', [orgId]);
  });
  expect(broken).toMatchObject({ seq: 5 });
});

test('a deleted tail is missed', async () => {
  const broken = await brokenBy((q) =>
    q.query('DELETE FROM audit_log WHERE org_id = $1 AND seq > $2', [orgId, last - 2]),
  );
  expect(broken).toEqual({ fault: 'missing', seq: last - 1 });
});

test('a whole trail that is gone is missed, by its head', async () => {
  const broken = await brokenBy((q) => q.query('DELETE FROM audit_log WHERE org_id = $1', [orgId]));
  expect(broken).toEqual({ fault: 'missing', seq: 1 });
});

test('a tail that is gone from the head too shows against an earlier head', async () => {
  const earlier = { seq: last, hash: (await verifier.verify(orgId)).hash };
  await tamper(db, (q) => cutTail(q, last - 1));
  // The tail told of no step, so that nothing in the database shows it any more.
  expect(await verifier.verify(orgId)).toMatchObject({ broken: null, verified: last - 1 });
  expect((await verifier.verify(orgId, earlier)).broken).toEqual({ fault: 'missing', seq: last });
});

test('a tail that told of a step shows against the status, even without an earlier head', async () => {
  const broken = await brokenBy((q) => cutTail(q, moved - 1));
  expect(broken?.fault).toBe('status_mismatch');
});

test('a chain that was written anew from some entry on shows against an earlier head', async () => {
  const earlier = { seq: last, hash: (await verifier.verify(orgId)).hash };
  const middle = { seq: 6, hash: (await entriesOf(db, orgId))[5]!.hash };
  await tamper(db, async (q) => {
    await change('reason', `'rewritten'`, 7)(q);
    await relink(q, 7);
  });
  expect((await verifier.verify(orgId)).broken).toBeNull();
  expect((await verifier.verify(orgId, middle)).broken).toBeNull();
  expect((await verifier.verify(orgId, earlier)).broken).toEqual({
    fault: 'head_mismatch',
    seq: last,
  });
  const wrongStart = { seq: 0, hash: earlier.hash };
  expect((await verifier.verify(orgId, wrongStart)).broken).toEqual({
    fault: 'head_mismatch',
    seq: 0,
  });
});

test('swapped entries are found', async () => {
  const broken = await brokenBy(async (q) => {
    await q.query('UPDATE audit_log SET seq = 1000 WHERE org_id = $1 AND seq = 5', [orgId]);
    await q.query('UPDATE audit_log SET seq = 5 WHERE org_id = $1 AND seq = 6', [orgId]);
    await q.query('UPDATE audit_log SET seq = 6 WHERE org_id = $1 AND seq = 1000', [orgId]);
  });
  expect(broken).toEqual({ fault: 'out_of_order', seq: 5 });
});

test('entries that changed places in content alone are found', async () => {
  const broken = await brokenBy(async (q) => {
    await q.query(
      `UPDATE audit_log a SET actor = b.actor, action = b.action, details = b.details, old_value = b.old_value,
              new_value = b.new_value, reason = b.reason, at = b.at
         FROM audit_log b
        WHERE a.org_id = $1 AND b.org_id = $1 AND (a.seq, b.seq) IN ((5, 6), (6, 5))`,
      [orgId],
    );
  });
  expect(broken).toEqual({ fault: 'changed', seq: 5 });
});

test('a forged entry between others is found', async () => {
  const forged = await forgedEntry(5, null);
  const broken = await brokenBy(async (q) => {
    await renumber(q, 4, 1);
    await insert(q, forged);
  });
  // The forged one fits its predecessor; what it was put before does not follow it any more.
  expect(broken).toEqual({ fault: 'out_of_order', seq: 6 });
});

test('a forged entry with a made-up hash is found', async () => {
  const forged = await forgedEntry(5, randomBytes(32).toString('hex'));
  const broken = await brokenBy(async (q) => {
    await renumber(q, 4, 1);
    await insert(q, forged);
  });
  expect(broken).toEqual({ fault: 'changed', seq: 5 });
});

test('an entry that was written anew with its own hash shows at the one after it', async () => {
  const rewritten = { ...(await entriesOf(db, orgId))[4]!, reason: 'rewritten' };
  const broken = await brokenBy(async (q) => {
    await change('reason', `'rewritten'`, 5)(q);
    await change('hash', `decode('${hashAuditEntry(rewritten)}', 'hex')`, 5)(q);
  });
  expect(broken).toEqual({ fault: 'out_of_order', seq: 6 });
});

test('a forged entry at the end is found', async () => {
  const forged = await forgedEntry(last + 1, null);
  const broken = await brokenBy((q) => insert(q, forged));
  expect(broken).toEqual({ fault: 'head_mismatch', seq: last + 1 });
});

test('a forged head is found, and so is one that is gone', async () => {
  await tamper(db, (q) =>
    q.query(`UPDATE audit_heads SET hash = sha256('x') WHERE org_id = $1`, [orgId]),
  );
  expect((await verifier.verify(orgId)).broken).toEqual({ fault: 'head_mismatch', seq: last });
  await tamper(db, (q) => q.query('DELETE FROM audit_heads WHERE org_id = $1', [orgId]));
  expect((await verifier.verify(orgId)).broken).toEqual({ fault: 'head_mismatch', seq: 1 });
});

test('a status or hold that was changed without an entry is found', async () => {
  const set = (sql: string) => (q: Queryable) =>
    q.query(`UPDATE organizations SET ${sql} WHERE id = $1`, [orgId]);
  const found = { fault: 'status_mismatch', seq: moved };
  expect(await brokenBy(set(`status = 'active'`))).toEqual(found);
  expect(await brokenBy(set(`status = 'suspended', routing_hold = false`))).toEqual(found);
  expect(await brokenBy(set('routing_hold = true'))).toBeNull();
});

test('an illegal step is found although the chain is linked as it should be', async () => {
  await tamper(db, async (q) => {
    await change('action', `'subscription.activate'`, moved)(q);
    await relink(q, moved);
  });
  expect((await verifier.verify(orgId)).broken).toEqual({ fault: 'illegal_step', seq: moved });
});

test('a chain that has no entry yet holds, and one that had some does not pass for it', async () => {
  const nobody = 'ffffffff-0000-4000-8000-000000000005';
  expect(await verifier.verify(nobody)).toMatchObject({ verified: 0, broken: null });
  const earlier = { seq: 1, hash: 'a'.repeat(64) };
  expect((await verifier.verify(nobody, earlier)).broken).toEqual({ fault: 'missing', seq: 1 });
});

test('the global switch that was turned without an entry is found in the chain of the installation', async () => {
  await db.database.query(`SELECT set_global_routing(false, now(), 'operator', 'olga', 'test')`);
  expect((await verifier.verify(INSTALLATION_ID)).broken).toBeNull();
  await tamper(db, (q) => q.query('UPDATE tenancy_version SET routing_enabled = true'));
  expect((await verifier.verify(INSTALLATION_ID)).broken).toMatchObject({
    fault: 'status_mismatch',
  });
  await tamper(db, (q) => q.query('UPDATE tenancy_version SET routing_enabled = false'));
  await db.database.query(`SELECT set_global_routing(true, now(), 'operator', 'olga', 'test')`);
  expect((await verifier.verify(INSTALLATION_ID)).broken).toBeNull();
});

test('the trail of an organization that is gone is still verified with all the others', async () => {
  const gone = 'ffffffff-0000-4000-8000-000000000001';
  await new AuditTrail(db.database).add(gone, {
    actor: operator,
    action: 'report.created',
    atMs: 1,
  });
  const heads = async () => {
    const all = [];
    for await (const verdict of verifier.verifyAll()) all.push(verdict);
    return all;
  };
  const before = await heads();
  expect(before[0]?.orgId).toBe(INSTALLATION_ID);
  expect(new Set(before.map((verdict) => verdict.orgId)).size).toBe(before.length);
  expect(before.find((verdict) => verdict.orgId === gone)).toMatchObject({
    verified: 1,
    broken: null,
  });
  await tamper(db, (q) => q.query('DELETE FROM audit_heads WHERE org_id = $1', [orgId]));
  const found = (await heads()).find((verdict) => verdict.orgId === orgId);
  expect(found?.broken).toEqual({ fault: 'head_mismatch', seq: 1 });
});

test('a chain of many pages is verified to its end, and a fault on a late page is found', async () => {
  const long = 'ffffffff-0000-4000-8000-000000000002';
  await db.database.tenant(long, (q) =>
    q.query(
      `INSERT INTO audit_log (org_id, at, actor_kind, actor, action)
       SELECT $1, now(), 'job', 'x', 'report.created' FROM generate_series(1, 1203)`,
      [long],
    ),
  );
  expect(await verifier.verify(long)).toMatchObject({ verified: 1203, broken: null });
  await tamper(db, (q) =>
    q.query(`UPDATE audit_log SET actor = 'y' WHERE org_id = $1 AND seq = 1201`, [long]),
  );
  expect(await verifier.verify(long)).toMatchObject({
    verified: 1200,
    broken: { fault: 'changed', seq: 1201 },
  });
});

async function cutTail(q: Queryable, keep: number): Promise<void> {
  await q.query('DELETE FROM audit_log WHERE org_id = $1 AND seq > $2', [orgId, keep]);
  await q.query(
    `UPDATE audit_heads h SET seq = a.seq, hash = a.hash FROM audit_log a
      WHERE h.org_id = $1 AND a.org_id = $1 AND a.seq = $2`,
    [orgId, keep],
  );
}

/** Moves the numbers of all entries after one; in two steps, because they are unique at every moment. */
async function renumber(q: Queryable, after: number, by: number): Promise<void> {
  await q.query('UPDATE audit_log SET seq = seq + 1000000 WHERE org_id = $1 AND seq > $2', [
    orgId,
    after,
  ]);
  await q.query(
    'UPDATE audit_log SET seq = seq - 1000000 + $2 WHERE org_id = $1 AND seq > 1000000',
    [orgId, by],
  );
}

/** As somebody would who knows the encoding and may write everything: all hashes from an entry on, and the head. */
async function relink(q: Queryable, from: number): Promise<void> {
  const rows = await q.query<AuditEntry>(
    `SELECT ${AUDIT_COLUMNS} FROM audit_log WHERE org_id = $1 ORDER BY audit_log.seq`,
    [orgId],
  );
  let prevHash = rows[from - 2]!.hash;
  for (const row of rows.slice(from - 1)) {
    const hash = hashAuditEntry({ ...row, prevHash });
    await q.query(
      `UPDATE audit_log SET prev_hash = decode($3, 'hex'), hash = decode($4, 'hex') WHERE org_id = $1 AND seq = $2`,
      [orgId, row.seq, prevHash, hash],
    );
    prevHash = hash;
  }
  await q.query(`UPDATE audit_heads SET hash = decode($2, 'hex') WHERE org_id = $1`, [
    orgId,
    prevHash,
  ]);
}

async function forgedEntry(seq: number, hash: string | null): Promise<AuditEntry> {
  const before = (await entriesOf(db, orgId))[seq - 2]!;
  const entry = {
    ...before,
    seq,
    actor: 'nobody',
    action: 'report.created',
    details: '{"forged": true}',
    prevHash: before.hash,
  };
  return { ...entry, hash: hash ?? hashAuditEntry(entry) };
}

async function insert(q: Queryable, entry: AuditEntry): Promise<void> {
  await q.query(
    `INSERT INTO audit_log (org_id, seq, at, actor_kind, actor, action, subject, old_value, new_value, reason,
                            details, prev_hash, hash)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, decode($12, 'hex'), decode($13, 'hex'))`,
    [
      entry.orgId,
      entry.seq,
      entry.at,
      entry.actorKind,
      entry.actor,
      entry.action,
      entry.subject,
      entry.oldValue,
      entry.newValue,
      entry.reason,
      entry.details,
      entry.prevHash,
      entry.hash,
    ],
  );
}
