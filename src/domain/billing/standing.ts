/** Paddle's word for the state of one subscription. */
export const PADDLE_STATUSES = ['active', 'trialing', 'past_due', 'paused', 'canceled'] as const;
export type PaddleStatus = (typeof PADDLE_STATUSES)[number];

/** What one event told of one subscription. */
export interface BillingFact {
  readonly eventId: string;
  readonly subscriptionId: string;
  /** Microseconds since the epoch, as Paddle stamps its events: two of one checkout share a millisecond. */
  readonly occurredAtUs: number;
  readonly status: PaddleStatus;
}

export type Standing = 'paid' | 'past_due' | 'ended' | 'none';
export type BillingMove = 'payment_past_due' | 'payment_recovered' | 'billing_canceled';

export interface BillingVerdict {
  readonly standing: Standing;
  /** What the organization's subscription is told; whether it moves is for the table of transitions. */
  readonly move: BillingMove | null;
}

/**
 * What an organization's events say, in whatever order and however often they arrived: a function of the set alone.
 *
 * Where the newest event of each subscription leaves one paid for, the organization is. An end that came after the
 * last time that a person enabled routing ends routing, whatever was bought since: were a newer subscription to undo
 * it, it would depend on which of the two was heard of first whether routing ever stopped. An end from before
 * (`activatedAtUs`) ends nothing that a person enabled since; where nothing else is left, it is a payment that is due.
 */
export function standingOf(
  facts: readonly BillingFact[],
  activatedAtUs: number | null,
): BillingVerdict {
  const standing = best(newestFacts(facts).map(({ status }) => STANDING[status]));
  const endedSince = facts.some(
    ({ status, occurredAtUs }) =>
      status === 'canceled' && activatedAtUs !== null && occurredAtUs > activatedAtUs,
  );
  return { standing, move: endedSince ? 'billing_canceled' : MOVE[standing] };
}

/** The newest event of each subscription; of two of the same time the one with the greater id. */
export function newestFacts(facts: readonly BillingFact[]): BillingFact[] {
  const newest = new Map<string, BillingFact>();
  for (const fact of facts) {
    const known = newest.get(fact.subscriptionId);
    if (known === undefined || isNewer(fact, known)) newest.set(fact.subscriptionId, fact);
  }
  return [...newest.values()];
}

export function isNewer(a: BillingFact, b: BillingFact): boolean {
  if (a.occurredAtUs !== b.occurredAtUs) return a.occurredAtUs > b.occurredAtUs;
  return a.eventId > b.eventId;
}

/** A paused subscription can be resumed, so it is due and not ended. */
const STANDING: Readonly<Record<PaddleStatus, Standing>> = {
  active: 'paid',
  trialing: 'paid',
  past_due: 'past_due',
  paused: 'past_due',
  canceled: 'ended',
};

const MOVE: Readonly<Record<Standing, BillingMove | null>> = {
  paid: 'payment_recovered',
  past_due: 'payment_past_due',
  ended: 'payment_past_due',
  none: null,
};

const BEST_FIRST: readonly Standing[] = ['paid', 'past_due', 'ended'];

function best(standings: readonly Standing[]): Standing {
  return BEST_FIRST.find((standing) => standings.includes(standing)) ?? 'none';
}
