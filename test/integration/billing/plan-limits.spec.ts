import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PlanLimitService } from '../../../src/modules/billing/plan-limit.service.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { UserService } from '../../../src/modules/organizations/user.service.js';
import { INSERT_RECORDS } from '../../../src/modules/records/request-log-columns.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { paddleEvent } from '../../support/paddle.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { ACTOR } from '../../support/tenants.js';
import { finalOf, startOf } from '../records/record-samples.js';
import { billingOn, receive, statusOf } from './billing-rig.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());

let nowMs = Date.now();
const clock = { nowMs: () => nowMs };

async function subscriber(plan: Record<string, unknown>) {
  const { orgId } = await db.createTenant({ status: 'active' });
  const run = randomBytes(8).toString('hex');
  const ids = { subscriptionId: `sub_${run}`, customerId: `ctm_${run}`, orgId };
  const billing = billingOn(db.database, { clock });
  await receive(billing, paddleEvent('subscription.created', { ...ids, plan }));
  return { orgId, billing };
}

async function addOwner(orgId: string): Promise<void> {
  const made = await new UserService(db.database).create(
    `${randomUUID()}@example.test`,
    'long-enough',
  );
  if (made.kind !== 'created') throw new Error(made.kind);
  const organizations = new OrganizationService(db.database, db.secretBox, systemClock);
  await organizations.addMember(orgId, made.userId, 'owner', ACTOR);
}

const mails = (orgId: string) =>
  db.database.tenant(orgId, async (q) => {
    const rows = await q.query<{ limit: string }>(
      `SELECT data ->> 'limit' AS limit FROM outbox WHERE kind = 'plan_limit_reached' ORDER BY 1`,
    );
    return rows.map(({ limit }) => limit);
  });

test('a limit that was passed is told to every owner once a month, and changes nothing', async () => {
  const { orgId, billing } = await subscriber({ plan: 'Small', seats: 1, retention_days: 30 });
  await addOwner(orgId);
  await billing.planLimits.warnAll();
  expect(await mails(orgId)).toEqual(['retention_days']);
  await addOwner(orgId);
  await billing.planLimits.warnAll();
  await billing.planLimits.warnAll();
  expect(await mails(orgId)).toEqual(['retention_days', 'retention_days', 'seats', 'seats']);
  nowMs += 31 * 86_400_000;
  await billing.planLimits.warnAll();
  expect(await mails(orgId)).toHaveLength(8);
  expect(await statusOf(db, orgId)).toBe('active');
});

test('an organization that cannot be looked at keeps no other from being told', async () => {
  const broken = await subscriber({ plan: 'Small', retention_days: 30 });
  const { orgId } = await subscriber({ plan: 'Small', retention_days: 30 });
  await addOwner(orgId);
  const failing = {
    directory: db.database.directory.bind(db.database),
    tenant: (id: string, work: Parameters<Database['tenant']>[1]) =>
      id === broken.orgId ? Promise.reject(new Error('too slow')) : db.database.tenant(id, work),
  };
  const limits = new PlanLimitService(failing as Database, failing as Database, clock);
  expect(await limits.warnAll()).toEqual([broken.orgId]);
  expect(await mails(orgId)).toEqual(['retention_days']);
});

test('what is counted takes no connection of those that signing in and the kill switch need', async () => {
  const { orgId } = await subscriber({ plan: 'Small', requests_per_month: 2 });
  const busy = { tenant: () => Promise.reject(new Error('no connection')) } as unknown as Database;
  const limits = await new PlanLimitService(busy, db.database, clock).limitsOf(orgId);
  expect(limits.map(({ included }) => included)).toContain(2);
});

test('what a plan does not name, or names as no number, limits nothing', async () => {
  for (const plan of [
    { plan: 'Open' },
    { seats: 'many', retention_days: -1, requests_per_month: 1.5 },
  ]) {
    const { orgId, billing } = await subscriber(plan);
    await addOwner(orgId);
    await addOwner(orgId);
    await billing.planLimits.warn(orgId);
    expect(await mails(orgId)).toEqual([]);
    const { limits } = await billing.billingAccount.overview(orgId);
    expect(limits.map(({ included }) => included)).toEqual([null, null, null]);
  }
});

test('an organization without a subscription, or with one that has ended, has no limits', async () => {
  const { orgId } = await db.createTenant();
  const billing = billingOn(db.database, { clock });
  expect((await billing.billingAccount.overview(orgId)).limits).toEqual([]);
  const ids = { subscriptionId: 'sub_over', customerId: 'ctm_over', orgId };
  await receive(billing, paddleEvent('subscription.canceled', { ...ids, plan: { seats: 0 } }));
  expect((await billing.billingAccount.overview(orgId)).limits).toEqual([]);
});

test('calls of this month are counted, those of the month before and of the sandbox are not', async () => {
  const { orgId } = await subscriber({ plan: 'Small', requests_per_month: 2 });
  const billing = billingOn(db.database);
  const call = async (atMs: number, synthetic = false): Promise<void> => {
    const record = finalOf(startOf(atMs, { org_id: orgId, synthetic }));
    await db.database.tenant(orgId, (q) => q.query(INSERT_RECORDS, [JSON.stringify([record])]));
  };
  const requests = async () => {
    const { limits } = await billing.billingAccount.overview(orgId);
    return limits.find(({ limit }) => limit === 'requests_per_month');
  };
  const now = Date.now();
  const month = Date.parse(`${new Date(now).toISOString().slice(0, 7)}-01T00:00:00Z`);
  await call(month - 1);
  await call(now, true);
  for (const atMs of [month, now]) await call(atMs);
  expect(await requests()).toMatchObject({ included: 2, used: 2, exceeded: false });
  await call(now);
  expect(await requests()).toMatchObject({ included: 2, used: 3, exceeded: true });
  await billing.planLimits.warn(orgId);
  expect(await mails(orgId)).toEqual(['requests_per_month']);
});

test('a count that is long is not made again for everybody who looks', async () => {
  const { orgId } = await subscriber({ plan: 'Large', requests_per_month: 200_000 });
  let atMs = Date.now();
  const { billingAccount } = billingOn(db.database, { clock: { nowMs: () => atMs } });
  const used = async () =>
    (await billingAccount.overview(orgId)).limits.find(
      ({ limit }) => limit === 'requests_per_month',
    )?.used;
  const call = (count: number) =>
    db.database.tenant(orgId, (q) =>
      q.query(
        `INSERT INTO request_log (org_id, started_at, request_id, retention_class, project_id, api_key_id, provider,
           operation, streamed, decision, mode, synthetic, revision, outcome, metering, pricing, tags, request_bytes,
           response_bytes, client_retry)
         SELECT $1, $2, uuidv7(), 'd90', $1, $1, 'openai', 'chat', false, 'passthrough', 'observing', false, 1,
                'completed', 'not_applicable', 'not_applicable', '{}', 1, 1, 0 FROM generate_series(1, $3::int)`,
        [orgId, new Date(atMs), count],
      ),
    );
  await call(99_999);
  expect(await used()).toBe(99_999);
  await call(1);
  expect(await used()).toBe(100_000);
  await call(1);
  expect(await used()).toBe(100_000);
  atMs += 10 * 60_000;
  // Another month has begun, where this runs in the last minutes of one.
  const isSameMonth = new Date(atMs).getUTCMonth() === new Date(atMs - 600_000).getUTCMonth();
  expect(await used()).toBe(isSameMonth ? 100_001 : 0);
});
