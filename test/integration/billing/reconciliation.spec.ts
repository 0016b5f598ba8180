import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createBilling } from '../../../src/modules/billing/create-billing.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { QueryError } from '../../../src/platform/postgres/query-error.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import {
  PAYER,
  paddleEvent,
  startPaddleSimulation,
  subscriptionData,
  type PaddleEventOptions,
  type PaddleSimulation,
} from '../../support/paddle.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { billingOn, billingState, receive, statusOf, type Billing } from './billing-rig.js';

let db: TestDatabase;
let paddle: PaddleSimulation;
let billing: Billing;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  paddle = await startPaddleSimulation();
  billing = billingOn(db.database, { baseUrl: paddle.origin });
});
afterEach(() => paddle.close());

const later = (seconds: number): string => new Date(Date.now() + seconds * 1_000).toISOString();

async function subscriber(status: 'active' | 'past_due' = 'active') {
  const { orgId } = await db.createTenant({ status });
  const run = randomBytes(8).toString('hex');
  const ids = { subscriptionId: `sub_${run}`, customerId: `ctm_${run}`, orgId };
  await receive(billing, paddleEvent('subscription.created', { ...ids, occurredAt: later(1) }));
  const tell = (options: PaddleEventOptions & { at: string }): void => {
    const data = subscriptionData('subscription.updated', options.at, { ...ids, ...options });
    paddle.subscriptions.set(ids.subscriptionId, data);
  };
  return { orgId, ids, tell };
}

const actionsOf = (orgId: string) =>
  db.database.tenant(orgId, async (q) => {
    const rows = await q.query<{ action: string }>(
      `SELECT action FROM audit_log WHERE action LIKE 'billing.%' ORDER BY seq`,
    );
    return rows.map(({ action }) => action);
  });

test('a lost event is made good by asking the API, once, and audited', async () => {
  const { orgId, tell } = await subscriber();
  tell({ at: later(2), status: 'past_due' });
  expect(await billing.billing.reconcile()).toMatchObject({
    kind: 'done',
    compared: 1,
    changed: 1,
  });
  expect(await statusOf(db, orgId)).toBe('past_due');
  const told = ['billing.snapshot_changed', 'billing.snapshot_changed', 'billing.reconciled'];
  expect(await actionsOf(orgId)).toEqual(told);
  expect(await billing.billing.reconcile()).toMatchObject({
    kind: 'done',
    compared: 1,
    changed: 0,
  });
  expect(await actionsOf(orgId)).toEqual(told);
  tell({ at: later(3), status: 'canceled' });
  await billing.billing.reconcile();
  expect(await statusOf(db, orgId)).toBe('canceled');
});

test('a subscription of which no event ever arrived is found by the organization that it names', async () => {
  const { orgId } = await db.createTenant();
  const data = subscriptionData('subscription.created', later(1), {
    subscriptionId: 'sub_lost',
    orgId,
  });
  paddle.subscriptions.set('sub_lost', data);
  const foreign = subscriptionData('subscription.created', later(1), {
    subscriptionId: 'sub_foreign',
    customerId: 'ctm_foreign',
    orgId: null,
  });
  paddle.subscriptions.set('sub_foreign', foreign);
  expect(await billing.billing.reconcile()).toMatchObject({ compared: 2, changed: 1 });
  expect((await billingState(db, orgId)).snapshot).toMatchObject([
    { status: 'active', plan: 'Team' },
  ]);
});

test('what the API tells of an earlier time does not undo a newer event', async () => {
  const { orgId, ids, tell } = await subscriber();
  tell({ at: later(2), status: 'active', quantity: 7 });
  await receive(billing, paddleEvent('subscription.past_due', { ...ids, occurredAt: later(5) }));
  await billing.billing.reconcile();
  expect(await statusOf(db, orgId)).toBe('past_due');
});

test.each(['failing', 'refusing'] as const)(
  'while Paddle is %s nothing changes, and nothing of its answer is kept',
  async (mood) => {
    const { orgId, tell } = await subscriber();
    tell({ at: later(2), status: 'canceled' });
    paddle.mood = mood;
    const before = await billingState(db, orgId);
    expect(await billing.billing.reconcile()).toMatchObject({ kind: 'interrupted', changed: 0 });
    expect(await billingState(db, orgId)).toEqual(before);
    expect(paddle.asked.length).toBe(mood === 'failing' ? 3 : 1);
    await expect(billing.billingAccount.plans()).rejects.toMatchObject({
      name: 'PaddleFailure',
      message: expect.not.stringContaining(PAYER.email),
    });
  },
);

test('a Paddle that does not answer is not waited for', async () => {
  paddle.mood = 'silent';
  const started = performance.now();
  const owner = { kind: 'member', id: 'm', role: 'owner' } as const;
  const { orgId, ids } = await subscriber();
  expect(ids.orgId).toBe(orgId);
  await expect(billing.billingAccount.openPortal(orgId, owner)).rejects.toMatchObject({
    kind: 'timeout',
  });
  expect(performance.now() - started).toBeLessThan(8_000);
});

test('what Paddle may have done is not asked for twice, what it certainly has not is', async () => {
  const owner = { kind: 'member', id: 'm', role: 'owner' } as const;
  const { orgId } = await subscriber();
  paddle.mood = 'failing';
  const portal = (on: Billing) => on.billingAccount.openPortal(orgId, owner);
  await expect(portal(billing)).rejects.toMatchObject({ kind: 'failing' });
  expect(paddle.asked).toHaveLength(1);
  const gone = await startPaddleSimulation();
  await gone.close();
  const nowhere = billingOn(db.database, { baseUrl: gone.origin });
  await expect(portal(nowhere)).rejects.toMatchObject({ code: 'not_connected' });
});

test('a run that was interrupted is taken up where it stopped', async () => {
  const people = [await subscriber(), await subscriber(), await subscriber()];
  for (const { tell } of people) tell({ at: later(2), status: 'past_due' });
  paddle.pageSize = 1;
  const list = paddle.subscriptions.keys.bind(paddle.subscriptions);
  let pages = 0;
  paddle.subscriptions.keys = () => {
    pages += 1;
    if (pages === 2) paddle.mood = 'failing';
    return list();
  };
  expect(await billing.billing.reconcile()).toMatchObject({ kind: 'interrupted', changed: 2 });
  paddle.mood = 'well';
  expect(await billing.billing.reconcile()).toMatchObject({
    kind: 'done',
    compared: 1,
    changed: 1,
  });
  for (const { orgId } of people) expect(await statusOf(db, orgId)).toBe('past_due');
  expect(await billing.billing.reconcile()).toMatchObject({ compared: 3, changed: 0 });
});

test('a subscription whose organization somebody locks for too long keeps no other from it', async () => {
  const [slow, other] = [await subscriber(), await subscriber()];
  for (const { tell } of [slow, other]) tell({ at: later(2), status: 'past_due' });
  const { database } = db;
  let transactions = 0;
  const once = {
    query: database.query.bind(database),
    directory: database.directory.bind(database),
    tenant: database.tenant.bind(database),
    transaction: (work: Parameters<Database['transaction']>[0]) => {
      transactions += 1;
      const tooSlow = new QueryError('The database refused a query', '57014', null, true);
      return transactions === 1 ? Promise.reject(tooSlow) : database.transaction(work);
    },
  };
  const run = await billingOn(once as unknown as Database, {
    baseUrl: paddle.origin,
  }).billing.reconcile();
  expect(run).toMatchObject({ kind: 'done', compared: 2, changed: 1, failed: 1 });
  const statuses = [await statusOf(db, slow.orgId), await statusOf(db, other.orgId)];
  expect(statuses.toSorted()).toEqual(['active', 'past_due']);
});

test('a run that is asked to end stops at once, and the next one does all of it', async () => {
  const { orgId, tell } = await subscriber();
  tell({ at: later(2), status: 'past_due' });
  const ended = await billing.billing.reconcile(AbortSignal.abort());
  expect(ended).toMatchObject({ kind: 'interrupted', compared: 0 });
  expect(await billing.billing.reconcile()).toMatchObject({ kind: 'done', changed: 1 });
  expect(await statusOf(db, orgId)).toBe('past_due');
});

test('two runs at once change no more than one', async () => {
  const { orgId, tell } = await subscriber();
  tell({ at: later(2), status: 'past_due' });
  await Promise.all([billing.billing.reconcile(), billing.billing.reconcile()]);
  expect(await actionsOf(orgId)).toHaveLength(3);
});

test('with billing off there is nothing to reconcile, and activation needs no payment', async () => {
  const off = createBilling({
    config: { paddle: null },
    database: db.database,
    clock: systemClock,
    logger: createLogger('silent'),
    auditHeads: null,
  });
  expect(await off.billing.reconcile()).toMatchObject({ kind: 'off' });
  const { orgId } = await db.createTenant({ status: 'observation_ended' });
  const applied = await off.subscriptions.apply(orgId, {
    event: 'activate',
    actor: { kind: 'member', id: 'm', role: 'owner' },
  });
  expect(applied).toMatchObject({ kind: 'changed', change: { to: 'active' } });
});
