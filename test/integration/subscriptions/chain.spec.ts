import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import { AuditHeads } from '../../../src/modules/audit/audit-heads.js';
import { AuditTrail, auditWithin } from '../../../src/modules/audit/audit-trail.js';
import { AuditVerifier } from '../../../src/modules/audit/audit-verifier.js';
import { SubscriptionService } from '../../../src/modules/subscriptions/subscription.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { scopeToOrganization } from '../../../src/platform/postgres/session-scope.js';
import { isGenuineHead } from '../../support/genuine-head.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { entriesOf, guarded } from './trail.js';

let db: TestDatabase;
let second: Database;
let verifier: AuditVerifier;
beforeAll(async () => {
  db = await testDatabase();
  second = await db.connect();
  verifier = new AuditVerifier(db.database);
});
afterAll(async () => {
  await second?.close();
  await db?.close();
});

const actor: Actor = { kind: 'job', name: 'test' };
const ENTRY = { actor, action: 'report.created', atMs: 1 } as const;

test('50 entries at once, from two replicas, are 50 consecutive entries of one chain', async () => {
  const orgId = randomUUID();
  const trails = [new AuditTrail(db.database), new AuditTrail(second)];
  const numbers = await Promise.all(
    Array.from({ length: 50 }, (_, i) => trails[i % 2]!.add(orgId, ENTRY)),
  );
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  expect(await verifier.verify(orgId)).toMatchObject({ verified: 50, broken: null });
});

test('entries that are taken back leave no gap', async () => {
  const orgId = randomUUID();
  const trail = new AuditTrail(db.database);
  await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) =>
      db.database.tenant(orgId, async (q) => {
        await auditWithin(q, orgId, ENTRY);
        if (i % 2 === 0) throw new Error('undone');
      }),
    ),
  );
  expect(await trail.add(orgId, ENTRY)).toBe(11);
  expect(await verifier.verify(orgId)).toMatchObject({ verified: 11, broken: null });
});

test('a transaction with an older view of the chain adds nothing beside it', async () => {
  const orgId = randomUUID();
  const trail = new AuditTrail(second);
  await trail.add(orgId, ENTRY);
  const stale = db.database.transaction(async (q) => {
    await q.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await scopeToOrganization(q, orgId);
    await q.query('SELECT FROM audit_heads');
    await trail.add(orgId, ENTRY);
    await auditWithin(q, orgId, ENTRY);
  });
  await expect(stale).rejects.toMatchObject({ code: '40001' });
  expect(await verifier.verify(orgId)).toMatchObject({ verified: 2, broken: null });
});

test('two transactions that touch two organizations in opposite order come to an end, each whole or not at all', async () => {
  const [a, b] = [await db.createTenant(), await db.createTenant()];
  const services = [db.database, second].map(
    (database) => new SubscriptionService(database, systemClock, async () => 'off'),
  );
  const operator: Actor = { kind: 'operator', name: 'olga' };
  const lengths = async () => [
    (await entriesOf(db, a.orgId)).length,
    (await entriesOf(db, b.orgId)).length,
  ];
  const before = await lengths();
  let reached = 0;
  const both = async (database: Database, index: number, [first, then]: [string, string]) =>
    database.transaction(async (q) => {
      for (const orgId of [first, then]) {
        await scopeToOrganization(q, orgId);
        await services[index]!.applyWithin(q, orgId, { event: 'suspend', actor: operator });
        await services[index]!.applyWithin(q, orgId, { event: 'reinstate', actor: operator });
        await auditWithin(q, orgId, ENTRY);
        if (orgId === first) {
          reached += 1;
          // Both hold their first organization before either asks for its second.
          await until(() => reached >= 2);
        }
      }
    });
  const results = await Promise.allSettled([
    both(db.database, 0, [a.orgId, b.orgId]),
    both(second, 1, [b.orgId, a.orgId]),
  ]);
  const won = results.filter(({ status }) => status === 'fulfilled').length;
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: '40P01' });
  }
  expect(won).toBe(1);
  expect(await lengths()).toEqual(before.map((length) => length + 3 * won));
  for (const { orgId } of [a, b]) {
    expect(await verifier.verify(orgId)).toMatchObject({ broken: null });
  }
});

test('the global switch is not held up by a transaction that has audited and is about to commit', async () => {
  const { orgId } = await db.createTenant();
  const turn = (on: boolean) =>
    second.query(`SELECT set_global_routing($1, now(), 'operator', 'olga', NULL) AS turned`, [on]);
  for (const on of [false, true]) {
    // The transaction bumps the counter at its commit, after it has taken the installation's head.
    let turning: Promise<unknown> = Promise.resolve();
    await db.database.transaction(async (q) => {
      await scopeToOrganization(q, orgId);
      await q.query(`UPDATE organizations SET name = name || 'x'`);
      await scopeToOrganization(q, '00000000-0000-0000-0000-000000000000');
      await auditWithin(q, '00000000-0000-0000-0000-000000000000', ENTRY);
      turning = turn(on);
      await waiting(1);
    });
    expect(await turning).toEqual([{ turned: true }]);
  }
});

test('a verification goes on while entries are added, and looks at one moment of the chain', async () => {
  const { orgId } = await db.createTenant();
  const service = new SubscriptionService(second, systemClock, async () => 'off');
  const operator: Actor = { kind: 'operator', name: 'olga' };
  const done = new AbortController();
  const writing = (async () => {
    for (let i = 0; i < 100; i += 1) {
      const event = i % 2 === 0 ? 'suspend' : 'reinstate';
      await service.apply(orgId, { event, actor: operator });
    }
    done.abort();
  })();
  let runs = 0;
  while (!done.signal.aborted) {
    const verdict = await verifier.verify(orgId);
    expect(verdict.broken).toBeNull();
    runs += 1;
  }
  await writing;
  expect(runs).toBeGreaterThan(1);
});

test('a signed head proves what the chain was, and no other text passes for it', async () => {
  const pem = () =>
    generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const heads = new AuditHeads(db.database, new Signer(pem()), { ...systemClock, nowMs: () => 42 });
  const orgId = randomUUID();
  expect(await heads.signed(orgId)).toMatchObject({ seq: 0, hash: '0'.repeat(64) });
  await new AuditTrail(db.database).add(orgId, ENTRY);
  const head = await heads.signed(orgId);
  const [entry] = await entriesOf(db, orgId);
  expect(head).toMatchObject({ orgId, seq: 1, hash: entry?.hash, at: '1970-01-01T00:00:00.042Z' });
  expect(isGenuineHead(heads.publicKey, head)).toBe(true);
  for (const changed of [
    { orgId: randomUUID() },
    { seq: 2 },
    { hash: 'a'.repeat(64) },
    { at: '1970-01-01T00:00:00.043Z' },
    { signature: '' },
    { signature: `A${head.signature.slice(1)}` },
  ]) {
    expect(isGenuineHead(heads.publicKey, { ...head, ...changed })).toBe(
      changed.signature === head.signature,
    );
  }
  expect(isGenuineHead(new Signer(pem()).publicKey, head)).toBe(false);
  expect(await verifier.verify(orgId, head)).toMatchObject({ broken: null });
});

test('nothing was half done in all that', async () => {
  const state = (await guarded(db)) as { heads: unknown[] };
  expect(state.heads.length).toBeGreaterThan(4);
  for await (const verdict of verifier.verifyAll()) {
    expect(verdict).toMatchObject({ broken: null });
  }
});

const WAIT_MS_MAX = 10_000;

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('It did not come about in time');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Until so many sessions of this database wait for a lock. */
async function waiting(count: number): Promise<void> {
  await until(async () => {
    const [row] = await db.owner.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted`,
    );
    return (row?.n ?? 0) >= count;
  });
}
