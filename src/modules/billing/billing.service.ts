import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { isAway } from '../../platform/postgres/query-error.js';
import { withinTime } from '../../platform/postgres/time-limit.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import { auditWithin } from '../audit/audit-trail.js';
import type { SubscriptionService } from '../subscriptions/subscription.service.js';
import {
  findOwner,
  lockSubject,
  markEvent,
  storeEvent,
  takeWaiting,
  type BillingOwner,
  type InboxState,
} from './billing-inbox.js';
import {
  isSameState,
  linkWithin,
  mergeState,
  storedState,
  verdictWithin,
} from './billing-snapshot.js';
import { PaddleFailure, type PaddleApi, type SubscriptionPage } from './paddle-api.js';
import type { BillingEvent } from './paddle-event.js';
import type { PlanLimitService } from './plan-limit.service.js';

export type BillingSource = Extract<Actor, { kind: 'billing' }>['source'];

/** What became of an event. All of them are taken in: none of these is a failure. */
export type Received =
  | { readonly kind: 'stored'; readonly orgId: string; readonly state: InboxState }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'duplicate' }
  /** Only of the reconciliation: the snapshot knows it already, or it is nobody's. */
  | { readonly kind: 'unchanged' };

export interface Reconciled {
  /** `interrupted`: Paddle did not answer, or the run was asked to end; the next run goes on where this one stopped. */
  readonly kind: 'off' | 'done' | 'partial' | 'interrupted';
  readonly compared: number;
  readonly changed: number;
  /** Could not be applied, or not in time; logged. The next run asks again. */
  readonly failed: number;
}

/** The provider waits 5 s for an answer. */
const RECEIVE_MS_MAX = 4_000;
const STATEMENT_MS_MAX = 3_000;
const PAGES_MAX = 500;

/**
 * Takes in what the payment provider tells. One event is one transaction: the inbox's row, the snapshot, the status
 * with its audit entry, all of it or nothing, so that whatever ends in between, the next delivery finds either no
 * trace of the event or all of its effects. What the effects are does not depend on the order of arrival
 * (domain/billing/standing.ts).
 */
export class BillingService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly subscriptions: SubscriptionService,
    /** Null: billing is off. */
    private readonly paddle: PaddleApi | null,
    private readonly limits: PlanLimitService,
    private readonly logger: Logger,
  ) {}

  /** Rejects with a `QueryError` where the database cannot answer in time; delivering again is then safe, and needed. */
  async receive(event: BillingEvent, source: BillingSource = 'webhook'): Promise<Received> {
    return withinTime(this.#take(event, source), RECEIVE_MS_MAX);
  }

  async #take(event: BillingEvent, source: BillingSource): Promise<Received> {
    const received = await this.database.transaction(async (q) => {
      await q.query(`SET LOCAL statement_timeout = ${STATEMENT_MS_MAX}`);
      return this.receiveWithin(q, event, source);
    });
    if (received.kind !== 'unchanged') {
      const { eventId, type } = event;
      this.logger.info({ eventId, type, outcome: received.kind }, 'billing event taken in');
    }
    return received;
  }

  /** As a part of a larger transaction, which it leaves scoped to the event's organization. */
  async receiveWithin(q: Queryable, event: BillingEvent, source: BillingSource): Promise<Received> {
    await lockSubject(q, event);
    const owner = await findOwner(q, event);
    const { orgId, conflicting } = attribute(event, owner);
    if (orgId === null) return this.#keepWaiting(q, event, source);
    await scopeToOrganization(q, orgId);
    // The lock of every change of a status: what is read of the organization from here on stays so. Nothing is written
    // for one that was erased while this waited for it.
    const alive = await q.query(
      'SELECT FROM organizations WHERE id = $1 AND erased_at IS NULL FOR UPDATE',
      [orgId],
    );
    if (alive.length === 0) return this.#keepWaiting(q, event, source);
    if (source === 'reconciliation' && (await isKnown(q, orgId, event))) {
      return { kind: 'unchanged' };
    }
    const receivedAtMs = this.clock.nowMs();
    const state = conflicting ? 'conflicting' : 'unattributed';
    if (!(await storeEvent(q, orgId, event, { state, receivedAtMs }))) return { kind: 'duplicate' };
    if (conflicting) {
      this.logger.warn({ eventId: event.eventId }, 'a billing event names another organization');
      return { kind: 'stored', orgId, state };
    }
    await linkWithin(q, orgId, event);
    const events = await takeWaiting(q, orgId, event);
    const states = await this.#applyWithin(q, orgId, events, source);
    return { kind: 'stored', orgId, state: states.get(event.eventId) ?? 'unattributed' };
  }

  /** The reconciliation has no business with subscriptions that are no organization's. */
  async #keepWaiting(q: Queryable, event: BillingEvent, source: BillingSource): Promise<Received> {
    if (source === 'reconciliation') return { kind: 'unchanged' };
    await scopeToOrganization(q, INSTALLATION_ID);
    const fields = { state: 'unattributed', receivedAtMs: this.clock.nowMs() } as const;
    const isNew = await storeEvent(q, INSTALLATION_ID, event, fields);
    return { kind: isNew ? 'waiting' : 'duplicate' };
  }

  async #applyWithin(
    q: Queryable,
    orgId: string,
    events: readonly BillingEvent[],
    source: BillingSource,
  ): Promise<Map<string, InboxState>> {
    const states = new Map<string, InboxState>();
    for (const event of events) {
      const state = await this.#applyOne(q, orgId, event, source);
      await markEvent(q, event.eventId, state);
      states.set(event.eventId, state);
    }
    const { move } = await verdictWithin(q, orgId);
    if (move !== null) {
      const last = events.at(-1);
      await this.subscriptions.applyWithin(q, orgId, {
        event: move,
        actor: { kind: 'billing', source },
        details: { billing_event: last?.eventId, billing_subscription: last?.subscriptionId },
      });
    }
    return states;
  }

  async #applyOne(
    q: Queryable,
    orgId: string,
    event: BillingEvent,
    source: BillingSource,
  ): Promise<InboxState> {
    if (event.claimedOrgId !== null && event.claimedOrgId !== orgId) return 'conflicting';
    await linkWithin(q, orgId, event);
    const { subscription } = event.payload;
    if (subscription === null || event.subscriptionId === null) return 'noted';
    const before = await storedState(q, orgId, event.subscriptionId);
    // The subscription is another organization's, and only its customer is this one's too.
    if (before === null) return 'conflicting';
    if (!(await mergeState(q, orgId, event, subscription))) return 'older';
    const actions = ['billing.snapshot_changed', 'billing.reconciled'] as const;
    for (const action of source === 'reconciliation' ? actions : actions.slice(0, 1)) {
      await auditWithin(q, orgId, {
        actor: { kind: 'billing', source },
        action,
        atMs: this.clock.nowMs(),
        subject: event.subscriptionId,
        oldValue: before.status,
        newValue: subscription.status,
        details: { event_id: event.eventId, event_type: event.type },
      });
    }
    return 'applied';
  }

  /**
   * Asks the API for every subscription and takes in what the snapshot does not know, as an event of its own. Goes on
   * where an interrupted run stopped; running it twice at once or again changes nothing more.
   */
  async reconcile(signal?: AbortSignal): Promise<Reconciled> {
    if (this.paddle === null) return { kind: 'off', compared: 0, changed: 0, failed: 0 };
    const reconciled = await this.#comparePages(this.paddle, signal);
    this.logger.info({ ...reconciled }, 'subscriptions compared with the payment provider');
    const unchecked = await this.limits.warnAll(signal);
    if (unchecked.length > 0) {
      this.logger.warn({ organizations: unchecked }, 'limits of plans could not be checked');
    }
    return reconciled;
  }

  async #comparePages(paddle: PaddleApi, signal?: AbortSignal): Promise<Reconciled> {
    const counts = { compared: 0, changed: 0, failed: 0 };
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const found = await this.#pageAfter(paddle, await this.#cursor());
      if (found === null) return { kind: 'interrupted', ...counts };
      for (const event of found.events) {
        if (signal?.aborted) return { kind: 'interrupted', ...counts };
        counts.compared += 1;
        const outcome = await this.#compare(event);
        if (outcome !== 'unchanged') counts[outcome] += 1;
      }
      await this.database.query('UPDATE billing_reconciliation SET after = $1', [found.next]);
      if (found.next === null) return { kind: 'done', ...counts };
    }
    return { kind: 'partial', ...counts };
  }

  /** One subscription that cannot be applied, or not in time, must not keep the others from it; a database that is away does. */
  async #compare(event: BillingEvent): Promise<'changed' | 'unchanged' | 'failed'> {
    try {
      const received = await this.#take(event, 'reconciliation');
      return received.kind === 'stored' ? 'changed' : 'unchanged';
    } catch (error) {
      if (isAway(error)) throw error;
      this.logger.error({ err: safeError(error), eventId: event.eventId }, 'not reconciled');
      return 'failed';
    }
  }

  async #cursor(): Promise<string | null> {
    const [row] = await this.database.query<{ after: string | null }>(
      'SELECT after FROM billing_reconciliation',
    );
    return row?.after ?? null;
  }

  async #pageAfter(paddle: PaddleApi, after: string | null): Promise<SubscriptionPage | null> {
    try {
      return await paddle.listSubscriptions(after);
    } catch (error) {
      if (!(error instanceof PaddleFailure)) throw error;
      const { kind, code } = error;
      this.logger.warn({ failure: kind, code }, 'the payment provider could not be asked');
      // A place that Paddle does not know any more: the next run begins anew.
      if (kind === 'refused')
        await this.database.query('UPDATE billing_reconciliation SET after = NULL');
      return null;
    }
  }
}

/** Its subscription decides, then what it claims, then its customer. */
function attribute(
  { claimedOrgId }: BillingEvent,
  { linked, claimExists, customerOf }: BillingOwner,
): { readonly orgId: string | null; readonly conflicting: boolean } {
  if (linked !== null) {
    return { orgId: linked, conflicting: claimedOrgId !== null && claimedOrgId !== linked };
  }
  if (claimedOrgId !== null)
    return { orgId: claimExists ? claimedOrgId : null, conflicting: false };
  return { orgId: customerOf, conflicting: false };
}

async function isKnown(q: Queryable, orgId: string, event: BillingEvent): Promise<boolean> {
  const { subscription } = event.payload;
  if (subscription === null || event.subscriptionId === null) return true;
  return isSameState(await storedState(q, orgId, event.subscriptionId), subscription);
}
