import type { PlanFigures } from '../../domain/billing/plan-limits.js';
import type { BillingEvent } from './paddle-event.js';

/** A price that an organization can subscribe to. */
export interface PlanPrice extends PlanFigures {
  readonly priceId: string;
  readonly productId: string;
  /** As the seller's catalog has it. */
  readonly name: string;
  /** In the currency's smallest unit, as a decimal string. */
  readonly amount: string;
  readonly currency: string;
  readonly cycle: { readonly interval: string; readonly frequency: number } | null;
}

export interface SubscriptionPage {
  /** Each as an event of type `reconciliation`, at the time that the subscription last changed. */
  readonly events: readonly BillingEvent[];
  /** Where the next page begins; null after the last. */
  readonly next: string | null;
}

export interface Checkout {
  readonly orgId: string;
  readonly priceId: string;
  /** Null: Paddle makes one of what the payer enters. */
  readonly customerId: string | null;
}

/** What Shunt asks of the payment provider. Rejections are `PaddleFailure`s. */
export interface PaddleApi {
  listSubscriptions(after: string | null): Promise<SubscriptionPage>;
  listPrices(): Promise<PlanPrice[]>;
  /** Where to pay. */
  openCheckout(checkout: Checkout): Promise<string>;
  /** Where a customer sees and changes everything of theirs. */
  openPortal(customerId: string, subscriptionId: string): Promise<string>;
  /** Where the way of paying of one subscription is changed, and nothing else is seen. */
  openSubscription(subscriptionId: string): Promise<string>;
}

export type PaddleFailureKind =
  | 'timeout'
  | 'unreachable'
  | 'rate_limited'
  /** It answered with an error of its own. */
  | 'failing'
  /** It understood and refused: a wrong key, an id that it does not know. */
  | 'refused'
  /** An answer without what it was asked for, such as a checkout without a payment link. */
  | 'incomplete';

/** Paddle did not do what it was asked. Holds nothing of what was asked or answered but Paddle's code of the error. */
export class PaddleFailure extends Error {
  override readonly name = 'PaddleFailure';

  constructor(
    readonly kind: PaddleFailureKind,
    readonly code: string,
  ) {
    super(`Paddle: ${kind}`);
  }
}
