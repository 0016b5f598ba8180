import type { Actor } from '../../domain/subscription/actor.js';
import type { SubscriptionStatus } from '../../domain/subscription/status.js';
import {
  transition,
  type RefusalCode,
  type Subscription,
  type SubscriptionChange,
} from '../../domain/subscription/transition.js';
import { TRANSITIONS, type SubscriptionEvent } from '../../domain/subscription/transitions.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { headLine, type AuditHeads } from '../audit/audit-heads.js';
import { mailOwnersWithin } from '../mail/outbox.js';

export interface Act {
  readonly event: SubscriptionEvent;
  readonly actor: Actor;
  readonly reason?: string;
  /** Kept with the entry: ids and names of events, never content. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export type Applied =
  | { readonly kind: 'changed'; readonly change: SubscriptionChange; readonly auditSeq: number }
  | { readonly kind: 'unchanged'; readonly status: SubscriptionStatus; readonly hold: boolean }
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly status: SubscriptionStatus }
  | { readonly kind: 'not_found' };

/** Says, within the transaction that is about to activate, whether an organization's payment stands. */
export type PaymentStanding = (q: Queryable, orgId: string) => Promise<Subscription['payment']>;

/**
 * The one door to a subscription's status: under the row's lock it decides, changes, audits and enqueues the news,
 * in one transaction. The database refuses every other way (migrations/1763700100000-subscriptions.ts).
 */
export class SubscriptionService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly paymentOf: PaymentStanding,
    /** Null: the news carry no signed head of the trail. */
    private readonly heads: Pick<AuditHeads, 'signedWithin'> | null = null,
  ) {}

  async apply(orgId: string, act: Act): Promise<Applied> {
    return this.database.tenant(orgId, (q) => this.applyWithin(q, orgId, act));
  }

  /** As a part of a larger transaction that is scoped to the organization. */
  async applyWithin(q: Queryable, orgId: string, act: Act): Promise<Applied> {
    const [row] = await q.query<{ status: SubscriptionStatus; hold: boolean }>(
      'SELECT status, routing_hold AS hold FROM organizations WHERE id = $1 FOR NO KEY UPDATE',
      [orgId],
    );
    if (!row) return { kind: 'not_found' };
    // Asked only where it matters: what is wrong with billing must not stand in the way of a kill or a suspension.
    const asksPayment = 'needsPayment' in TRANSITIONS[act.event];
    const payment = asksPayment ? await this.paymentOf(q, orgId) : 'off';
    const current = { ...row, payment };
    const decided = transition(current, act.event, act.actor, this.clock.nowMs());
    switch (decided.kind) {
      case 'unchanged':
        return { kind: 'unchanged', ...row };
      case 'refused':
        return { kind: 'refused', code: decided.code, status: row.status };
      case 'changed': {
        const auditSeq = await store(q, orgId, decided.change, act);
        const head = (await this.heads?.signedWithin(q, orgId)) ?? null;
        const news = newsOf(decided.change, auditSeq, head && headLine(head));
        await mailOwnersWithin(q, orgId, news);
        return { kind: 'changed', change: decided.change, auditSeq };
      }
    }
  }
}

async function store(
  q: Queryable,
  orgId: string,
  change: SubscriptionChange,
  { reason, details }: Act,
): Promise<number> {
  const [row] = await q.query<{ seq: string }>(
    'SELECT change_subscription($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS seq',
    [
      orgId,
      change.event,
      change.from,
      change.to,
      change.hold,
      new Date(change.atMs),
      change.actorKind,
      change.actor,
      reason ?? null,
      JSON.stringify(details ?? {}),
    ],
  );
  return Number(row?.seq);
}

function newsOf(
  { event, from, to, hold, atMs }: SubscriptionChange,
  auditSeq: number,
  auditHead: string | null,
) {
  return {
    kind: 'status_changed',
    dedupeKey: `status:${auditSeq}`,
    atMs,
    data: {
      event,
      from,
      to,
      hold,
      auditSeq,
      ...(auditHead === null ? {} : { audit_head: auditHead }),
    },
  } as const;
}
