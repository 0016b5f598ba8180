import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import { SUBSCRIPTION_STATUSES } from '../../../src/domain/subscription/status.js';
import { replayStep } from '../../../src/domain/subscription/transition-replay.js';
import { SUBSCRIPTION_EVENTS } from '../../../src/domain/subscription/transitions.js';
import { AuditHeads } from '../../../src/modules/audit/audit-heads.js';
import { SubscriptionService } from '../../../src/modules/subscriptions/subscription.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import { isGenuineHead } from '../../support/genuine-head.js';
import { testDatabase, type TestDatabase, type TestTenant } from '../../support/postgres.js';
import { entriesOf, guarded, statusOf } from './trail.js';

let db: TestDatabase;
let tenant: TestTenant;
let subscriptions: SubscriptionService;
beforeAll(async () => {
  db = await testDatabase();
  tenant = await db.createTenant();
  subscriptions = new SubscriptionService(db.database, systemClock, async () => 'off');
});
afterAll(() => db.close());

const operator = { kind: 'operator', name: 'olga' } as const;
const owner: Actor = { kind: 'member', id: 'm', role: 'owner' };

test('a transition, its audit entry and its news are stored together', async () => {
  const applied = await subscriptions.apply(tenant.orgId, {
    event: 'suspend',
    actor: operator,
    reason: 'abuse',
  });
  if (applied.kind !== 'changed') throw new Error(applied.kind);
  await db.database.tenant(tenant.orgId, async (q) => {
    expect(await q.query('SELECT status FROM organizations')).toEqual([{ status: 'suspended' }]);
    expect(
      await q.query(
        'SELECT actor, action, old_value, new_value, reason, details FROM audit_log WHERE seq = $1',
        [applied.auditSeq],
      ),
    ).toEqual([
      {
        actor: 'olga',
        action: 'subscription.suspend',
        old_value: 'observing',
        new_value: 'suspended',
        reason: 'abuse',
        details: { hold: false },
      },
    ]);
    expect(await q.query('SELECT kind, state FROM outbox')).toEqual([
      { kind: 'status_changed', state: 'undeliverable' },
    ]);
  });
});

test('the news of a change print the signed head of the trail, at the entry that tells of it', async () => {
  const { orgId } = await db.createTenant();
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  const heads = new AuditHeads(db.database, new Signer(pem.toString()), systemClock);
  const signing = new SubscriptionService(db.database, systemClock, async () => 'off', heads);
  const applied = await signing.apply(orgId, { event: 'kill', actor: operator });
  if (applied.kind !== 'changed') throw new Error(applied.kind);
  const [mail] = await db.database.tenant(orgId, (q) =>
    q.query<{ head: string }>(
      `SELECT data ->> 'audit_head' AS head FROM outbox WHERE kind = 'status_changed'`,
    ),
  );
  const entry = (await entriesOf(db, orgId)).find(({ seq }) => seq === applied.auditSeq);
  const [line, at = '', signature = ''] = mail?.head.split(' ') ?? [];
  // As `verify-audit --head` takes it.
  expect(line).toBe(`${applied.auditSeq}:${entry?.hash}`);
  const head = { orgId, seq: applied.auditSeq, hash: entry?.hash ?? '', at, signature };
  expect(isGenuineHead(heads.publicKey, head)).toBe(true);
  expect(isGenuineHead(heads.publicKey, { ...head, seq: head.seq + 1 })).toBe(false);
});

test('a refused event and one that changes nothing leave nothing behind', async () => {
  const { orgId } = await db.createTenant();
  const before = await guarded(db);
  const job: Actor = { kind: 'job', name: 'x' };
  expect(await subscriptions.apply(orgId, { event: 'suspend', actor: job })).toMatchObject({
    kind: 'refused',
    code: 'not_permitted',
  });
  expect(await subscriptions.apply(orgId, { event: 'reinstate', actor: operator })).toMatchObject({
    kind: 'refused',
    code: 'not_in_this_status',
  });
  expect(
    await subscriptions.apply(orgId, { event: 'release_hold', actor: operator }),
  ).toMatchObject({ kind: 'unchanged' });
  expect(await guarded(db)).toEqual(before);
});

test('a kill switch and a suspension work while nobody can say whether the bill is paid', async () => {
  const { orgId } = await db.createTenant({ status: 'active' });
  const broken = new SubscriptionService(db.database, systemClock, async () => {
    throw new Error('billing is down');
  });
  expect(await broken.apply(orgId, { event: 'kill', actor: operator })).toMatchObject({
    kind: 'changed',
  });
  expect(await statusOf(db, orgId)).toEqual({ status: 'observing', hold: true });
  for (const event of ['suspend', 'reinstate', 'release_hold'] as const) {
    expect(await broken.apply(orgId, { event, actor: operator })).toMatchObject({
      kind: 'changed',
    });
  }
  const activating = broken.apply(orgId, { event: 'activate', actor: owner });
  await expect(activating).rejects.toThrow('billing is down');
  expect(await statusOf(db, orgId)).toEqual({ status: 'observing', hold: false });
});

test('a kill that finds nothing to stop still sets the hold, and says so in the trail', async () => {
  const { orgId } = await db.createTenant();
  expect(await subscriptions.apply(orgId, { event: 'kill', actor: operator })).toMatchObject({
    kind: 'changed',
    change: { from: 'observing', to: 'observing', holdBefore: false, hold: true },
  });
  expect(await subscriptions.apply(orgId, { event: 'kill', actor: operator })).toMatchObject({
    kind: 'unchanged',
    hold: true,
  });
  expect(await subscriptions.apply(orgId, { event: 'activate', actor: owner })).toMatchObject({
    kind: 'refused',
    code: 'operator_hold',
  });
});

test('one transaction may move more than once, as long as each move is legal and told', async () => {
  const { orgId } = await db.createTenant();
  await db.database.tenant(orgId, async (q) => {
    for (const event of ['suspend', 'reinstate', 'suspend', 'reinstate', 'kill'] as const) {
      const applied = await subscriptions.applyWithin(q, orgId, { event, actor: operator });
      expect(applied.kind).toBe('changed');
    }
  });
  expect(await statusOf(db, orgId)).toEqual({ status: 'observing', hold: true });
});

test('details cannot pretend another hold than the one that was set', async () => {
  const { orgId } = await db.createTenant();
  const applied = await subscriptions.apply(orgId, {
    event: 'suspend',
    actor: operator,
    details: { hold: true, billing_event: 'evt_1' },
  });
  if (applied.kind !== 'changed') throw new Error(applied.kind);
  const [entry] = await db.database.tenant(orgId, (q) =>
    q.query('SELECT details FROM audit_log WHERE seq = $1', [applied.auditSeq]),
  );
  expect(entry).toEqual({ details: { hold: false, billing_event: 'evt_1' } });
});

test('the database takes exactly the steps that the table of transitions has', async () => {
  const kinds: Actor['kind'][] = ['member', 'operator', 'command', 'job', 'billing', 'system'];
  const both = [false, true];
  const steps = [...SUBSCRIPTION_EVENTS, 'jump_to'].flatMap((event) =>
    kinds.flatMap((actorKind) =>
      SUBSCRIPTION_STATUSES.flatMap((from) =>
        SUBSCRIPTION_STATUSES.flatMap((to) =>
          both.flatMap((before) =>
            both.map((hold) => ({ event, actorKind, from, to, before, hold })),
          ),
        ),
      ),
    ),
  );
  expect(steps.length).toBe(12 * 6 * 6 * 6 * 2 * 2);
  const rows = await db.owner.query<{ legal: boolean }>(
    `SELECT is_legal_transition(s.event, s."actorKind", s."from", s.before, s."to", s.hold) AS legal
       FROM ROWS FROM (jsonb_to_recordset($1) AS (event text, "actorKind" text, "from" text, "to" text,
                                                  before boolean, hold boolean)) WITH ORDINALITY
            AS s(event, "actorKind", "from", "to", before, hold, n)
      ORDER BY s.n`,
    [JSON.stringify(steps)],
  );
  let legal = 0;
  steps.forEach((step, index) => {
    const told = replayStep({ status: step.from, hold: step.before }, step) !== null;
    if (told) legal += 1;
    expect([step, rows[index]?.legal]).toEqual([step, told]);
  });
  expect(legal).toBeGreaterThan(40);
});

test('where anything is missing, the database takes no step', async () => {
  const full = ['kill', 'operator', 'active', false, 'observing', true];
  const ask = async (values: readonly unknown[]) => {
    const [row] = await db.owner.query<{ legal: boolean }>(
      'SELECT is_legal_transition($1, $2, $3, $4, $5, $6) AS legal',
      values,
    );
    return row?.legal;
  };
  expect(await ask(full)).toBe(true);
  for (let i = 0; i < full.length; i += 1)
    expect(await ask(full.with(i, null as never))).toBe(false);
});
