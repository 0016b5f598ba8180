import { actorName, type Actor } from './actor.js';
import type { SubscriptionStatus } from './status.js';
import { TRANSITIONS, type SubscriptionEvent, type TransitionRule } from './transitions.js';

/** What a decision needs to know of a subscription. */
export interface Subscription {
  readonly status: SubscriptionStatus;
  /** An operator's hold: nobody activates routing until an operator releases it. */
  readonly hold: boolean;
  /** `off`: this installation takes no payments. */
  readonly payment: 'off' | 'paid' | 'unpaid';
}

export type RefusalCode =
  'not_in_this_status' | 'not_permitted' | 'operator_hold' | 'payment_required';

/** A change to apply: together with its audit entry, in one transaction, or not at all. */
export interface SubscriptionChange {
  readonly event: SubscriptionEvent;
  readonly actorKind: Actor['kind'];
  readonly actor: string;
  readonly atMs: number;
  readonly from: SubscriptionStatus;
  readonly to: SubscriptionStatus;
  readonly holdBefore: boolean;
  readonly hold: boolean;
}

export type Transition =
  | { readonly kind: 'changed'; readonly change: SubscriptionChange }
  /** It is already so: nothing to apply. */
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'refused'; readonly code: RefusalCode };

/** Decides one event; the only way to a new status. Pure: `atMs` is the time of the act (epoch, milliseconds). */
export function transition(
  current: Subscription,
  event: SubscriptionEvent,
  actor: Actor,
  atMs: number,
): Transition {
  const rule: TransitionRule = TRANSITIONS[event];
  if (!isPermitted(rule, actor)) return { kind: 'refused', code: 'not_permitted' };
  const verdict = rule.to[current.status];
  if (verdict === 'refused') return { kind: 'refused', code: 'not_in_this_status' };
  if (rule.hold === 'must_be_clear' && current.hold) {
    return { kind: 'refused', code: 'operator_hold' };
  }
  if (rule.needsPayment && current.payment === 'unpaid') {
    return { kind: 'refused', code: 'payment_required' };
  }
  const to = verdict === 'stays' ? current.status : verdict;
  const hold = holdAfter(rule, current.hold);
  if (to === current.status && hold === current.hold) return { kind: 'unchanged' };
  return {
    kind: 'changed',
    change: {
      event,
      actorKind: actor.kind,
      actor: actorName(actor),
      atMs,
      from: current.status,
      to,
      holdBefore: current.hold,
      hold,
    },
  };
}

/** Whether an actor may cause an event at all, whatever the status. */
export function isPermitted(rule: TransitionRule, actor: Actor): boolean {
  if (!rule.by.includes(actor.kind)) return false;
  return actor.kind !== 'member' || (rule.roles?.includes(actor.role) ?? false);
}

/** What a rule makes of an operator's hold. */
export function holdAfter(rule: TransitionRule, hold: boolean): boolean {
  switch (rule.hold) {
    case 'sets':
      return true;
    case 'clears':
      return false;
    case 'keeps':
    case 'must_be_clear':
      return hold;
  }
}
