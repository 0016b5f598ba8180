/** What a plan includes. Null: the plan says nothing of it, so there is no limit. */
export interface PlanFigures {
  readonly plan: string | null;
  readonly seats: number | null;
  readonly retentionDays: number | null;
  readonly requestsPerMonth: number | null;
}

/** What an organization has and does. */
export interface PlanUse {
  readonly seats: number;
  readonly retentionDays: number;
  readonly requestsThisMonth: number;
}

export type PlanLimitName = 'seats' | 'retention_days' | 'requests_per_month';

export interface PlanLimit {
  readonly limit: PlanLimitName;
  readonly included: number | null;
  readonly used: number;
  /** More is used than the plan includes. It is said, and nothing is ever refused for it. */
  readonly exceeded: boolean;
}

export function planLimits(figures: PlanFigures, use: PlanUse): PlanLimit[] {
  const pairs: readonly [PlanLimitName, number | null, number][] = [
    ['seats', figures.seats, use.seats],
    ['retention_days', figures.retentionDays, use.retentionDays],
    ['requests_per_month', figures.requestsPerMonth, use.requestsThisMonth],
  ];
  return pairs.map(([limit, included, used]) => ({
    limit,
    included,
    used,
    exceeded: included !== null && used > included,
  }));
}
