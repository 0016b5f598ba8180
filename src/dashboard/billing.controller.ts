import { Body, Get, Header, HttpCode, Inject, Post } from '@nestjs/common';
import { z } from 'zod';
import type { PlanLimit } from '../domain/billing/plan-limits.js';
import { BillingAccountService, type Opened } from '../modules/billing/billing-account.service.js';
import type { CurrentSubscription } from '../modules/billing/billing-snapshot.js';
import { PaddleFailure, type PlanPrice } from '../modules/billing/paddle-api.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const ID_CHARS_MAX = 100;
const RETRY_SECONDS = 30;
const CHECKOUT = z.strictObject({ price_id: z.string().min(1).max(ID_CHARS_MAX) });
const NOTHING = z.strictObject({}).nullish();

/** What is paid for, and the ways to the payment provider's own pages. */
@DashboardController('api/billing')
export class BillingController {
  constructor(@Inject(BillingAccountService) private readonly billing: BillingAccountService) {}

  @Get()
  @Needs('organization.read')
  async overview(@CurrentMember() { orgId }: Member) {
    if (!this.billing.isOn) {
      return { billing: 'off', standing: 'none', subscription: null, limits: [], warnings: [] };
    }
    const { standing, subscription, limits } = await this.billing.overview(orgId);
    return {
      billing: 'on',
      standing,
      subscription: subscription && subscriptionJson(subscription),
      limits,
      warnings: limits.filter(({ exceeded }) => exceeded).map(warning),
    };
  }

  @Get('plans')
  @Needs('organization.read')
  async plans() {
    this.#assertOn();
    return { data: (await asked(() => this.billing.plans())).map(planJson) };
  }

  @Post('checkout')
  @HttpCode(200)
  @Header('cache-control', 'no-store')
  @Needs('billing.change')
  async checkout(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const { price_id: priceId } = readBody(CHECKOUT, body);
    this.#assertOn();
    return opened(await asked(() => this.billing.openCheckout(orgId, actor, priceId)));
  }

  @Post('portal')
  @HttpCode(200)
  @Header('cache-control', 'no-store')
  @Needs('billing.change')
  async portal(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    readBody(NOTHING, body);
    this.#assertOn();
    return opened(await asked(() => this.billing.openPortal(orgId, actor)));
  }

  #assertOn(): void {
    if (this.billing.isOn) return;
    throw new HttpError(
      409,
      'billing_off',
      'This installation takes no payments: nothing has to be paid for to enable routing.',
    );
  }
}

async function asked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PaddleFailure)) throw error;
    throw new HttpError(
      502,
      'billing_unavailable',
      'The payment provider does not answer as it should at the moment. Nothing has changed. Try again in a minute.',
      RETRY_SECONDS,
    );
  }
}

function opened(result: Opened): { url: string } {
  switch (result.kind) {
    case 'opened':
      return { url: result.url };
    case 'unknown_price':
      throw new HttpError(
        404,
        'unknown_price',
        'There is no such plan. GET /api/billing/plans lists them.',
      );
    case 'already_subscribed':
      throw new HttpError(
        409,
        'already_subscribed',
        'The organization has a subscription. Change it in the portal: POST /api/billing/portal.',
      );
    case 'deletion_pending':
      throw new HttpError(
        409,
        'deletion_pending',
        'The organization is about to be deleted. Withdraw that first: DELETE /api/organization/deletion.',
      );
    case 'no_subscription':
      throw new HttpError(409, 'no_subscription', 'The organization has no subscription yet.');
  }
}

function subscriptionJson(subscription: CurrentSubscription) {
  const { figures, scheduledChange: change } = subscription;
  return {
    id: subscription.subscriptionId,
    status: subscription.status,
    plan: figures.plan,
    price_id: subscription.priceId,
    quantity: subscription.quantity,
    next_billed_at: subscription.nextBilledAt,
    period_ends_at: subscription.periodEndsAt,
    scheduled_change: change && { action: change.action, effective_at: change.effectiveAt },
  };
}

function planJson(price: PlanPrice) {
  return {
    price_id: price.priceId,
    product_id: price.productId,
    plan: price.plan,
    name: price.name,
    amount: price.amount,
    currency: price.currency,
    cycle: price.cycle,
    seats: price.seats,
    retention_days: price.retentionDays,
    requests_per_month: price.requestsPerMonth,
  };
}

const WORDS: Readonly<Record<PlanLimit['limit'], string>> = {
  seats: 'More people belong to the organization than the plan includes.',
  retention_days: 'Records are kept for longer than the plan includes.',
  requests_per_month: 'More calls were made this month than the plan includes.',
};

/** Said, and nothing is refused for it. */
function warning({ limit, included, used }: PlanLimit) {
  return { limit, included, used, message: `${WORDS[limit]} Everything goes on working.` };
}
