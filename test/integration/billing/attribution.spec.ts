import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { standingOf } from '../../../src/domain/billing/standing.js';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { PAYER, paddleEvent, type PaddlePayload } from '../../support/paddle.js';
import { LeakHunt } from '../../support/leak-hunt.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import {
  billingOn,
  billingState,
  eventFrom,
  receive,
  statusOf,
  type Billing,
} from './billing-rig.js';

let db: TestDatabase;
let billing: Billing;
beforeAll(async () => {
  db = await testDatabase();
  billing = billingOn(db.database);
});
afterAll(() => db.close());

let run: string;
let ids: { subscriptionId: string; customerId: string };
beforeEach(() => {
  run = randomBytes(8).toString('hex');
  ids = { subscriptionId: `sub_${run}`, customerId: `ctm_${run}` };
});
const later = (seconds: number): string => new Date(Date.now() + seconds * 1_000).toISOString();
const waiting = () =>
  db.database.tenant(INSTALLATION_ID, (q) =>
    q.query<{ event_id: string }>(`SELECT event_id FROM billing_inbox WHERE event_id LIKE $1`, [
      `evt_${run}%`,
    ]),
  );

test('an event from before its organization is known waits, and is applied with the one that names it', async () => {
  const { orgId } = await db.createTenant({ status: 'active' });
  const due = paddleEvent('subscription.past_due', {
    ...ids,
    eventId: `evt_${run}`,
    occurredAt: later(9),
  });
  expect(await receive(billing, due)).toEqual({ kind: 'waiting' });
  expect(await waiting()).toHaveLength(1);
  const created = paddleEvent('subscription.created', { ...ids, orgId, occurredAt: later(5) });
  expect(await receive(billing, created)).toMatchObject({ kind: 'stored', orgId });
  expect(await waiting()).toEqual([]);
  expect(await statusOf(db, orgId)).toBe('past_due');
});

test('an organization that there is not keeps its events waiting, and changes nobody', async () => {
  for (const orgId of [randomUUID(), INSTALLATION_ID, 'not-an-id', '%']) {
    const eventId = `evt_${run}_${orgId.length}_${orgId.slice(0, 2).replace('%', 'p')}`;
    const payload = paddleEvent('subscription.canceled', {
      orgId,
      eventId,
      subscriptionId: `sub_${run}${orgId.length}`,
      customerId: ids.customerId,
    });
    expect(await receive(billing, payload)).toEqual({ kind: 'waiting' });
  }
  expect(await waiting()).toHaveLength(4);
});

test('a subscription stays with the first organization that it was named for', async () => {
  const first = await db.createTenant({ status: 'active' });
  const second = await db.createTenant({ status: 'active' });
  await receive(billing, paddleEvent('subscription.created', { ...ids, orgId: first.orgId }));
  const stolen = paddleEvent('subscription.canceled', {
    ...ids,
    orgId: second.orgId,
    occurredAt: later(60),
  });
  expect(await receive(billing, stolen)).toEqual({
    kind: 'stored',
    orgId: first.orgId,
    state: 'conflicting',
  });
  expect(await statusOf(db, first.orgId)).toBe('active');
  expect(await statusOf(db, second.orgId)).toBe('active');
  expect((await billingState(db, second.orgId)).snapshot).toEqual([]);
});

test('two organizations that name one subscription at once: one of them has it', async () => {
  const tenants = [await db.createTenant(), await db.createTenant()];
  await Promise.all(
    tenants.map(({ orgId }) =>
      receive(billing, paddleEvent('subscription.created', { ...ids, orgId })),
    ),
  );
  const states = await Promise.all(tenants.map(({ orgId }) => billingState(db, orgId)));
  expect(states.map(({ snapshot }) => snapshot.length).toSorted()).toEqual([0, 1]);
});

test('a subscription without a name of its own goes to the organization of its customer, where that is one', async () => {
  const { orgId } = await db.createTenant({ status: 'active' });
  await receive(billing, paddleEvent('subscription.created', { ...ids, orgId }));
  const imported = { customerId: ids.customerId, subscriptionId: `sub_${run}x` };
  const kept = await receive(billing, paddleEvent('subscription.imported', imported));
  expect(kept).toMatchObject({ kind: 'stored', orgId });
  const other = await db.createTenant();
  const third = { customerId: ids.customerId, subscriptionId: `sub_${run}y`, orgId: other.orgId };
  await receive(billing, paddleEvent('subscription.created', third));
  const fourth = { customerId: ids.customerId, subscriptionId: `sub_${run}z` };
  expect(await receive(billing, paddleEvent('subscription.imported', fourth))).toEqual({
    kind: 'waiting',
  });
});

test('an event of an unknown type is kept, and so is a status that nobody knew', async () => {
  const { orgId } = await db.createTenant({ status: 'active' });
  await receive(billing, paddleEvent('subscription.created', { ...ids, orgId }));
  const before = await billingState(db, orgId);
  const base = paddleEvent('subscription.updated', { ...ids, orgId, status: 'in_limbo' });
  const unheard: PaddlePayload[] = [
    base,
    {
      ...paddleEvent('transaction.completed', { ...ids, orgId }),
      event_type: 'Warehouse2.moved-out',
    },
    {
      ...base,
      event_id: `evt_${run}_empty`,
      event_type: 'customer.updated',
      data: { id: ids.customerId },
    },
  ];
  for (const payload of unheard) {
    expect(await receive(billing, payload)).toMatchObject({ kind: 'stored', state: 'noted' });
  }
  const after = await billingState(db, orgId);
  expect(after.inbox).toHaveLength(before.inbox.length + unheard.length);
  expect({ ...after, inbox: [] }).toEqual({ ...before, inbox: [] });
});

test('a delivery that comes again changes nothing, not even with another content', async () => {
  const { orgId } = await db.createTenant({ status: 'active' });
  const created = paddleEvent('subscription.created', { ...ids, orgId });
  await receive(billing, created);
  const before = await billingState(db, orgId);
  const forged = {
    ...created,
    data: { ...created.data, status: 'canceled' },
    occurred_at: later(60),
  };
  expect(await receive(billing, created)).toEqual({ kind: 'duplicate' });
  expect(await receive(billing, forged)).toEqual({ kind: 'duplicate' });
  expect(await billingState(db, orgId)).toEqual(before);
});

test('activation needs a subscription that is paid for, and takes back an earlier end', async () => {
  const { orgId } = await db.createTenant({ status: 'observation_ended' });
  const act = { event: 'activate', actor: { kind: 'member', id: 'm', role: 'owner' } } as const;
  const activate = () => billing.subscriptions.apply(orgId, act);
  const refused = { kind: 'refused', code: 'payment_required' };
  expect(await activate()).toMatchObject(refused);
  await receive(
    billing,
    paddleEvent('subscription.canceled', { ...ids, orgId, occurredAt: later(-60) }),
  );
  expect(await activate()).toMatchObject(refused);
  const again = { customerId: ids.customerId, subscriptionId: `sub_${run}2`, orgId };
  await receive(
    billing,
    paddleEvent('subscription.past_due', { ...again, occurredAt: later(-50) }),
  );
  expect(await activate()).toMatchObject(refused);
  await receive(billing, paddleEvent('subscription.updated', { ...again, occurredAt: later(-40) }));
  expect(await activate()).toMatchObject({ kind: 'changed' });
  await receive(billing, paddleEvent('transaction.completed', { ...again }));
  await receive(billing, paddleEvent('subscription.updated', { ...again, occurredAt: later(1) }));
  expect(await statusOf(db, orgId)).toBe('active');
  await receive(billing, paddleEvent('subscription.canceled', { ...again, occurredAt: later(2) }));
  expect(await statusOf(db, orgId)).toBe('canceled');
});

test('whichever comes first, an activation or the end of the subscription, nothing routes that nobody pays for', async () => {
  const ends = new Set<string>();
  for (let trial = 0; trial < 12; trial += 1) {
    const { orgId } = await db.createTenant({ status: 'observation_ended' });
    const own = { subscriptionId: `sub_${run}${trial}`, customerId: `ctm_${run}${trial}`, orgId };
    await receive(billing, paddleEvent('subscription.created', { ...own, occurredAt: later(-60) }));
    const actor = { kind: 'member', id: 'm', role: 'owner' } as const;
    // Stamped before the activation, heard of around it.
    const ended = paddleEvent('subscription.canceled', { ...own, occurredAt: later(-1) });
    const work = [
      () => billing.subscriptions.apply(orgId, { event: 'activate', actor }),
      () => receive(billing, ended),
    ];
    if (trial < 2) for (const one of trial === 0 ? work : work.toReversed()) await one();
    else await Promise.all(work.map((one) => one()));
    ends.add(await statusOf(db, orgId));
  }
  expect([...ends].toSorted()).toEqual(['observation_ended', 'past_due']);
});

test('nothing of what names a payer is stored', async () => {
  const { orgId } = await db.createTenant({ status: 'active' });
  for (const type of [
    'subscription.created',
    'subscription.canceled',
    'transaction.payment_failed',
  ] as const) {
    await receive(billing, paddleEvent(type, { ...ids, orgId, occurredAt: later(9) }));
    await receive(
      billing,
      paddleEvent(type, { subscriptionId: `sub_${run}w`, customerId: `ctm_${run}w` }),
    );
  }
  const planted = paddleEvent('subscription.updated', { ...ids, orgId, occurredAt: later(10) });
  const data = {
    ...planted.data,
    scheduled_change: { action: PAYER.name, effective_at: PAYER.street },
  };
  await receive(billing, { ...planted, data, event_type: 'subscription.updated' });
  const strange = {
    ...planted,
    event_id: `evt_${run}_s`,
    data: { ...data, status: PAYER.company },
  };
  await receive(billing, strange);
  const hunt = new LeakHunt(Object.entries(PAYER).map(([name, text]) => ({ name, text })));
  for (const scope of [orgId, INSTALLATION_ID]) {
    await db.database.tenant(scope, async (q) => {
      for (const table of [
        'billing_inbox',
        'billing_subscriptions',
        'billing_customers',
        'audit_log',
        'outbox',
      ]) {
        hunt.text(table, JSON.stringify(await q.query(`SELECT * FROM ${table}`)));
      }
    });
  }
  expect(hunt.bytesSearched).toBeGreaterThan(4_000);
  expect(hunt.hits).toEqual([]);
});

test('the database holds one organization to its own rows, and the waiting ones to nobody', async () => {
  const [a, b] = [await db.createTenant(), await db.createTenant()];
  await receive(billing, paddleEvent('subscription.created', { ...ids, orgId: a.orgId }));
  const taken = db.database.tenant(b.orgId, (q) =>
    q.query('SELECT attribute_billing_events($1, $2, $3, 10)', [a.orgId, ids.subscriptionId, null]),
  );
  await expect(taken).rejects.toMatchObject({ code: '42501' });
  const nobodys = db.database.tenant(INSTALLATION_ID, (q) =>
    q.query('SELECT attribute_billing_events($1, $2, $3, 10)', [INSTALLATION_ID, null, null]),
  );
  await expect(nobodys).rejects.toMatchObject({ code: '42501' });
  for (const sql of [
    'UPDATE billing_inbox SET org_id = org_id',
    'UPDATE billing_inbox SET payload = payload',
    'UPDATE billing_subscriptions SET org_id = org_id',
    'DELETE FROM billing_inbox',
    'DELETE FROM billing_subscriptions',
  ]) {
    await expect(
      db.database.tenant(a.orgId, (q) => q.query(sql)),
      sql,
    ).rejects.toMatchObject({
      code: '42501',
    });
  }
  expect(eventFrom(paddleEvent('subscription.created', ids)).claimedOrgId).toBeNull();
  expect(standingOf([], null).standing).toBe('none');
});
