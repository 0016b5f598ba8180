import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../../src/platform/postgres/database.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { paddleEvent, type PaddlePayload } from '../../support/paddle.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { billingOn, billingState, receive, type Billing } from './billing-rig.js';

let db: TestDatabase;
let billing: Billing;
beforeAll(async () => {
  db = await testDatabase();
  billing = billingOn(db.database);
});
afterAll(() => db.close());

class Crash extends Error {}
const AWAITS_MAX = 200;

/** A database whose user ends at its n-th await: before the query, after it, or after the commit. */
function crashingAt(n: number, seen: { awaits: number }): Database {
  const tick = (): void => {
    seen.awaits += 1;
    if (seen.awaits === n) throw new Crash();
  };
  const wrap = (q: Queryable): Queryable => ({
    async query<Row>(sql: string, parameters?: readonly unknown[]) {
      tick();
      const rows = await q.query<Row>(sql, parameters);
      tick();
      return rows;
    },
  });
  const transaction = async <T>(work: (q: Queryable) => Promise<T>): Promise<T> => {
    const result = await db.database.transaction((q) => work(wrap(q)));
    tick();
    return result;
  };
  return { transaction } as unknown as Database;
}

/** The first event waits for the second one, which also ends the subscription. */
function life(orgId: string, run: string): PaddlePayload[] {
  const ids = { subscriptionId: `sub_${run}`, customerId: `ctm_${run}` };
  const at = (seconds: number): string => new Date(Date.now() + seconds * 1_000).toISOString();
  return [
    paddleEvent('subscription.past_due', { ...ids, eventId: `evt_${run}_1`, occurredAt: at(60) }),
    paddleEvent('subscription.canceled', {
      ...ids,
      orgId,
      eventId: `evt_${run}_2`,
      occurredAt: at(90),
    }),
  ];
}

test('a crash at any await leaves no trace of the event or all of its effects, and its redelivery the same end', async () => {
  let crashes = 0;
  for (let n = 1; n <= AWAITS_MAX; n += 1) {
    const { orgId } = await db.createTenant({ status: 'active' });
    const run = randomBytes(8).toString('hex');
    const [first, second] = life(orgId, run) as [PaddlePayload, PaddlePayload];
    await receive(billing, first);
    const before = await billingState(db, orgId);
    const failing = receive(billingOn(crashingAt(n, { awaits: 0 })), second);
    const ended = await failing.then(
      () => 'received',
      (error: unknown) => error,
    );
    const after = await billingState(db, orgId);
    if (ended === 'received') {
      expect(crashes).toBeGreaterThan(30);
      expect(after.status).toBe('canceled');
      return;
    }
    expect(ended).toBeInstanceOf(Crash);
    crashes += 1;
    if (after.inbox.length > 0) expect(after.status).toBe('canceled');
    else expect(after).toEqual(before);
    await receive(billing, second);
    const mended = await billingState(db, orgId);
    expect(mended.status).toBe('canceled');
    expect(mended.inbox).toEqual([
      { event_id: `evt_${run}_1`, state: 'applied' },
      { event_id: `evt_${run}_2`, state: 'applied' },
    ]);
    const [{ count } = { count: 0 }] = await db.database.tenant(orgId, (q) =>
      q.query<{ count: number }>(
        `SELECT count(*)::int FROM audit_log WHERE action = 'billing.snapshot_changed'`,
      ),
    );
    expect(count).toBe(2);
  }
  throw new Error('never got through');
}, 180_000);
