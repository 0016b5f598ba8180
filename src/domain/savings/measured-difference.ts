import { divideHalfEven, type NanoUsd } from '../money/nano-usd.js';
import { studentQuantile } from './measured-difference-student.js';

/** Names the arithmetic below; a change of it is a new name. There is no randomness in it, hence no seed. */
export const DIFFERENCE_METHOD = 'welch-lognormal-3';

/** With fewer sessions in either group no interval is given. */
export const SESSIONS_MIN = 20;
/** With fewer sessions in both groups together a kind of session that is rare and dear may not have occurred at all. */
export const SESSIONS_RELIABLE = 1_000;
/** More attempts and calls of unknown cost than one for so many sessions of their group, and bounds say little. */
export const UNKNOWN_ONE_IN = 20n;
/** One session that carries more than one part in so many of all dollars: the next one like it would change everything. */
export const DOMINANCE_PARTS = 10n;

const CONFIDENCE_TAIL = 0.975;
const POWER = 0.8;

/** What is known of a group of sessions: sums that can be added up anywhere, exactly and in any order. */
export interface PowerSums {
  readonly sessions: number;
  /** Nano-USD, and its powers. */
  readonly sum: bigint;
  readonly squares: bigint;
  readonly cubes: bigint;
  readonly fourths: bigint;
  readonly largest: bigint;
}

export type Unreliability = 'few_sessions' | 'one_session_dominates' | 'unknown_costs';

export interface MeasuredDifference {
  readonly method: typeof DIFFERENCE_METHOD;
  readonly control: { readonly sessions: number; readonly meanNanoUsd: NanoUsd };
  readonly routed: { readonly sessions: number; readonly meanNanoUsd: NanoUsd };
  /** Mean of the control group minus mean of the routed one, per session: positive where routing costs less. Null without sessions in both. */
  readonly differenceNanoUsd: NanoUsd | null;
  /** 95 %, and what is unknown on top; null where `noInterval` says why. */
  readonly interval: { readonly lowNanoUsd: NanoUsd; readonly highNanoUsd: NanoUsd } | null;
  readonly noInterval: 'too_few_sessions' | 'no_variation' | null;
  /** The smallest true difference that so many sessions would show (at 95 %) four times out of five. */
  readonly smallestEffectNanoUsd: NanoUsd | null;
  /** Why the interval may contain the truth less often than it says; empty where nothing speaks against it. */
  readonly unreliable: readonly Unreliability[];
}

/** The sessions that were compared, each at its cost in nano-USD. */
export interface ComparedSessions {
  /** Left at the requested model by chance. */
  readonly control: PowerSums;
  readonly routed: PowerSums;
  /** Both together, as if none had been routed: what control sessions cost, and the baseline of routed ones. */
  readonly asRequested: PowerSums;
  readonly unknown: UnknownCosts;
}

/**
 * Calls and attempts of these sessions that may have cost something, nobody knows what. They are in the sums as nothing:
 * a session without them would be left out more often in one group than in the other, and the longest ones first.
 */
export interface UnknownCosts {
  readonly control: number;
  readonly routed: number;
  /** What one of them is taken to have cost at most, in nano-USD. */
  readonly eachAtMost: NanoUsd;
}

/** Of one group's sessions: mean and (unbiased) variance in nano-USD, and the fourth central moment over the squared second. */
export interface Moments {
  readonly sessions: number;
  readonly mean: number;
  readonly variance: number;
  readonly kurtosis: number;
}

export interface EstimatedInterval {
  readonly low: number;
  readonly high: number;
  readonly smallestEffect: number;
}

/** Sums of a group's session costs. */
export function powerSums(amounts: Iterable<NanoUsd>): PowerSums {
  let sessions = 0;
  let [sum, squares, cubes, fourths, largest] = [0n, 0n, 0n, 0n, 0n];
  for (const amount of amounts) {
    const square = amount * amount;
    sessions += 1;
    sum += amount;
    squares += square;
    cubes += square * amount;
    fourths += square * square;
    if (amount > largest) largest = amount;
  }
  return { sessions, sum, squares, cubes, fourths, largest };
}

/**
 * The measured difference between sessions that were left at the requested model by chance (control) and those that
 * were routed, with a 95 % interval. The session is the unit, so calls of one session do not count as independent.
 *
 * Costs of sessions have heavy tails, and a small control group has seldom seen its own: its mean and its variance are
 * then too low together, and Welch's interval contains the truth too rarely. How costs are spread, in relation to their
 * mean, is therefore taken from all sessions as well. Of the mean difference itself nothing but the two groups speaks.
 */
export function measureDifference({
  control,
  routed,
  asRequested,
  unknown,
}: ComparedSessions): MeasuredDifference {
  const both = control.sessions > 0 && routed.sessions > 0;
  const known = {
    method: DIFFERENCE_METHOD,
    control: { sessions: control.sessions, meanNanoUsd: meanOf(control) },
    routed: { sessions: routed.sessions, meanNanoUsd: meanOf(routed) },
    differenceNanoUsd: both ? exactDifference(control, routed) : null,
  } as const;
  const without = { ...known, interval: null, smallestEffectNanoUsd: null, unreliable: [] };
  if (Math.min(control.sessions, routed.sessions) < SESSIONS_MIN) {
    return { ...without, noInterval: 'too_few_sessions' };
  }
  const moments = [control, routed, asRequested].map(momentsOf) as [Moments, Moments, Moments];
  const estimated = estimateInterval(...moments);
  if (estimated === null) return { ...without, noInterval: 'no_variation' };
  const ofRouted = perSession(unknown.routed, unknown.eachAtMost, routed);
  const ofControl = perSession(unknown.control, unknown.eachAtMost, control);
  return {
    ...known,
    interval: {
      lowNanoUsd: BigInt(Math.floor(estimated.low)) - ofRouted,
      highNanoUsd: BigInt(Math.ceil(estimated.high)) + ofControl,
    },
    noInterval: null,
    smallestEffectNanoUsd: BigInt(Math.ceil(estimated.smallestEffect)) + ofRouted,
    unreliable: [
      ...unreliabilities(asRequested),
      ...(isMuchUnknown(unknown.control, control) || isMuchUnknown(unknown.routed, routed)
        ? (['unknown_costs'] as const)
        : []),
    ],
  };
}

/** Rounded up: what a group's mean may be higher by. */
function perSession(unknown: number, eachAtMost: NanoUsd, { sessions }: PowerSums): NanoUsd {
  const count = BigInt(sessions);
  return (BigInt(unknown) * eachAtMost + count - 1n) / count;
}

function isMuchUnknown(unknown: number, { sessions }: PowerSums): boolean {
  return BigInt(unknown) * UNKNOWN_ONE_IN > BigInt(sessions);
}

/** The stated rule by which an interval says of itself that it is not to be relied on. */
export function unreliabilities({ sessions, sum, largest }: PowerSums): readonly Unreliability[] {
  const found: Unreliability[] = [];
  if (sessions < SESSIONS_RELIABLE) found.push('few_sessions');
  if (largest * DOMINANCE_PARTS > sum) found.push('one_session_dominates');
  return found;
}

/**
 * Each end is the farther one of two: of Welch's t, and of the difference of two lognormal means. Null where no session
 * differs from the others of its group.
 */
export function estimateInterval(
  control: Moments,
  routed: Moments,
  asRequested: Moments,
): EstimatedInterval | null {
  const ofControl = control.variance / control.sessions;
  const ofRouted = routed.variance / routed.sessions;
  const variance = ofControl + ofRouted;
  if (!(variance > 0)) return null;
  const error = Math.sqrt(variance);
  const degreesOfFreedom =
    variance ** 2 /
    (ofControl ** 2 / (control.sessions - 1) + ofRouted ** 2 / (routed.sessions - 1));
  const difference = control.mean - routed.mean;
  const plain = error * studentQuantile(CONFIDENCE_TAIL, degreesOfFreedom);
  const spread = spreadAtMost(asRequested);
  const [lowControl, highControl] = lognormalMean(control, spread);
  const [lowRouted, highRouted] = lognormalMean(routed, spread);
  // The ends of a difference follow from those of its two parts (G. Y. Zou, A. Donner, Statist. Med. 27, 2008).
  const below = Math.max(plain, Math.hypot(control.mean - lowControl, highRouted - routed.mean));
  const above = Math.max(plain, Math.hypot(highControl - control.mean, routed.mean - lowRouted));
  return {
    low: difference - below,
    high: difference + above,
    smallestEffect: below + error * studentQuantile(POWER, degreesOfFreedom),
  };
}

/**
 * The 95 % interval of a mean of costs whose sum is spread like a lognormal one, which a sum of skewed costs nearly is
 * (L. F. Fenton, IRE Trans. Commun. Syst. 8, 1960). `spread`: at least this squared coefficient of variation.
 */
function lognormalMean(group: Moments, spread: number): readonly [number, number] {
  if (!(group.mean > 0)) return [group.mean, group.mean];
  const squared = Math.max(group.variance / group.mean ** 2, spread) / group.sessions;
  const sigma = Math.sqrt(Math.log1p(squared));
  const reach = sigma * studentQuantile(CONFIDENCE_TAIL, group.sessions - 1);
  const centre = (sigma * sigma) / 2;
  return [group.mean * Math.exp(centre - reach), group.mean * Math.exp(centre + reach)];
}

/** The squared coefficient of variation and its standard error: heavy tails show less of themselves than there is. */
function spreadAtMost({ sessions, mean, variance, kurtosis }: Moments): number {
  if (!(mean > 0 && variance > 0)) return 0;
  return (variance / mean ** 2) * (1 + Math.sqrt(Math.max(kurtosis - 1, 0) / sessions));
}

/** From exact sums; what is rounded is rounded once, at the end. */
export function momentsOf({ sessions, sum, squares, cubes, fourths }: PowerSums): Moments {
  const n = BigInt(sessions);
  const second = n * squares - sum * sum;
  const fourth =
    n ** 3n * fourths - 4n * n * n * sum * cubes + 6n * n * sum * sum * squares - 3n * sum ** 4n;
  return {
    sessions,
    mean: Number(sum) / sessions,
    variance: Number(second) / (sessions * (sessions - 1)),
    kurtosis: second === 0n ? 0 : Number(fourth) / Number(second) ** 2,
  };
}

function meanOf({ sessions, sum }: PowerSums): NanoUsd {
  return sessions === 0 ? 0n : divideHalfEven(sum, BigInt(sessions));
}

function exactDifference(control: PowerSums, routed: PowerSums): NanoUsd {
  const [ofControl, ofRouted] = [BigInt(control.sessions), BigInt(routed.sessions)];
  return divideHalfEven(control.sum * ofRouted - routed.sum * ofControl, ofControl * ofRouted);
}
