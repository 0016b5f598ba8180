import { afterAll, beforeAll, expect, test } from 'vitest';
import { SubscriptionService } from '../../../src/modules/subscriptions/subscription.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { testDatabase, type TestDatabase, type TestTenant } from '../../support/postgres.js';

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

test('a transition, its audit entry and its news are stored together', async () => {
  const applied = await subscriptions.apply(tenant.orgId, {
    event: 'suspend',
    actor: operator,
    reason: 'abuse',
  });
  expect(applied).toMatchObject({ kind: 'changed', auditSeq: 1 });
  await db.database.tenant(tenant.orgId, async (q) => {
    expect(await q.query('SELECT status FROM organizations')).toEqual([{ status: 'suspended' }]);
    expect(
      await q.query('SELECT actor, action, old_value, new_value, reason FROM audit_log'),
    ).toEqual([
      {
        actor: 'olga',
        action: 'subscription.suspend',
        old_value: 'observing',
        new_value: 'suspended',
        reason: 'abuse',
      },
    ]);
    expect(await q.query('SELECT kind, state FROM outbox')).toEqual([
      { kind: 'status_changed', state: 'undeliverable' },
    ]);
  });
});

test('not even the owner of the schema changes a status beside the trail', async () => {
  const update = db.owner.tenant(tenant.orgId, (q) =>
    q.query(`UPDATE organizations SET status = 'active'`),
  );
  await expect(update).rejects.toMatchObject({ code: '23001' });
});
