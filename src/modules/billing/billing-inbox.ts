import type { Queryable } from '../../platform/postgres/queryable.js';
import type { BillingEvent } from './paddle-event.js';

/** `unattributed`: waits for its organization to become known; also what a row is until it is applied. */
export type InboxState = 'unattributed' | 'applied' | 'older' | 'noted' | 'conflicting';

/** How many waiting events one arrival hands to their organization; what is left follows with the next one. */
const ATTRIBUTED_MAX = 200;

/** Named by number, so that no other lock of the product is meant. */
const LOCK_CLASS = 7_336;

/**
 * Events of one subscription, or of one customer, are taken in one after the other: else an event could arrive while
 * another one tells whose it is, neither seeing the other, and would wait for ever.
 */
export async function lockSubject(q: Queryable, event: BillingEvent): Promise<void> {
  const names = [event.subscriptionId, event.customerId].filter((name) => name !== null);
  const hashes = await q.query<{ hash: number }>(
    'SELECT DISTINCT hashtext(name) AS hash FROM unnest($1::text[]) AS name ORDER BY hash',
    [names],
  );
  // In one order everywhere, so that two of them cannot wait for each other.
  for (const { hash } of hashes) {
    await q.query('SELECT pg_advisory_xact_lock($1, $2)', [LOCK_CLASS, hash]);
  }
}

/** Whose an event is, as far as can be told without asking an organization. */
export interface BillingOwner {
  /** The organization that its subscription belongs to. */
  readonly linked: string | null;
  readonly claimExists: boolean;
  /** The organization of its customer, where only one has that customer. */
  readonly customerOf: string | null;
  readonly customerCount: number;
}

export async function findOwner(
  q: Queryable,
  event: Pick<BillingEvent, 'subscriptionId' | 'customerId' | 'claimedOrgId'>,
): Promise<BillingOwner> {
  const [row] = await q.query<BillingOwner>(
    `SELECT linked, claim_exists AS "claimExists", customer_of AS "customerOf", customer_count AS "customerCount"
       FROM find_billing_owner($1, $2, $3)`,
    [event.subscriptionId, event.customerId, event.claimedOrgId],
  );
  if (!row) throw new Error('find_billing_owner answers with one row');
  return row;
}

/** Within a transaction that is scoped to the organization, or to nobody's. False: it is there already. */
export async function storeEvent(
  q: Queryable,
  orgId: string,
  event: BillingEvent,
  { state, receivedAtMs }: { readonly state: InboxState; readonly receivedAtMs: number },
): Promise<boolean> {
  const rows = await q.query(
    `INSERT INTO billing_inbox (event_id, org_id, type, occurred_at, received_at, subscription_id, customer_id,
                                claimed_org_id, payload, state)
     VALUES ($1, $2, $3, $4::timestamptz, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING event_id`,
    [
      event.eventId,
      orgId,
      event.type,
      event.occurredAt,
      new Date(receivedAtMs),
      event.subscriptionId,
      event.customerId,
      event.claimedOrgId,
      JSON.stringify(event.payload),
      state,
    ],
  );
  return rows.length > 0;
}

/** Hands what waited for this subscription or customer to the organization; returns it, oldest first. */
export async function takeWaiting(
  q: Queryable,
  orgId: string,
  { subscriptionId, customerId }: BillingEvent,
): Promise<BillingEvent[]> {
  await q.query('SELECT attribute_billing_events($1, $2, $3, $4)', [
    orgId,
    subscriptionId,
    customerId,
    ATTRIBUTED_MAX,
  ]);
  return q.query<BillingEvent>(
    `SELECT event_id AS "eventId", type, subscription_id AS "subscriptionId", customer_id AS "customerId",
            to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS "occurredAt",
            claimed_org_id AS "claimedOrgId", payload
       FROM billing_inbox WHERE org_id = $1 AND state = 'unattributed'
      ORDER BY occurred_at, event_id LIMIT ${ATTRIBUTED_MAX + 1}`,
    [orgId],
  );
}

export async function markEvent(q: Queryable, eventId: string, state: InboxState): Promise<void> {
  await q.query('UPDATE billing_inbox SET state = $2 WHERE event_id = $1', [eventId, state]);
}
