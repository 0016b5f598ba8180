import type { PlanLimit } from '../../domain/billing/plan-limits.js';
import type { Standing } from '../../domain/billing/standing.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { AuditAction } from '../audit/audit-entry.js';
import { auditWithin } from '../audit/audit-trail.js';
import { findOwner } from './billing-inbox.js';
import {
  currentSubscription,
  verdictWithin,
  type CurrentSubscription,
} from './billing-snapshot.js';
import { PaddleFailure, type PaddleApi, type PlanPrice } from './paddle-api.js';
import type { PlanLimitService } from './plan-limit.service.js';

export interface BillingOverview {
  readonly standing: Standing;
  readonly subscription: CurrentSubscription | null;
  readonly limits: readonly PlanLimit[];
}

export type Opened =
  | { readonly kind: 'opened'; readonly url: string }
  | {
      readonly kind:
        'unknown_price' | 'already_subscribed' | 'no_subscription' | 'deletion_pending';
    };

const PLANS_MS_MAX = 5 * 60_000;

/** What an organization's members see of billing, and the ways to the provider's own pages. */
export class BillingAccountService {
  #plans: { readonly list: Promise<PlanPrice[]>; readonly atMs: number } | null = null;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly paddle: PaddleApi | null,
    private readonly limits: PlanLimitService,
  ) {}

  get isOn(): boolean {
    return this.paddle !== null;
  }

  async overview(orgId: string): Promise<BillingOverview> {
    const paid = await this.database.tenant(orgId, async (q) => ({
      standing: (await verdictWithin(q, orgId)).standing,
      subscription: await currentSubscription(q, orgId),
    }));
    return { ...paid, limits: await this.limits.limitsOf(orgId) };
  }

  /** What can be subscribed to: the recurring prices whose custom data name a plan. Rejects with a `PaddleFailure`. */
  async plans(): Promise<PlanPrice[]> {
    const nowMs = this.clock.nowMs();
    if (this.#plans !== null && nowMs - this.#plans.atMs < PLANS_MS_MAX) return this.#plans.list;
    const asked = { list: this.#api().listPrices(), atMs: nowMs };
    this.#plans = asked;
    try {
      return await asked.list;
    } catch (error) {
      // A failure is not kept.
      if (this.#plans === asked) this.#plans = null;
      throw error;
    }
  }

  /**
   * A second subscription beside a live one would be paid for without a use, and ending it would end routing: whoever
   * has one changes it in the portal. What is about to be deleted could not end what is bought for it.
   */
  async openCheckout(orgId: string, actor: Actor, priceId: string): Promise<Opened> {
    if (await this.#isLeaving(orgId)) return { kind: 'deletion_pending' };
    const current = await this.#current(orgId);
    if (current !== null && current.status !== 'canceled') return { kind: 'already_subscribed' };
    const plans = await this.plans();
    if (!plans.some((plan) => plan.priceId === priceId)) return { kind: 'unknown_price' };
    const customerId = current?.customerId ?? null;
    const url = await this.#api().openCheckout({ orgId, priceId, customerId });
    await this.#audit(orgId, actor, 'billing.checkout_opened', priceId);
    return { kind: 'opened', url };
  }

  /**
   * Whoever pays types in an address, and Paddle takes customers of one address for one: a customer of several
   * organizations may be several people, and the portal would show each what the others bought. They are shown
   * the one subscription.
   */
  async openPortal(orgId: string, actor: Actor): Promise<Opened> {
    const current = await this.#current(orgId);
    if (current === null || current.customerId === null) return { kind: 'no_subscription' };
    const { customerId, subscriptionId } = current;
    const { customerCount } = await findOwner(this.database, {
      customerId,
      subscriptionId,
      claimedOrgId: null,
    });
    const url =
      customerCount === 1
        ? await this.#api().openPortal(customerId, subscriptionId)
        : await this.#api().openSubscription(subscriptionId);
    await this.#audit(orgId, actor, 'billing.portal_opened', subscriptionId);
    return { kind: 'opened', url };
  }

  async #current(orgId: string): Promise<CurrentSubscription | null> {
    return this.database.tenant(orgId, (q) => currentSubscription(q, orgId));
  }

  async #isLeaving(orgId: string): Promise<boolean> {
    const pending = await this.database.tenant(orgId, (q) =>
      q.query('SELECT FROM organizations WHERE id = $1 AND deletion_due_at IS NOT NULL', [orgId]),
    );
    return pending.length > 0;
  }

  async #audit(orgId: string, actor: Actor, action: AuditAction, subject: string): Promise<void> {
    const entry = { actor, action, atMs: this.clock.nowMs(), subject };
    await this.database.tenant(orgId, (q) => auditWithin(q, orgId, entry));
  }

  #api(): PaddleApi {
    if (this.paddle === null) throw new PaddleFailure('refused', 'billing_off');
    return this.paddle;
  }
}
