/** The status of an organization's subscription; `active` and `past_due` alone route, `suspended` alone blocks. */
export const SUBSCRIPTION_STATUSES = [
  'observing',
  'observation_ended',
  'active',
  'past_due',
  'canceled',
  'suspended',
] as const;

export type SubscriptionStatus = (typeof SUBSCRIPTION_STATUSES)[number];
