import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SubscriptionStatus } from '../../../src/domain/subscription/status.js';
import { AuditVerifier } from '../../../src/modules/audit/audit-verifier.js';
import { paddleEvent, type PaddleEventType, type PaddlePayload } from '../../support/paddle.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { billingOn, billingState, receive, type Billing } from './billing-rig.js';

let db: TestDatabase;
let billing: Billing;
beforeAll(async () => {
  db = await testDatabase();
  billing = billingOn(db.database);
});
afterAll(() => db.close());

const TYPES = [
  'subscription.created',
  'subscription.activated',
  'subscription.trialing',
  'subscription.updated',
  'subscription.past_due',
  'subscription.paused',
  'subscription.resumed',
  'subscription.canceled',
  'subscription.imported',
  'transaction.completed',
  'transaction.payment_failed',
] as const satisfies readonly PaddleEventType[];

interface Step {
  readonly type: PaddleEventType;
  readonly second: boolean;
  readonly claims: boolean;
  readonly sameMoment: boolean;
}

const lifecycle = fc.record({
  steps: fc.array(
    fc.record({
      type: fc.constantFrom(...TYPES),
      second: fc.boolean(),
      claims: fc.boolean(),
      sameMoment: fc.boolean(),
    }),
    { minLength: 2, maxLength: 8 },
  ),
  from: fc.constantFrom<SubscriptionStatus>(
    'active',
    'past_due',
    'observing',
    'suspended',
    'canceled',
  ),
  order: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 16, maxLength: 16 }),
});

/** A life of one or two subscriptions of one organization, as Paddle would tell of it in order. */
function payloads(steps: readonly Step[], orgId: string, run: string): PaddlePayload[] {
  // After the activation, and a few microseconds apart: an end always counts.
  const start = Date.now() + 60_000;
  let at = 0;
  return steps.map((step, index) => {
    if (!step.sameMoment) at += 7;
    const occurredAt = `${new Date(start).toISOString().slice(0, -1)}${String(at).padStart(3, '0')}Z`;
    return paddleEvent(step.type, {
      // Whose it is has to be said once at least; it may be said late.
      orgId: step.claims || index === steps.length - 1 ? orgId : null,
      subscriptionId: `sub_${run}${step.second ? 'b' : 'a'}`,
      customerId: `ctm_${run}`,
      eventId: `evt_${run}_${index}`,
      quantity: index,
      occurredAt,
    });
  });
}

type Deliver = (list: readonly PaddlePayload[]) => Promise<unknown>;

async function inOrder(list: readonly PaddlePayload[]): Promise<void> {
  for (const payload of list) await receive(billing, payload);
}

/** The end of a fresh organization's life, without what is its own. */
async function endOf(
  { steps, from }: { steps: readonly Step[]; from: SubscriptionStatus },
  deliver: Deliver,
): Promise<unknown> {
  const { orgId } = await db.createTenant({ status: from });
  const run = randomBytes(8).toString('hex');
  await deliver(payloads(steps, orgId, run));
  const { status, snapshot, customers, inbox } = await billingState(db, orgId);
  expect(await new AuditVerifier(db.database).verify(orgId)).toMatchObject({ broken: null });
  const neutral = JSON.stringify({ snapshot, customers }).replaceAll(run, '').replaceAll(orgId, '');
  // Which of the states were applied on the way depends on the way; that each is kept does not.
  const withoutTimes = neutral.replaceAll(/\d{4}-\d\d-\d\dT[^"]+/g, 'T');
  return { status, rows: withoutTimes, kept: inbox.length };
}

test('duplicated, shuffled and concurrent delivery ends where delivery in order does', async () => {
  await fc.assert(
    fc.asyncProperty(lifecycle, async ({ steps, from, order }) => {
      const shuffle = (list: readonly PaddlePayload[]) =>
        [...list, ...list]
          .map((payload, index) => ({ payload, rank: order[index % order.length] ?? 0, index }))
          .toSorted((a, b) => a.rank - b.rank || a.index - b.index)
          .map(({ payload }) => payload);
      const expected = await endOf({ steps, from }, inOrder);
      expect(await endOf({ steps, from }, (list) => inOrder(shuffle(list)))).toEqual(expected);
      const concurrent = await endOf({ steps, from }, (list) =>
        Promise.all(shuffle(list).map((payload) => receive(billing, payload))),
      );
      expect(concurrent).toEqual(expected);
    }),
    { numRuns: 25, endOnFailure: true },
  );
}, 180_000);

test.each(['observing', 'observation_ended', 'canceled', 'suspended'] as const)(
  'nothing that Paddle tells moves an organization that is %s',
  async (from) => {
    const { orgId } = await db.createTenant({ status: from });
    const run = randomBytes(8).toString('hex');
    const steps = TYPES.map((type) => ({ type, second: false, claims: true, sameMoment: false }));
    for (const payload of payloads(steps, orgId, run)) {
      await receive(billing, payload);
      expect((await billingState(db, orgId)).status).toBe(from);
    }
  },
);

test.each([
  ['past_due, then recovered', ['activated', 'past_due', 'updated'], 'active'],
  ['trialing', ['created', 'trialing'], 'active'],
  ['past_due', ['activated', 'past_due'], 'past_due'],
  ['paused', ['activated', 'paused'], 'past_due'],
  ['paused, then resumed', ['activated', 'paused', 'resumed'], 'active'],
  ['canceled', ['activated', 'canceled'], 'canceled'],
  ['past_due, then canceled', ['past_due', 'canceled'], 'canceled'],
] as const)('an active organization whose subscription was %s', async (_, names, status) => {
  const { orgId } = await db.createTenant({ status: 'active' });
  const run = randomBytes(8).toString('hex');
  const steps = names.map((name) => ({
    type: `subscription.${name}` as const,
    second: false,
    claims: true,
    sameMoment: false,
  }));
  await inOrder(payloads(steps, orgId, run));
  expect((await billingState(db, orgId)).status).toBe(status);
});

test.each(['completed', 'payment_failed'] as const)(
  'transaction.%s alone is kept and changes nothing',
  async (name) => {
    for (const status of ['active', 'past_due'] as const) {
      const { orgId } = await db.createTenant({ status });
      const run = randomBytes(8).toString('hex');
      const step = {
        type: `transaction.${name}` as const,
        second: false,
        claims: true,
        sameMoment: false,
      };
      await inOrder(payloads([step], orgId, run));
      const state = await billingState(db, orgId);
      expect(state.status).toBe(status);
      expect(state.inbox).toEqual([{ event_id: `evt_${run}_0`, state: 'noted' }]);
    }
  },
);
