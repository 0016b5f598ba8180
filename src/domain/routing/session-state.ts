import type { PromptFacts } from '../classification/prompt-facts.js';
import { promptTokens } from '../pricing/unit-prices.js';
import { NO_USAGE, type Usage } from '../pricing/usage.js';
import type { Target } from './decision.js';
import { cacheableTokens, isWarm, WHOLE_PERMILLE } from './session-cache.js';
import type { CacheRules, CacheState } from './session-cache.js';
import { hardestOf, NO_DIFFICULTY, type Difficulty } from './session-difficulty.js';
import type { SessionFacts } from './session-economics.js';
import { averaged, callsToCome, countGap, NO_GAPS } from './session-habits.js';
import type { GapCounts, HabitCall, SessionHabits } from './session-habits.js';

/** A session's caches at other models are forgotten beyond so many, the oldest first. */
export const CACHES_MAX = 4;
export const TURN_COUNT_MAX = 1_000_000;
const GAPS_MAX = 256;
/** A session's means are of so many calls at most: of fewer, chance would move it back and forth. */
const AVERAGED_CALLS_MAX = 32;
/** One miss halves the trust in a cache, two quarter it. */
const REUSE_AVERAGED_CALLS = 2;

/** What the session left in the cache of one model. */
export interface TargetCache {
  readonly target: Target;
  readonly prefixTokens: number;
  readonly lastCallAtMs: number;
}

/** What is remembered of a session between its calls: names of models, counts and times, no content. */
export interface SessionState {
  readonly route: Target;
  /** Answered calls. */
  readonly turns: number;
  readonly startedAtMs: number;
  readonly lastCallAtMs: number;
  /** Of the last prompt. */
  readonly promptTokens: number;
  /** Means over recent calls; null until there are any. */
  readonly growthTokens: number | null;
  readonly outputTokens: number;
  /** Of the last answer. */
  readonly lastOutputTokens: number;
  readonly gaps: GapCounts;
  /** See `SessionFacts`. */
  readonly markedPermille: number;
  readonly reusedPermille: number;
  readonly hardest: Difficulty;
  /** The side that its first call put it on. */
  readonly control: boolean;
  /** Who gave all of its answers; null where several did, or nobody knows who. */
  readonly answeredBy: Target | null;
  /** The most answers that a request of it brought with it. */
  readonly answersShown: number;
  /** Latest first, at most four. */
  readonly caches: readonly TargetCache[];
}

/** What a request tells of the answers before it. */
export interface EarlierAnswers {
  readonly shown: number;
  /** There may be others: named by state that answers leave, or beyond what was read. */
  readonly hidden: boolean;
}

export const NO_EARLIER_ANSWERS: EarlierAnswers = Object.freeze({ shown: 0, hidden: false });

export function earlierAnswers(facts: PromptFacts): EarlierAnswers {
  const { answerCount, pins, complete } = facts;
  return { shown: answerCount, hidden: pins.length > 0 || !complete };
}

/** One answered call of a session, once its usage is known. */
export interface SessionOutcome {
  /** The one that answered. */
  readonly target: Target;
  /** Where the session's next call is to go unless something else is decided; the target, but after a fallback. */
  readonly route: Target;
  readonly usage: Usage;
  /** Of that target, for this request. */
  readonly cache: CacheRules;
  readonly atMs: number;
  readonly difficulty: Difficulty;
  readonly control: boolean;
  readonly earlier: EarlierAnswers;
}

/** The session after the call. Calls may come out of order; time never runs backwards in it. */
export function afterCall(before: SessionState | null, outcome: SessionOutcome): SessionState {
  const { target, route, usage, cache, difficulty, control, earlier } = outcome;
  const prompt = promptTokens(usage);
  if (before === null) {
    return {
      route,
      turns: 1,
      startedAtMs: outcome.atMs,
      lastCallAtMs: outcome.atMs,
      promptTokens: prompt,
      growthTokens: null,
      outputTokens: usage.outputTokens,
      lastOutputTokens: usage.outputTokens,
      gaps: NO_GAPS,
      markedPermille: markedPermille(usage, cache, WHOLE_PERMILLE),
      reusedPermille: WHOLE_PERMILLE,
      hardest: difficulty,
      control,
      answeredBy: earlier.shown > 0 || earlier.hidden ? null : target,
      answersShown: earlier.shown,
      caches: withCache([], outcome, prompt, outcome.atMs),
    };
  }
  const atMs = Math.max(outcome.atMs, before.lastCallAtMs);
  const growth = Math.max(prompt - before.promptTokens, 0);
  return {
    route,
    turns: Math.min(before.turns + 1, TURN_COUNT_MAX),
    startedAtMs: before.startedAtMs,
    lastCallAtMs: atMs,
    promptTokens: prompt,
    growthTokens:
      before.growthTokens === null
        ? growth
        : Math.round(
            averaged(before.growthTokens, growth, Math.min(before.turns, AVERAGED_CALLS_MAX)),
          ),
    outputTokens: Math.round(
      averaged(
        before.outputTokens,
        usage.outputTokens,
        Math.min(before.turns + 1, AVERAGED_CALLS_MAX),
      ),
    ),
    lastOutputTokens: usage.outputTokens,
    gaps: countGap(before.gaps, atMs - before.lastCallAtMs, GAPS_MAX),
    markedPermille: markedPermille(usage, cache, before.markedPermille),
    reusedPermille: reusedPermille(before, target, usage, cache, atMs),
    hardest: hardestOf(before.hardest, difficulty),
    control: before.control,
    answeredBy: answererAfter(before, target, earlier.shown),
    answersShown: Math.max(before.answersShown, earlier.shown),
    caches: withCache(before.caches, outcome, prompt, atMs),
  };
}

/** The session after an answer of which nothing else is known. */
export function afterUnmeteredAnswer(
  before: SessionState,
  target: Target,
  { shown }: EarlierAnswers,
): SessionState {
  const answersShown = Math.max(before.answersShown, shown);
  return { ...before, answeredBy: answererAfter(before, target, shown), answersShown };
}

/**
 * Who gave every answer that a request may bring state of; null where several did, or nobody knows. A request that
 * brings more answers than the last one and its own answer make up brings some that were not seen: given while routing
 * was off, or by another replica.
 */
export function answererOf(
  state: SessionState,
  { shown }: Pick<EarlierAnswers, 'shown'>,
): Target | null {
  return shown > state.answersShown + 1 ? null : state.answeredBy;
}

/**
 * The state, with what another replica knows of the same session's answers: whoever gave all of them did so for both,
 * or nobody did. That several answered is never forgotten, whichever of two states outlasts the other.
 */
export function withAnswersOf(state: SessionState, other: SessionState): SessionState {
  const agree =
    state.answeredBy !== null &&
    other.answeredBy !== null &&
    sameTarget(state.answeredBy, other.answeredBy);
  return {
    ...state,
    answeredBy: agree ? state.answeredBy : null,
    answersShown: Math.max(state.answersShown, other.answersShown),
  };
}

function answererAfter(before: SessionState, target: Target, shown: number): Target | null {
  const answerer = answererOf(before, { shown });
  return answerer !== null && sameTarget(answerer, target) ? answerer : null;
}

/**
 * A session that went on unseen (before a restart, or at another replica): as if all its calls had gone to the model
 * asked for, the last of them just now. So nothing is taken for a free switch that may re-bill a warm prefix.
 *
 * @param turns answered so far, as the conversation itself shows; the caller gives 1 or more.
 */
export function unseenSession(
  requested: Target,
  cache: CacheRules,
  turns: number,
  promptTokensEstimate: number,
  nowMs: number,
): SessionState {
  const usage: Usage = { ...NO_USAGE, inputTokens: promptTokensEstimate };
  const first = afterCall(null, {
    target: requested,
    route: requested,
    usage,
    // Taken for automatic: what the unseen requests marked is not known, and the whole prompt is the safer belief.
    cache: { ...cache, mode: cache.mode === 'none' ? 'none' : 'automatic' },
    atMs: nowMs,
    difficulty: NO_DIFFICULTY,
    control: false,
    earlier: { shown: turns, hidden: true },
  });
  return { ...first, turns };
}

/** What the call tells of the habits of its application's sessions. */
export function habitCallOf(
  before: SessionState | null,
  after: SessionState,
  usage: Usage,
): HabitCall {
  return {
    turns: after.turns,
    gapMs: before === null ? null : after.lastCallAtMs - before.lastCallAtMs,
    growthTokens: before === null ? null : Math.max(after.promptTokens - before.promptTokens, 0),
    promptTokens: after.promptTokens,
    outputTokens: usage.outputTokens,
  };
}

/**
 * What the arithmetic needs of a session for the call at hand.
 *
 * @param promptTokensEstimate of that call's prompt; used for a session's first call only, later ones are known better
 *   from the last prompt and its growth.
 */
export function sessionFacts(
  state: SessionState | null,
  habits: SessionHabits,
  promptTokensEstimate: number,
): SessionFacts {
  const growthTokens = state?.growthTokens ?? Math.round(habits.growthTokens);
  const prompt = state === null ? promptTokensEstimate : state.promptTokens + growthTokens;
  return {
    promptTokens: prompt,
    growthTokens,
    promptTokensMax: Math.max(prompt, habits.promptTokensMax),
    outputTokens: state?.outputTokens ?? Math.round(habits.outputTokens),
    gaps: state?.gaps ?? NO_GAPS,
    habitGaps: habits.gaps,
    markedPermille: state?.markedPermille ?? WHOLE_PERMILLE,
    reusedPermille: state?.reusedPermille ?? WHOLE_PERMILLE,
    toCome: callsToCome(habits, (state?.turns ?? 0) + 1),
  };
}

/** What the session left at a target, aged to this moment; null where nothing is known. */
export function cacheStateOf(
  state: SessionState | null,
  target: Target,
  nowMs: number,
): CacheState | null {
  const found = state?.caches.find((cache) => sameTarget(cache.target, target));
  if (found === undefined) return null;
  return { prefixTokens: found.prefixTokens, ageMs: Math.max(nowMs - found.lastCallAtMs, 0) };
}

/** The cache of a session whose calls had all gone to one model: for the ledger's baseline. */
export function cacheHadItStayed(
  state: SessionState | null,
  rules: CacheRules,
  nowMs: number,
): CacheState | null {
  if (state === null) return null;
  const prefixTokens = cacheableTokens(rules, state.promptTokens, state.markedPermille);
  return { prefixTokens, ageMs: Math.max(nowMs - state.lastCallAtMs, 0) };
}

export function sameTarget(a: Target, b: Target): boolean {
  return a.provider === b.provider && a.model === b.model;
}

function withCache(
  caches: readonly TargetCache[],
  { target, usage, cache }: SessionOutcome,
  prompt: number,
  lastCallAtMs: number,
): readonly TargetCache[] {
  const others = caches.filter((entry) => !sameTarget(entry.target, target));
  const marked = markedPermille(usage, cache, WHOLE_PERMILLE);
  const prefixTokens = cacheableTokens(cache, prompt, marked);
  return [{ target, prefixTokens, lastCallAtMs }, ...others].slice(0, CACHES_MAX);
}

/**
 * An explicit request's marks show in what was read and written. Where neither was reported of a prompt that may have
 * been too short for this model, they stay as they were known.
 */
function markedPermille(usage: Usage, cache: CacheRules, known: number): number {
  if (cache.mode !== 'explicit') return known;
  const prompt = promptTokens(usage);
  if (prompt === 0) return known;
  const { cacheReadTokens, cacheReadAudioTokens } = usage;
  const kept = cacheReadTokens + cacheReadAudioTokens + writtenTokens(usage);
  if (kept === 0 && cacheableTokens(cache, prompt, known) === 0) return known;
  return Math.floor((kept * WHOLE_PERMILLE) / prompt);
}

function writtenTokens(usage: Usage): number {
  return (
    usage.cacheWrite5mTokens +
    usage.cacheWrite30mTokens +
    usage.cacheWrite1hTokens +
    usage.cacheWrite12hTokens
  );
}

/** Compares what was read with what should have been found; unchanged where nothing should have been. */
function reusedPermille(
  before: SessionState,
  target: Target,
  usage: Usage,
  cache: CacheRules,
  atMs: number,
): number {
  const state = cacheStateOf(before, target, atMs);
  if (state === null || !isWarm(cache, state)) return before.reusedPermille;
  const expected = Math.min(state.prefixTokens, promptTokens(usage));
  if (expected === 0) return before.reusedPermille;
  const read = Math.min(usage.cacheReadTokens + usage.cacheReadAudioTokens, expected);
  const share = Math.round((read * WHOLE_PERMILLE) / expected);
  return Math.floor(averaged(before.reusedPermille, share, REUSE_AVERAGED_CALLS));
}
