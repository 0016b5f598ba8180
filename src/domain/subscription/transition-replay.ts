import type { SubscriptionStatus } from './status.js';
import { holdAfter } from './transition.js';
import { SUBSCRIPTION_EVENTS, TRANSITIONS, type TransitionRule } from './transitions.js';

/** Where a subscription stands, as the audit trail tells it. */
export interface Standing {
  readonly status: SubscriptionStatus;
  readonly hold: boolean;
}

/** Where every subscription begins; the trail has no entry for it. */
export const START: Standing = { status: 'observing', hold: false };

/** A step as an entry of the trail tells it: whatever stands there, legal or not. */
export interface ToldStep {
  readonly event: string;
  readonly actorKind: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly hold: unknown;
}

/**
 * Where a told step leads from `before`; null where it does not begin there or is no legal move of `TRANSITIONS`.
 * A member's role and a payment are not in the trail: of these the replay says nothing.
 */
export function replayStep(before: Standing, step: ToldStep): Standing | null {
  const event = SUBSCRIPTION_EVENTS.find((name) => name === step.event);
  if (event === undefined || step.from !== before.status) return null;
  const rule: TransitionRule = TRANSITIONS[event];
  if (!rule.by.some((kind) => kind === step.actorKind)) return null;
  if (rule.hold === 'must_be_clear' && before.hold) return null;
  const verdict = rule.to[before.status];
  if (verdict === 'refused') return null;
  const after: Standing = {
    status: verdict === 'stays' ? before.status : verdict,
    hold: holdAfter(rule, before.hold),
  };
  if (step.to !== after.status || step.hold !== after.hold) return null;
  // An entry tells of a change; where nothing changed there is none.
  return after.status === before.status && after.hold === before.hold ? null : after;
}
