import { divideHalfEven, type NanoUsd } from '../money/nano-usd.js';

/** Names the formula; it stands in every plan. */
export const PLAN_METHOD = 'one-sided-clopper-pearson-1';

/** What evidence is asked for: in this much of the answers, at most, the cheaper model may be worse. */
export interface EvidenceGoal {
  /** Basis points: 500 is 5 %. */
  readonly toleranceBp: number;
  /** Basis points: 9,500 is 95 %. */
  readonly confidenceBp: number;
  /** The share that is expected to be worse in truth; the plan has to hold although so many are. */
  readonly expectedLossBp: number;
}

export const DEFAULT_GOAL: EvidenceGoal = Object.freeze({
  toleranceBp: 500,
  confidenceBp: 9_500,
  expectedLossBp: 200,
});

export interface EvidencePlan {
  readonly method: typeof PLAN_METHOD;
  readonly labels: number;
  /** What the shadow calls to the candidate cost; the requested model's answers are there anyway. */
  readonly costNanoUsd: NanoUsd;
  /** At the pace of the period, every call used; whole days, rounded up. */
  readonly days: number;
  /** Of the whole class in 30 days at that pace, were every call of it served by the candidate. Negative where it would cost more. */
  readonly savingPer30DaysNanoUsd: NanoUsd;
}

/** One class in the period of the report. */
export interface ClassTraffic {
  readonly calls: number;
  readonly spendNanoUsd: NanoUsd;
  /** What the same usage costs with the candidate. */
  readonly candidateNanoUsd: NanoUsd;
  readonly periodMs: number;
}

const BASIS = 10_000;
/** No plan needs more; a goal that would is refused. */
const LABELS_MAX = 5_000;
const DAY_MS = 86_400_000n;

/**
 * How many answers must be judged: the smallest n for which the one-sided upper bound (Clopper and Pearson, exact) of
 * the share of worse answers is within the tolerance although ceil(n x expected loss) of them were worse. Null where
 * no number up to 5,000 is enough.
 */
export function labelsNeeded(goal: EvidenceGoal): number | null {
  const { toleranceBp, confidenceBp, expectedLossBp } = goal;
  const isGoal = toleranceBp > 0 && toleranceBp < BASIS && confidenceBp > 0 && confidenceBp < BASIS;
  if (!isGoal || expectedLossBp < 0) throw new RangeError('no goal of evidence');
  if (expectedLossBp >= toleranceBp) return null;
  const enough = (n: number): boolean =>
    binomialAtMost(Math.ceil((n * expectedLossBp) / BASIS), n, toleranceBp / BASIS) <=
    1 - confidenceBp / BASIS;
  let labels = 1;
  while (!enough(labels)) {
    labels += 1;
    if (labels > LABELS_MAX) return null;
  }
  return labels;
}

/** Dollars = labels x mean price of a shadow call, days = labels / calls per day. Null where there is nothing to plan by. */
export function evidencePlan(labels: number, traffic: ClassTraffic): EvidencePlan | null {
  const { calls, spendNanoUsd, candidateNanoUsd, periodMs } = traffic;
  if (calls <= 0 || periodMs <= 0) return null;
  const period = BigInt(Math.ceil(periodMs));
  const whole = (dividend: bigint, divisor: bigint): bigint => (dividend + divisor - 1n) / divisor;
  return {
    method: PLAN_METHOD,
    labels,
    costNanoUsd: whole(BigInt(labels) * candidateNanoUsd, BigInt(calls)),
    days: Number(whole(BigInt(labels) * period, BigInt(calls) * DAY_MS)),
    savingPer30DaysNanoUsd: divideHalfEven(
      (spendNanoUsd - candidateNanoUsd) * 30n * DAY_MS,
      period,
    ),
  };
}

/** The chance of at most k among n. */
function binomialAtMost(k: number, n: number, p: number): number {
  let term = n * Math.log1p(-p);
  let sum = 0;
  for (let i = 0; i <= k; i += 1) {
    sum += Math.exp(term);
    if (i < n) term += Math.log((n - i) / (i + 1)) + Math.log(p) - Math.log1p(-p);
  }
  return Math.min(1, sum);
}
