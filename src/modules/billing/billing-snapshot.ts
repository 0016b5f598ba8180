import type { PlanFigures } from '../../domain/billing/plan-limits.js';
import {
  standingOf,
  type BillingFact,
  type BillingVerdict,
} from '../../domain/billing/standing.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { BillingEvent, SubscriptionState } from './paddle-event.js';

/** More subscriptions of one organization than these are not looked at: the newest are. */
const SUBSCRIPTIONS_MAX = 1_000;

/** First come, first served: a subscription that belongs to an organization is never given to another. */
export async function linkWithin(q: Queryable, orgId: string, event: BillingEvent): Promise<void> {
  if (event.subscriptionId !== null) {
    await q.query(
      'INSERT INTO billing_subscriptions (org_id, subscription_id) VALUES ($1, $2) ON CONFLICT DO NOTHING',
      [orgId, event.subscriptionId],
    );
  }
  if (event.customerId !== null) {
    await q.query(
      'INSERT INTO billing_customers (org_id, customer_id) VALUES ($1, $2) ON CONFLICT DO NOTHING',
      [orgId, event.customerId],
    );
  }
}

export interface StoredState {
  readonly status: SubscriptionState['status'] | null;
  readonly priceId: string | null;
  readonly quantity: number | null;
  readonly scheduledChange: SubscriptionState['scheduledChange'];
  readonly nextBilledAt: Date | null;
}

export async function storedState(
  q: Queryable,
  orgId: string,
  subscriptionId: string,
): Promise<StoredState | null> {
  const [row] = await q.query<StoredState>(
    `SELECT status, price_id AS "priceId", quantity, scheduled_change AS "scheduledChange",
            next_billed_at AS "nextBilledAt"
       FROM billing_subscriptions WHERE org_id = $1 AND subscription_id = $2`,
    [orgId, subscriptionId],
  );
  return row ?? null;
}

/** Whether the API tells anything that the snapshot does not; the plan's figures are the catalog's, and not compared. */
export function isSameState(stored: StoredState | null, told: SubscriptionState): boolean {
  if (stored === null) return false;
  const ms = (at: string | null): number | null => (at === null ? null : Date.parse(at));
  return (
    stored.status === told.status &&
    stored.priceId === told.priceId &&
    stored.quantity === told.quantity &&
    stored.scheduledChange?.action === told.scheduledChange?.action &&
    ms(stored.scheduledChange?.effectiveAt ?? null) ===
      ms(told.scheduledChange?.effectiveAt ?? null) &&
    (stored.nextBilledAt?.getTime() ?? null) === ms(told.nextBilledAt)
  );
}

/**
 * Takes an event's state for the subscription's, unless a newer one was taken before. An end is noted either way:
 * it counts even where it is heard of late. False where the state is an older one.
 */
export async function mergeState(
  q: Queryable,
  orgId: string,
  event: BillingEvent,
  state: SubscriptionState,
): Promise<boolean> {
  const key = [orgId, event.subscriptionId, event.occurredAt, event.eventId];
  if (state.status === 'canceled') {
    await q.query(
      `UPDATE billing_subscriptions SET last_end_at = $3::timestamptz, last_end_event_id = $4
        WHERE org_id = $1 AND subscription_id = $2
          AND (last_end_at IS NULL OR (last_end_at, last_end_event_id) < ($3::timestamptz, $4 COLLATE "C"))`,
      key,
    );
  }
  const { plan } = state;
  const changed = await q.query(
    `UPDATE billing_subscriptions
        SET occurred_at = $3::timestamptz, event_id = $4, customer_id = coalesce($5, customer_id), status = $6,
            price_id = $7, product_id = $8, quantity = $9, scheduled_change = $10::jsonb,
            next_billed_at = $11::timestamptz, period_ends_at = $12::timestamptz, plan = $13, seats = $14,
            retention_days = $15, requests_per_month = $16
      WHERE org_id = $1 AND subscription_id = $2
        AND (occurred_at IS NULL OR (occurred_at, event_id) < ($3::timestamptz, $4 COLLATE "C"))
      RETURNING subscription_id`,
    [
      ...key,
      event.customerId,
      state.status,
      state.priceId,
      state.productId,
      state.quantity,
      state.scheduledChange === null ? null : JSON.stringify(state.scheduledChange),
      state.nextBilledAt,
      state.periodEndsAt,
      plan.plan,
      plan.seats,
      plan.retentionDays,
      plan.requestsPerMonth,
    ],
  );
  return changed.length > 0;
}

/** What the organization's events say, read within a transaction that is scoped to it. */
export async function verdictWithin(q: Queryable, orgId: string): Promise<BillingVerdict> {
  const [row] = await q.query<{ activatedAtMs: number | null }>(
    'SELECT (extract(epoch FROM activated_at) * 1e3)::float8 AS "activatedAtMs" FROM organizations WHERE id = $1',
    [orgId],
  );
  const facts = await q.query<BillingFact>(
    `WITH known AS (
       SELECT * FROM billing_subscriptions WHERE org_id = $1 AND status IS NOT NULL
        ORDER BY greatest(occurred_at, last_end_at) DESC LIMIT ${SUBSCRIPTIONS_MAX})
     SELECT event_id AS "eventId", subscription_id AS "subscriptionId", status,
            (extract(epoch FROM occurred_at) * 1e6)::float8 AS "occurredAtUs" FROM known
      UNION ALL
     SELECT last_end_event_id, subscription_id, 'canceled', (extract(epoch FROM last_end_at) * 1e6)::float8
       FROM known WHERE last_end_at IS NOT NULL`,
    [orgId],
  );
  const activatedAtMs = row?.activatedAtMs ?? null;
  return standingOf(facts, activatedAtMs === null ? null : activatedAtMs * 1_000);
}

/** The subscription that counts: the newest of those that are paid for, else of those that are due, else of all. */
export interface CurrentSubscription {
  readonly subscriptionId: string;
  readonly customerId: string | null;
  readonly status: SubscriptionState['status'];
  readonly priceId: string | null;
  readonly quantity: number | null;
  readonly scheduledChange: SubscriptionState['scheduledChange'];
  readonly nextBilledAt: Date | null;
  readonly periodEndsAt: Date | null;
  readonly figures: PlanFigures;
}

export async function currentSubscription(
  q: Queryable,
  orgId: string,
): Promise<CurrentSubscription | null> {
  const [row] = await q.query<CurrentSubscription>(
    `SELECT subscription_id AS "subscriptionId", customer_id AS "customerId", status, price_id AS "priceId", quantity,
            scheduled_change AS "scheduledChange", next_billed_at AS "nextBilledAt",
            period_ends_at AS "periodEndsAt",
            jsonb_build_object('plan', plan, 'seats', seats, 'retentionDays', retention_days,
                               'requestsPerMonth', requests_per_month) AS figures
       FROM billing_subscriptions WHERE org_id = $1 AND status IS NOT NULL
      ORDER BY CASE WHEN status IN ('active', 'trialing') THEN 0 WHEN status = 'canceled' THEN 2 ELSE 1 END,
               occurred_at DESC, event_id DESC LIMIT 1`,
    [orgId],
  );
  return row ?? null;
}
