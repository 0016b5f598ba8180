import { divideHalfEven, type NanoUsd } from '../money/nano-usd.js';
import { studentQuantile } from './measured-difference-student.js';

/** Names the arithmetic below; a change of it is a new name. There is no randomness in it, hence no seed. */
export const DIFFERENCE_METHOD = 'welch-hall-1';

/** With fewer sessions in either group no interval is given. */
export const SESSIONS_MIN = 20;
/** With fewer sessions in either group an interval is given, and said to be unreliable. */
export const SESSIONS_RELIABLE = 50;
/** Cochran's rule, n > 25 x skewness^2 (Sampling Techniques, section 2.15), for the skewness of the difference itself. */
export const SKEWNESS_RELIABLE_MAX = 0.2;
/** One session that carries more than one part in so many of its group's dollars decides the mean by itself. */
export const DOMINANCE_PARTS = 10n;

const CONFIDENCE_TAIL = 0.975;
const POWER = 0.8;

/** What is known of a group of sessions: sums that can be added up anywhere, exactly and in any order. */
export interface PowerSums {
  readonly sessions: number;
  /** Nano-USD, and its square and cube. */
  readonly sum: bigint;
  readonly squares: bigint;
  readonly cubes: bigint;
  readonly largest: bigint;
}

export const NO_SESSIONS: PowerSums = Object.freeze({
  sessions: 0,
  sum: 0n,
  squares: 0n,
  cubes: 0n,
  largest: 0n,
});

export type Unreliability = 'few_sessions' | 'skewed' | 'one_session_dominates';

export interface MeasuredDifference {
  readonly method: typeof DIFFERENCE_METHOD;
  readonly control: { readonly sessions: number; readonly meanNanoUsd: NanoUsd };
  readonly routed: { readonly sessions: number; readonly meanNanoUsd: NanoUsd };
  /** Mean of the control group minus mean of the routed one, per session: positive where routing costs less. Null without sessions in both. */
  readonly differenceNanoUsd: NanoUsd | null;
  /** 95 %; null where `noInterval` says why. */
  readonly interval: { readonly lowNanoUsd: NanoUsd; readonly highNanoUsd: NanoUsd } | null;
  readonly noInterval: 'too_few_sessions' | 'no_variation' | null;
  /** The smallest true difference that so many sessions would show (at 95 %) four times out of five. */
  readonly smallestEffectNanoUsd: NanoUsd | null;
  /** Why the interval may contain the truth less often than it says; empty where nothing speaks against it. */
  readonly unreliable: readonly Unreliability[];
}

/** Mean, variance and third central moment (both unbiased) of one group's sessions, in nano-USD. */
export interface Moments {
  readonly sessions: number;
  readonly mean: number;
  readonly variance: number;
  readonly third: number;
}

export interface EstimatedInterval {
  readonly low: number;
  readonly high: number;
  readonly smallestEffect: number;
  /** Of the sampling distribution of the difference. */
  readonly skewness: number;
}

/** Sums of a group's session costs. */
export function powerSums(amounts: Iterable<NanoUsd>): PowerSums {
  let sessions = 0;
  let [sum, squares, cubes, largest] = [0n, 0n, 0n, 0n];
  for (const amount of amounts) {
    const square = amount * amount;
    sessions += 1;
    sum += amount;
    squares += square;
    cubes += square * amount;
    if (amount > largest) largest = amount;
  }
  return { sessions, sum, squares, cubes, largest };
}

/**
 * The measured difference between sessions that were left at the requested model by chance (control) and those that
 * were routed, with a 95 % interval. The session is the unit, so calls of one session do not count as independent.
 *
 * Costs are skewed, and the control group is small: Welch's interval alone contains the truth too rarely. Each end is
 * the farther one of Welch's t and of Hall's cubic transformation of it, which takes the skewness out
 * (P. Hall, "On the removal of skewness by transformation", J. R. Statist. Soc. B 54, 1992).
 */
export function measureDifference(control: PowerSums, routed: PowerSums): MeasuredDifference {
  const both = control.sessions > 0 && routed.sessions > 0;
  const known = {
    method: DIFFERENCE_METHOD,
    control: { sessions: control.sessions, meanNanoUsd: meanOf(control) },
    routed: { sessions: routed.sessions, meanNanoUsd: meanOf(routed) },
    differenceNanoUsd: both ? exactDifference(control, routed) : null,
  } as const;
  const without = { ...known, interval: null, smallestEffectNanoUsd: null, unreliable: [] };
  const smaller = Math.min(control.sessions, routed.sessions);
  if (smaller < SESSIONS_MIN) return { ...without, noInterval: 'too_few_sessions' };
  const estimated = estimateInterval(momentsOf(control), momentsOf(routed));
  if (estimated === null) return { ...without, noInterval: 'no_variation' };
  return {
    ...known,
    interval: {
      lowNanoUsd: BigInt(Math.floor(estimated.low)),
      highNanoUsd: BigInt(Math.ceil(estimated.high)),
    },
    noInterval: null,
    smallestEffectNanoUsd: BigInt(Math.ceil(estimated.smallestEffect)),
    unreliable: unreliabilities(smaller, estimated.skewness, dominated(control, routed)),
  };
}

/** The stated rule by which an interval says of itself that it is not to be relied on. */
export function unreliabilities(
  smallerGroupSessions: number,
  skewness: number,
  oneDominates: boolean,
): readonly Unreliability[] {
  const found: Unreliability[] = [];
  if (smallerGroupSessions < SESSIONS_RELIABLE) found.push('few_sessions');
  if (Math.abs(skewness) > SKEWNESS_RELIABLE_MAX) found.push('skewed');
  if (oneDominates) found.push('one_session_dominates');
  return found;
}

/** Null where no session differs from the others of its group. */
export function estimateInterval(control: Moments, routed: Moments): EstimatedInterval | null {
  const ofControl = control.variance / control.sessions;
  const ofRouted = routed.variance / routed.sessions;
  const variance = ofControl + ofRouted;
  if (!(variance > 0)) return null;
  const error = Math.sqrt(variance);
  const degreesOfFreedom =
    variance ** 2 /
    (ofControl ** 2 / (control.sessions - 1) + ofRouted ** 2 / (routed.sessions - 1));
  const difference = control.mean - routed.mean;
  const skewness =
    (control.third / control.sessions ** 2 - routed.third / routed.sessions ** 2) / error ** 3;
  const tail = studentQuantile(CONFIDENCE_TAIL, degreesOfFreedom);
  return {
    low: difference - error * Math.max(tail, withSkewness(tail, skewness)),
    high: difference - error * Math.min(-tail, withSkewness(-tail, skewness)),
    smallestEffect: error * (tail + studentQuantile(POWER, degreesOfFreedom)),
    skewness,
  };
}

/** From exact sums; what is rounded is rounded once, at the end. */
export function momentsOf({ sessions, sum, squares, cubes }: PowerSums): Moments {
  const n = BigInt(sessions);
  const second = n * squares - sum * sum;
  const third = n * n * cubes - 3n * n * sum * squares + 2n * sum * sum * sum;
  const count = sessions;
  return {
    sessions,
    mean: Number(sum) / count,
    variance: Number(second) / (count * (count - 1)),
    third: Number(third) / (count * (count - 1) * (count - 2)),
  };
}

/** The inverse of Hall's g(t) = t + a t^2 / 3 + a^2 t^3 / 27 + a / 6. */
function withSkewness(quantile: number, skewness: number): number {
  if (Math.abs(skewness) < 1e-9) return quantile;
  return (3 / skewness) * (Math.cbrt(1 + skewness * (quantile - skewness / 6)) - 1);
}

function dominated(...groups: readonly PowerSums[]): boolean {
  return groups.some(({ largest, sum }) => largest * DOMINANCE_PARTS > sum);
}

function meanOf({ sessions, sum }: PowerSums): NanoUsd {
  return sessions === 0 ? 0n : divideHalfEven(sum, BigInt(sessions));
}

function exactDifference(control: PowerSums, routed: PowerSums): NanoUsd {
  const [ofControl, ofRouted] = [BigInt(control.sessions), BigInt(routed.sessions)];
  return divideHalfEven(control.sum * ofRouted - routed.sum * ofControl, ofControl * ofRouted);
}
