import type { AppConfig } from '../../config/app-config.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { PaymentStanding } from '../subscriptions/subscription.service.js';
import { verdictWithin } from './billing-snapshot.js';

/** Says whether routing is paid for, as far as is known; `off` where this installation takes no payments. */
export function paymentStanding(paddle: AppConfig['paddle']): PaymentStanding {
  if (paddle === null) return async () => 'off';
  return async (q, orgId) => {
    const { standing } = await verdictWithin(q, orgId);
    return standing === 'paid' ? 'paid' : 'unpaid';
  };
}

/** Says whether anything of an organization goes on being charged, within a transaction that is scoped to it. */
export type OngoingCharge = (q: Queryable, orgId: string) => Promise<boolean>;

/**
 * One that is due or paused is charged again sooner or later; one whose end is scheduled is not. False where this
 * installation takes no payments.
 */
export function ongoingCharge(paddle: AppConfig['paddle']): OngoingCharge {
  if (paddle === null) return async () => false;
  return async (q, orgId) => {
    const charged = await q.query(
      `SELECT FROM billing_subscriptions
        WHERE org_id = $1 AND status <> 'canceled' AND scheduled_change ->> 'action' IS DISTINCT FROM 'cancel' LIMIT 1`,
      [orgId],
    );
    return charged.length > 0;
  };
}
