import { setTimeout as delay } from 'node:timers/promises';
import {
  ApiError,
  Environment,
  LogLevel,
  Paddle,
  type Price,
  type Subscription,
} from '@paddle/paddle-node-sdk';
import type { AppConfig } from '../../config/app-config.js';
import {
  PaddleFailure,
  type Checkout,
  type PaddleApi,
  type PlanPrice,
  type SubscriptionPage,
} from './paddle-api.js';
import { eventOf, type BillingEvent } from './paddle-event.js';
import { planFigures } from './plan-figures.js';

const CALL_MS_MAX = 5_000;
const ATTEMPTS_MAX = 3;
const RETRY_DELAY_MS = 200;
const SUBSCRIPTIONS_PER_PAGE = 100;
const PRICES_PER_PAGE = 200;
const PRICE_PAGES_MAX = 5;
/** Codes of a connection that was never there. */
const CONNECTING = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']);
const NOT_CONNECTED = 'not_connected';

/** The only user of Paddle's SDK, which has neither time limits nor retries of its own. */
export class PaddleClient implements PaddleApi {
  readonly #paddle: Paddle;

  constructor({ apiKey, environment, baseUrl }: NonNullable<AppConfig['paddle']>) {
    this.#paddle = new Paddle(apiKey, {
      // The SDK takes what is no name of an environment for the base URL itself; its types do not say so.
      environment: (baseUrl ?? environment) as Environment,
      // It would write to the console.
      logLevel: LogLevel.none,
    });
  }

  async listSubscriptions(after: string | null): Promise<SubscriptionPage> {
    return this.#read(async () => {
      const list = this.#paddle.subscriptions.list({
        orderBy: 'id[ASC]',
        perPage: SUBSCRIPTIONS_PER_PAGE,
        status: ['active', 'canceled', 'past_due', 'paused', 'trialing'],
        ...(after === null ? {} : { after }),
      });
      const found = await list.next();
      const last = found.at(-1)?.id ?? null;
      return { events: found.flatMap(eventsOf), next: list.hasMore ? last : null };
    });
  }

  async listPrices(): Promise<PlanPrice[]> {
    return this.#read(async () => {
      const list = this.#paddle.prices.list({
        status: ['active'],
        recurring: true,
        include: ['product'],
        perPage: PRICES_PER_PAGE,
      });
      const prices: Price[] = [];
      for (let page = 0; page < PRICE_PAGES_MAX && list.hasMore; page += 1) {
        prices.push(...(await list.next()));
      }
      return prices.map(planPrice).filter(({ plan }) => plan !== null);
    });
  }

  async openCheckout({ orgId, priceId, customerId }: Checkout): Promise<string> {
    return this.#write(async () => {
      const transaction = await this.#paddle.transactions.create({
        items: [{ priceId, quantity: 1 }],
        customData: { organization_id: orgId },
        ...(customerId === null ? {} : { customerId }),
      });
      return url(transaction.checkout?.url);
    });
  }

  async openPortal(customerId: string, subscriptionId: string): Promise<string> {
    return this.#write(async () => {
      const { customerPortalSessions } = this.#paddle;
      const session = await customerPortalSessions.create(customerId, [subscriptionId]);
      return url(session.urls.general.overview);
    });
  }

  async openSubscription(subscriptionId: string): Promise<string> {
    return this.#read(async () => {
      const subscription = await this.#paddle.subscriptions.get(subscriptionId);
      return url(subscription.managementUrls?.updatePaymentMethod);
    });
  }

  #read<T>(work: () => Promise<T>): Promise<T> {
    return withRetries(work, () => true);
  }

  /** What may have been done is not asked for a second time. */
  #write<T>(work: () => Promise<T>): Promise<T> {
    return withRetries(work, ({ kind, code }) => kind === 'rate_limited' || code === NOT_CONNECTED);
  }
}

async function withRetries<T>(
  work: () => Promise<T>,
  mayRepeat: (failure: PaddleFailure) => boolean,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await withinTime(work());
    } catch (error) {
      const failure = toFailure(error);
      const passing = failure.kind !== 'refused' && failure.kind !== 'incomplete';
      if (attempt >= ATTEMPTS_MAX || !passing || !mayRepeat(failure)) throw failure;
    }
    await delay(RETRY_DELAY_MS * attempt);
  }
}

/** The SDK cannot be told to give up: its request goes on in the background, where the runtime's own limits end it. */
async function withinTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new PaddleFailure('timeout', 'timeout')), CALL_MS_MAX);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}

/** Whatever the SDK threw: its messages may quote an answer, so none is kept. */
function toFailure(error: unknown): PaddleFailure {
  if (error instanceof PaddleFailure) return error;
  if (error instanceof ApiError) {
    const code = /^[a-z_]{1,60}$/.test(error.code) ? error.code : 'unknown';
    if (code === 'too_many_requests') return new PaddleFailure('rate_limited', code);
    return new PaddleFailure(error.type === 'api_error' ? 'failing' : 'refused', code);
  }
  // A page of somebody's proxy instead of an answer.
  if (error instanceof SyntaxError) return new PaddleFailure('failing', 'no_json');
  const { cause } = (error ?? {}) as { cause?: { code?: unknown } };
  if (error instanceof TypeError && cause === undefined) {
    // It did what it was asked, and its answer lacks a member that the SDK reads.
    return new PaddleFailure('incomplete', 'answer');
  }
  const neverAsked = CONNECTING.has(String(cause?.code));
  return new PaddleFailure('unreachable', neverAsked ? NOT_CONNECTED : 'network');
}

function url(found: string | null | undefined): string {
  if (found !== null && found !== undefined && /^https?:\/\//.test(found)) return found;
  throw new PaddleFailure('incomplete', 'no_url');
}

/** In the form in which webhooks tell of it, so that both are read by the same eyes. */
function eventsOf(subscription: Subscription): BillingEvent[] {
  const { id, status, updatedAt, scheduledChange, currentBillingPeriod, items } = subscription;
  const changedAt = new Date(updatedAt);
  if (Number.isNaN(changedAt.getTime())) return [];
  const data = {
    id,
    status,
    customer_id: subscription.customerId,
    custom_data: subscription.customData,
    next_billed_at: subscription.nextBilledAt,
    current_billing_period: { ends_at: currentBillingPeriod?.endsAt },
    scheduled_change: scheduledChange && {
      action: scheduledChange.action,
      effective_at: scheduledChange.effectiveAt,
      resume_at: scheduledChange.resumeAt,
    },
    items: items.map(({ quantity, price, product }) => ({
      quantity,
      price: { id: price.id, product_id: price.productId, custom_data: price.customData },
      product: { custom_data: product.customData },
    })),
  };
  // One state of a subscription is one event, however often it is asked for.
  const eventId = `rec_${id}_${updatedAt.replaceAll(/\D/g, '')}`;
  return [eventOf({ eventId, type: 'reconciliation', occurredAt: updatedAt }, data)];
}

function planPrice(price: Price): PlanPrice {
  const { id, productId, product, unitPrice, billingCycle } = price;
  return {
    ...planFigures(price.customData, product?.customData),
    priceId: id,
    productId,
    name: price.name ?? product?.name ?? price.description,
    amount: unitPrice.amount,
    currency: unitPrice.currencyCode,
    cycle: billingCycle && { interval: billingCycle.interval, frequency: billingCycle.frequency },
  };
}
