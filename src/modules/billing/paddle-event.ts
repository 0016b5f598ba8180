import { PADDLE_STATUSES, type PaddleStatus } from '../../domain/billing/standing.js';
import type { PlanFigures } from '../../domain/billing/plan-limits.js';
import { isUuid } from '../../platform/uuid.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import { planFigures } from './plan-figures.js';

/** The state of one subscription, as an event or the API tells it: ids, times and figures. */
export interface SubscriptionState {
  readonly status: PaddleStatus;
  readonly priceId: string | null;
  readonly productId: string | null;
  readonly quantity: number | null;
  readonly scheduledChange: {
    readonly action: string;
    readonly effectiveAt: string | null;
    readonly resumeAt: string | null;
  } | null;
  readonly nextBilledAt: string | null;
  readonly periodEndsAt: string | null;
  readonly plan: PlanFigures;
}

/** What is kept of an event's content. Everything else of it, names and addresses above all, is dropped on reading. */
export interface EventPayload {
  /** Of what the event is about. */
  readonly id: string | null;
  /** Paddle's word, of a transaction too. */
  readonly status: string | null;
  readonly origin: string | null;
  /** Only of an event that tells a subscription's state. */
  readonly subscription: SubscriptionState | null;
}

export interface BillingEvent {
  readonly eventId: string;
  readonly type: string;
  /** ISO 8601 with up to microseconds, as Paddle wrote it. */
  readonly occurredAt: string;
  readonly subscriptionId: string | null;
  readonly customerId: string | null;
  /** What the event names as its organization; the nil UUID where that is no id at all. Null: it names none. */
  readonly claimedOrgId: string | null;
  readonly payload: EventPayload;
}

type Json = Readonly<Record<string, unknown>>;

const EVENT_ID = /^[A-Za-z0-9_-]{1,120}$/;
const TYPE = /^[A-Za-z0-9_.-]{1,80}$/;
const ID = /^[a-z]{1,10}_[A-Za-z0-9]{1,60}$/;
const WORD = /^[a-z_]{1,60}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;
const QUANTITY_MAX = 1_000_000_000;

/** Reads a webhook's body, whose signature has been checked. Null where it is no event. */
export function readPaddleEvent(rawBody: Buffer): BillingEvent | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(rawBody.toString('utf8'));
  } catch {
    return null;
  }
  const envelope = object(parsed);
  const eventId = matching(envelope.event_id, EVENT_ID);
  const type = matching(envelope.event_type, TYPE);
  const occurredAt = time(envelope.occurred_at);
  if (eventId === null || type === null || occurredAt === null) return null;
  return eventOf({ eventId, type, occurredAt }, object(envelope.data));
}

/** An event from its envelope and its data in Paddle's own snake_case form. */
export function eventOf(
  envelope: Pick<BillingEvent, 'eventId' | 'type' | 'occurredAt'>,
  data: Json,
): BillingEvent {
  const id = matching(data.id, ID);
  const isSubscription = /^(?:subscription\.|reconciliation$)/.test(envelope.type);
  return {
    ...envelope,
    subscriptionId: isSubscription ? id : matching(data.subscription_id, ID),
    customerId: envelope.type.startsWith('customer.') ? id : matching(data.customer_id, ID),
    claimedOrgId: claimOf(object(data.custom_data).organization_id),
    payload: {
      id,
      status: matching(data.status, WORD),
      origin: matching(data.origin, WORD),
      subscription: isSubscription && id !== null ? subscriptionState(data) : null,
    },
  };
}

/** Null where the status is none that we know: the event is kept, and changes nothing. */
function subscriptionState(data: Json): SubscriptionState | null {
  const status = PADDLE_STATUSES.find((known) => known === data.status);
  if (status === undefined) return null;
  const item = planItem(data);
  const price = object(item.price);
  const change = object(data.scheduled_change);
  const action = matching(change.action, WORD);
  return {
    status,
    priceId: matching(price.id, ID),
    productId: matching(price.product_id, ID),
    quantity: quantityOf(item.quantity),
    scheduledChange:
      action === null
        ? null
        : { action, effectiveAt: time(change.effective_at), resumeAt: time(change.resume_at) },
    nextBilledAt: time(data.next_billed_at),
    periodEndsAt: time(object(data.current_billing_period).ends_at),
    plan: figuresOf(item),
  };
}

/** A subscription may have add-ons beside its plan: the plan is the item that says so, else the first. */
function planItem(data: Json): Json {
  const items = Array.isArray(data.items) ? data.items.map(object) : [];
  return items.find((item) => figuresOf(item).plan !== null) ?? items[0] ?? {};
}

function figuresOf(item: Json): PlanFigures {
  return planFigures(object(item.price).custom_data, object(item.product).custom_data);
}

function claimOf(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  return typeof value === 'string' && isUuid(value) ? value.toLowerCase() : INSTALLATION_ID;
}

function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : {};
}

function matching(value: unknown, form: RegExp): string | null {
  return typeof value === 'string' && form.test(value) ? value : null;
}

function time(value: unknown): string | null {
  const text = matching(value, TIME);
  return text !== null && !Number.isNaN(Date.parse(text)) ? text : null;
}

function quantityOf(value: unknown): number | null {
  return typeof value === 'number' &&
    Number.isSafeInteger(value) &&
    value >= 0 &&
    value <= QUANTITY_MAX
    ? value
    : null;
}
