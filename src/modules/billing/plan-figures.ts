import type { PlanFigures } from '../../domain/billing/plan-limits.js';

const FIGURE_MAX = 2_000_000_000;
/** The seller's own word, which is shown and stored: letters, digits and a few signs. */
const PLAN_NAME = /^[\p{L}\p{N} ._+-]{1,60}$/u;

/**
 * What the seller wrote about a plan into the custom data of a price or, behind it, of its product:
 * `{"plan": "Team", "seats": 5, "retention_days": 90, "requests_per_month": 1000000}`. What is absent or not a whole
 * number limits nothing.
 */
export function planFigures(priceData: unknown, productData: unknown): PlanFigures {
  const of = (name: string): unknown => member(priceData, name) ?? member(productData, name);
  const plan = of('plan');
  return {
    plan: typeof plan === 'string' && PLAN_NAME.test(plan) ? plan : null,
    seats: figure(of('seats')),
    retentionDays: figure(of('retention_days')),
    requestsPerMonth: figure(of('requests_per_month')),
  };
}

function member(data: unknown, name: string): unknown {
  if (typeof data !== 'object' || data === null) return undefined;
  return (data as Record<string, unknown>)[name];
}

function figure(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' &&
    Number.isSafeInteger(number) &&
    number >= 0 &&
    number <= FIGURE_MAX
    ? number
    : null;
}
