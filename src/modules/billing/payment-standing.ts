import type { AppConfig } from '../../config/app-config.js';
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
