/** Knots of the curve of lengths: 1, 2, 4, ... 1,024 turns. Longer sessions count as that long. */
const KNOTS = 11;
export const TURNS_MAX = 2 ** (KNOTS - 1);
/**
 * Of sessions that reach so many turns, a quarter reaches twice as many: what is believed of lengths that were not seen.
 * It means that a session is expected to go on, on average, for about as long as it has lasted.
 */
const PRIOR_SURVIVAL = 0.25;
/** The weight of that belief, in sessions. */
const PRIOR_SESSIONS = 4;
/** Above this many sessions, all counts are halved: habits change. */
const SESSIONS_MAX = 4_096;

/** Upper ends of the classes that gaps between calls are counted in: the times to live of the providers' caches. */
export const GAP_CLASSES_MS = [
  5 * 60_000,
  30 * 60_000,
  60 * 60_000,
  120 * 60_000,
  720 * 60_000,
] as const;
/** One more than the ends: the last class is open. */
const GAP_CLASSES = GAP_CLASSES_MS.length + 1;
/** The weight, in gaps, of the application's habit against what this session showed. */
const GAP_HABIT_WEIGHT = 16;
const GAPS_MAX = 65_536;

/** Parts per million: weights of calls that may come, which are often fractions of one. */
export const WHOLE_PPM = 1_000_000;

/** Means count this many calls, so that one long session is not taken for the habit. */
const AVERAGED_CALLS_MAX = 512;
/** What is believed of a new application's calls weighs as much as so many of them. */
const PRIOR_CALLS = 4;
const FIRST_OUTPUT_TOKENS = 300;
const FIRST_GROWTH_TOKENS = 500;

export type GapCounts = readonly number[];
export const NO_GAPS: GapCounts = Object.freeze(Array.from({ length: GAP_CLASSES }, () => 0));

/** How sessions of one application go: counts and means only, learned from the calls that were answered. */
export interface SessionHabits {
  /** How many sessions came to 1, 2, 4, ... 1,024 turns. */
  readonly reached: readonly number[];
  readonly gaps: GapCounts;
  /** Means over recent calls, not whole numbers. */
  readonly outputTokens: number;
  /** By which a prompt outgrows the one before. */
  readonly growthTokens: number;
  /** The longest prompt that was ever seen: windows and compaction keep prompts from growing for ever. */
  readonly promptTokensMax: number;
}

export const NO_HABITS: SessionHabits = Object.freeze({
  reached: Object.freeze(Array.from({ length: KNOTS }, () => 0)),
  gaps: NO_GAPS,
  outputTokens: FIRST_OUTPUT_TOKENS,
  growthTokens: FIRST_GROWTH_TOKENS,
  promptTokensMax: 0,
});

/** One answered call, as far as habits go. */
export interface HabitCall {
  /** Of the session, this call included. */
  readonly turns: number;
  /** Null for a session's first call. */
  readonly gapMs: number | null;
  readonly growthTokens: number | null;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export function learned(habits: SessionHabits, call: HabitCall): SessionHabits {
  const { gapMs, growthTokens } = call;
  const seen = (habits.reached[0] ?? 0) + habits.gaps.reduce((sum, count) => sum + count, 0);
  const calls = Math.min(seen + PRIOR_CALLS, AVERAGED_CALLS_MAX);
  return {
    reached: withTurn(habits.reached, call.turns),
    gaps: gapMs === null ? habits.gaps : countGap(habits.gaps, gapMs, GAPS_MAX),
    outputTokens: averaged(habits.outputTokens, call.outputTokens, calls),
    growthTokens:
      growthTokens === null
        ? habits.growthTokens
        : averaged(habits.growthTokens, growthTokens, calls),
    promptTokensMax: Math.max(habits.promptTokensMax, call.promptTokens),
  };
}

/** A mean that forgets: the new value counts as one of `calls`. */
export function averaged(mean: number, value: number, calls: number): number {
  return mean + (value - mean) / calls;
}

export function countGap(counts: GapCounts, gapMs: number, countsMax: number): GapCounts {
  const found = GAP_CLASSES_MS.findIndex((endMs) => gapMs <= endMs);
  const at = found === -1 ? GAP_CLASSES - 1 : found;
  const halve = counts.reduce((sum, count) => sum + count, 0) >= countsMax;
  return counts.map((count, index) => (halve ? count >> 1 : count) + (index === at ? 1 : 0));
}

/**
 * The share of gaps, in ppm, that a cache with this time to live outlasts: the session's own, with the
 * application's habit (or, before there is one, the belief that calls follow closely) counting as sixteen more.
 */
export function warmSharePpm(own: GapCounts, habit: GapCounts, ttlMs: number): number {
  const [habitWithin, habitAll] = within(habit, ttlMs);
  const [ownWithin, ownAll] = within(own, ttlMs);
  const habitShare = (habitWithin + 1) / (habitAll + 1);
  const share = (ownWithin + GAP_HABIT_WEIGHT * habitShare) / (ownAll + GAP_HABIT_WEIGHT);
  return Math.round(share * WHOLE_PPM);
}

function within(counts: GapCounts, ttlMs: number): [within: number, all: number] {
  let inside = 0;
  let all = 0;
  for (const [at, count] of counts.entries()) {
    all += count;
    if ((GAP_CLASSES_MS[at] ?? Number.POSITIVE_INFINITY) <= ttlMs) inside += count;
  }
  return [inside, all];
}

function withTurn(reached: readonly number[], turns: number): readonly number[] {
  const knot = Math.log2(turns);
  if (!Number.isInteger(knot) || knot >= KNOTS) return reached;
  const halve = (reached[0] ?? 0) >= SESSIONS_MAX;
  return reached.map((count, at) => (halve ? count >> 1 : count) + (at === knot ? 1 : 0));
}

/** Some of the calls that may follow the one at hand. */
export interface CallsToCome {
  /** Which they are on average, counted from the one at hand (1 is the next). */
  readonly ordinal: number;
  /** How many of them are expected to come, in ppm of a call. */
  readonly callsPpm: number;
  /** The first of them, counted the same way, and the chance that it comes. */
  readonly first: number;
  readonly firstPpm: number;
}

/**
 * The calls expected after the one at hand, in blocks that double (the next, two more, four more, ...), at most
 * eleven. The curve of lengths gives the chance that a session that reached a knot reaches the next; between knots
 * every further turn is as likely as the other.
 *
 * @param turn which of the session's calls is at hand; 1 is the first.
 */
export function callsToCome(habits: SessionHabits, turn: number): readonly CallsToCome[] {
  const steps = turnSurvivals(habits.reached);
  const blocks: CallsToCome[] = [];
  let alive = 1;
  for (let from = 1; from <= TURNS_MAX; from *= 2) {
    const through = 2 * from - 1;
    const firstPpm = Math.round(alive * (steps[knotOf(turn + from - 1)] ?? 0) * WHOLE_PPM);
    let calls = 0;
    // The block in pieces of one step each: a knot may fall into it.
    for (let at = from; at <= through;) {
      const knot = knotOf(turn + at - 1);
      const step = steps[knot] ?? 0;
      const next = knot + 1 < KNOTS ? 2 ** (knot + 1) : Number.POSITIVE_INFINITY;
      const length = Math.min(through - at + 1, next - (turn + at - 1));
      calls += geometricSum(alive, step, length);
      alive *= step ** length;
      at += length;
    }
    const callsPpm = Math.round(calls * WHOLE_PPM);
    if (callsPpm === 0) break;
    blocks.push({ ordinal: (from + through) / 2, callsPpm, first: from, firstPpm });
  }
  return blocks;
}

/** The chance of one more turn, from each knot on to the next. */
function turnSurvivals(reached: readonly number[]): number[] {
  return Array.from({ length: KNOTS }, (_, knot) => {
    const here = reached[knot] ?? 0;
    // Sessions under way are counted where they are, so a later knot may even have more than an earlier one.
    const next = knot + 1 < KNOTS ? Math.min(reached[knot + 1] ?? 0, here) : 0;
    const weight = knot + 1 < KNOTS ? here : 0;
    const share = (next + PRIOR_SURVIVAL * PRIOR_SESSIONS) / (weight + PRIOR_SESSIONS);
    return share ** (1 / 2 ** knot);
  });
}

function knotOf(turn: number): number {
  return Math.min(31 - Math.clz32(turn), KNOTS - 1);
}

/** alive * (step + step^2 + ... + step^length) */
function geometricSum(alive: number, step: number, length: number): number {
  if (step >= 1) return alive * length;
  return (alive * step * (1 - step ** length)) / (1 - step);
}
