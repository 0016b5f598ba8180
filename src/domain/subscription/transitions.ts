import type { MemberRole } from '../policy/permissions.js';
import type { ActorKind } from './actor.js';
import type { SubscriptionStatus } from './status.js';

/** What can happen to a subscription. */
export const SUBSCRIPTION_EVENTS = [
  'close_window',
  'activate',
  'deactivate',
  'cancel',
  'kill',
  'release_hold',
  'payment_past_due',
  'payment_recovered',
  'billing_canceled',
  'suspend',
  'reinstate',
] as const;

export type SubscriptionEvent = (typeof SUBSCRIPTION_EVENTS)[number];

/** `stays`: nothing to change, and nothing wrong with asking. `refused`: the event does not belong there. */
export type Verdict = SubscriptionStatus | 'stays' | 'refused';

export interface TransitionRule {
  readonly by: readonly ActorKind[];
  /** Which members may, where members may at all. */
  readonly roles?: readonly MemberRole[];
  /** What it does to the operator's hold on routing. */
  readonly hold: 'sets' | 'clears' | 'keeps' | 'must_be_clear';
  readonly needsPayment?: true;
  readonly to: Readonly<Record<SubscriptionStatus, Verdict>>;
}

const OPERATORS = ['operator', 'command'] as const;

/** Billing moves `active` and `past_due` alone; in any other status its news wait in the billing snapshot. */
const WAITS = {
  observing: 'stays',
  observation_ended: 'stays',
  canceled: 'stays',
  suspended: 'stays',
} as const;

/** The one table of the subscription's life: every event in every status is decided here. DESIGN: Subscription. */
export const TRANSITIONS = {
  close_window: {
    by: ['job'],
    hold: 'keeps',
    to: {
      observing: 'observation_ended',
      observation_ended: 'stays',
      active: 'stays',
      past_due: 'stays',
      canceled: 'stays',
      suspended: 'stays',
    },
  },
  activate: {
    by: ['member'],
    roles: ['owner', 'admin'],
    hold: 'must_be_clear',
    needsPayment: true,
    to: {
      observing: 'active',
      observation_ended: 'active',
      canceled: 'active',
      active: 'refused',
      past_due: 'refused',
      suspended: 'refused',
    },
  },
  deactivate: {
    by: ['member'],
    roles: ['owner'],
    hold: 'keeps',
    to: {
      active: 'observing',
      past_due: 'observing',
      observing: 'refused',
      observation_ended: 'refused',
      canceled: 'refused',
      suspended: 'refused',
    },
  },
  cancel: {
    by: ['member'],
    roles: ['owner'],
    hold: 'keeps',
    to: {
      active: 'canceled',
      past_due: 'canceled',
      observing: 'refused',
      observation_ended: 'refused',
      canceled: 'refused',
      suspended: 'refused',
    },
  },
  kill: {
    by: OPERATORS,
    hold: 'sets',
    to: {
      active: 'observing',
      past_due: 'observing',
      observing: 'stays',
      observation_ended: 'stays',
      canceled: 'stays',
      suspended: 'stays',
    },
  },
  release_hold: {
    by: OPERATORS,
    hold: 'clears',
    to: {
      observing: 'stays',
      observation_ended: 'stays',
      active: 'stays',
      past_due: 'stays',
      canceled: 'stays',
      suspended: 'stays',
    },
  },
  payment_past_due: {
    by: ['billing'],
    hold: 'keeps',
    to: { ...WAITS, active: 'past_due', past_due: 'stays' },
  },
  payment_recovered: {
    by: ['billing'],
    hold: 'keeps',
    to: { ...WAITS, active: 'stays', past_due: 'active' },
  },
  billing_canceled: {
    by: ['billing'],
    hold: 'keeps',
    to: { ...WAITS, active: 'canceled', past_due: 'canceled' },
  },
  suspend: {
    by: OPERATORS,
    hold: 'keeps',
    to: {
      observing: 'suspended',
      observation_ended: 'suspended',
      active: 'suspended',
      past_due: 'suspended',
      canceled: 'suspended',
      suspended: 'refused',
    },
  },
  reinstate: {
    by: OPERATORS,
    hold: 'keeps',
    to: {
      suspended: 'observing',
      observing: 'refused',
      observation_ended: 'refused',
      active: 'refused',
      past_due: 'refused',
      canceled: 'refused',
    },
  },
} as const satisfies Record<SubscriptionEvent, TransitionRule>;
