import { createBilling } from '../../../src/modules/billing/create-billing.js';
import type { Received } from '../../../src/modules/billing/billing.service.js';
import { readPaddleEvent, type BillingEvent } from '../../../src/modules/billing/paddle-event.js';
import type { SubscriptionStatus } from '../../../src/domain/subscription/status.js';
import { systemClock, type Clock } from '../../../src/platform/clock.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { PADDLE_ENV, type PaddlePayload } from '../../support/paddle.js';
import type { TestDatabase } from '../../support/postgres.js';

export type Billing = ReturnType<typeof createBilling>;

/** The billing services on a database, asking a simulation of Paddle where one is given. */
export function billingOn(
  database: Database,
  { baseUrl = 'http://127.0.0.1:1', clock = systemClock }: { baseUrl?: string; clock?: Clock } = {},
): Billing {
  const paddle = {
    apiKey: PADDLE_ENV.PADDLE_API_KEY,
    webhookSecret: PADDLE_ENV.PADDLE_WEBHOOK_SECRET,
    environment: 'sandbox' as const,
    baseUrl,
  };
  const logger = createLogger('silent');
  return createBilling({ config: { paddle }, database, clock, logger, auditHeads: null });
}

export function eventFrom(payload: PaddlePayload): BillingEvent {
  const event = readPaddleEvent(Buffer.from(JSON.stringify(payload)));
  if (event === null) throw new Error('The payload is no event');
  return event;
}

export function receive({ billing }: Billing, payload: PaddlePayload): Promise<Received> {
  return billing.receive(eventFrom(payload));
}

export async function statusOf(
  { database }: TestDatabase,
  orgId: string,
): Promise<SubscriptionStatus> {
  const [row] = await database.tenant(orgId, (q) =>
    q.query<{ status: SubscriptionStatus }>('SELECT status FROM organizations'),
  );
  if (!row) throw new Error('no organization');
  return row.status;
}

/** Everything that billing knows of an organization. */
export async function billingState(db: TestDatabase, orgId: string) {
  return db.database.tenant(orgId, async (q) => ({
    status: await statusOf(db, orgId),
    snapshot: await q.query('SELECT * FROM billing_subscriptions ORDER BY subscription_id'),
    customers: await q.query('SELECT * FROM billing_customers ORDER BY customer_id'),
    inbox: await q.query<{ event_id: string; state: string }>(
      'SELECT event_id, state FROM billing_inbox ORDER BY event_id',
    ),
  }));
}
