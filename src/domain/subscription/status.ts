/** The status of an organization's subscription. */
export const SUBSCRIPTION_STATUSES = [
  'observing',
  'observation_ended',
  'active',
  'past_due',
  'canceled',
  'suspended',
] as const;

export type SubscriptionStatus = (typeof SUBSCRIPTION_STATUSES)[number];

/** Routing happens in these alone; every other status passes through, and `suspended` alone blocks. */
export function routesIn(status: SubscriptionStatus): boolean {
  return status === 'active' || status === 'past_due';
}
