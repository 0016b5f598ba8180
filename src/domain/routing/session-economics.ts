import type { NanoUsd } from '../money/nano-usd.js';
import type { DatedPrices } from '../pricing/model-prices.js';
import { UNITS_PER_PRICE, type PriceDimension, type UnitPrices } from '../pricing/unit-prices.js';
import { SAME_TOKENIZER, type TokenizerRatio } from '../savings/baseline-usage.js';
import {
  cacheableTokens,
  isWarm,
  splitPrompt,
  WHOLE_PERMILLE,
  type CacheRules,
  type CacheState,
  type PromptSplit,
  type WriteTtl,
} from './session-cache.js';
import { warmSharePpm, WHOLE_PPM, type CallsToCome, type GapCounts } from './session-habits.js';

/** Where a session is at, for the call at hand. Token counts are those of the model that served it last. */
export interface SessionFacts {
  /** Of the prompt at hand, as well as it is known before the call. */
  readonly promptTokens: number;
  readonly growthTokens: number;
  /** Prompts are not expected to outgrow it; no less than the prompt at hand. */
  readonly promptTokensMax: number;
  readonly outputTokens: number;
  /** The session's gaps so far, and those of its application's sessions. */
  readonly gaps: GapCounts;
  readonly habitGaps: GapCounts;
  /** Of each prompt, what an explicit request marks to be kept. */
  readonly markedPermille: number;
  /** Of what should have been found in a warm cache, what was; an application that changes its prefix finds none. */
  readonly reusedPermille: number;
  /** The calls that may follow the one at hand. */
  readonly toCome: readonly CallsToCome[];
}

/** What a model costs for this session: list or negotiated prices after all terms, as long as the session lasts. */
export interface TargetEconomics {
  readonly prices: Pick<DatedPrices, 'prices' | 'tiers'>;
  readonly cache: CacheRules;
  /** Null where the session left nothing there. */
  readonly state: CacheState | null;
  /** Its tokenizer's tokens per token of the facts; 1 within a family. */
  readonly tokens?: TokenizerRatio;
}

const WRITE_DIMENSION = {
  '5m': 'cacheWrite5mTokens',
  '30m': 'cacheWrite30mTokens',
  '1h': 'cacheWrite1hTokens',
  '12h': 'cacheWrite12hTokens',
  free: 'inputTokens',
} as const satisfies Record<WriteTtl, PriceDimension>;

/** No prompt is larger. */
const TOKENS_MAX = 10_000_000;

/** What the calls of a session cost at one target, in nano-USD; the arrays go by the blocks of `toCome`. */
interface Course {
  readonly now: number;
  /** Of a block's calls, where the call before went here too. */
  readonly staying: readonly number[];
  /** What the first call of a block costs on top, where the one before went elsewhere. */
  readonly entering: readonly number[];
}

/**
 * What the call at hand and all that may follow it in the session are expected to cost, for each target that the call
 * at hand may go to: the sum over calls of (chance that it comes) x (prompt split by what the cache will hold x unit
 * prices + output x unit price), where the rest takes the cheapest plan: it stays, or moves to another of the targets
 * at the first call of any block. So going now is compared with going later, should the session last. A move's costs
 * are in it by themselves, as the cold prefix of its first call. The same answer length is assumed everywhere.
 *
 * An expectation, not a charge: it is reckoned in floating point and rounded once. What it came to is stored with the
 * decision, so deciding again needs none of it.
 *
 * @returns in the order of the targets; null where there is none, or a dimension that would be used has no price.
 */
export function expectedSessionsNanoUsd(
  facts: SessionFacts,
  targets: readonly (TargetEconomics | null)[],
): readonly (NanoUsd | null)[] {
  const courses = targets.map((target) => (target === null ? null : courseAt(facts, target)));
  const rest = cheapestRest(
    courses.filter((course) => course !== null),
    facts.toCome.length,
  );
  return courses.map((course) =>
    course === null ? null : BigInt(Math.round(course.now + (rest.get(course) ?? 0))),
  );
}

/** From the last block back: what follows the call at hand, by where that one goes. */
function cheapestRest(courses: readonly Course[], blocks: number): ReadonlyMap<Course, number> {
  const rest = new Map(courses.map((course) => [course, 0]));
  for (let at = blocks - 1; at >= 0; at -= 1) {
    let moving = Number.POSITIVE_INFINITY;
    for (const course of courses) {
      const here = (course.staying[at] ?? 0) + (rest.get(course) ?? 0);
      rest.set(course, here);
      moving = Math.min(moving, here + (course.entering[at] ?? 0));
    }
    for (const [course, here] of rest) if (moving < here) rest.set(course, moving);
  }
  return rest;
}

/** Null where a price is missing that would be used. */
function courseAt(facts: SessionFacts, target: TargetEconomics): Course | null {
  const { cache, state, tokens = SAME_TOKENIZER } = target;
  const growthTokens = scaled(facts.growthTokens, tokens);
  const promptTokens = scaled(facts.promptTokens, tokens);
  const promptTokensMax = scaled(facts.promptTokensMax, tokens);
  const outputTokens = scaled(facts.outputTokens, tokens);
  const promptAt = (ordinal: number): number =>
    Math.min(Math.round(promptTokens + growthTokens * ordinal), promptTokensMax);
  // The call before has left its prompt there, as far as the cache keeps such a prompt at all.
  const heldAt = (ordinal: number): number =>
    cacheableTokens(cache, promptAt(ordinal - 1), facts.markedPermille);
  const call = (prompt: number, held: number, share: number): number =>
    callCost(target, splitPrompt(cache, prompt, held, facts.markedPermille), share, outputTokens);

  const reused = facts.reusedPermille / WHOLE_PERMILLE;
  const heldNow = state !== null && isWarm(cache, state) ? state.prefixTokens : 0;
  const warmShare = (warmSharePpm(facts.gaps, facts.habitGaps, cache.ttlMs) / WHOLE_PPM) * reused;
  const now = call(promptTokens, heldNow, reused);
  const staying: number[] = [];
  const entering: number[] = [];
  for (const { ordinal, callsPpm, first, firstPpm } of facts.toCome) {
    const cost = call(promptAt(ordinal), heldAt(ordinal), warmShare);
    staying.push((cost * callsPpm) / WHOLE_PPM);
    const prompt = promptAt(first);
    const more = call(prompt, 0, 0) - call(prompt, heldAt(first), warmShare);
    entering.push((more * firstPpm) / WHOLE_PPM);
  }
  const isPriced = ![now, ...staying, ...entering].some(Number.isNaN);
  return isPriced ? { now, staying, entering } : null;
}

/** In nano-USD, where of the prefix that may be found this share is; not a number where a price is missing. */
function callCost(
  { prices, cache }: TargetEconomics,
  { plainTokens, readTokens, writtenTokens }: PromptSplit,
  foundShare: number,
  outputTokens: number,
): number {
  const unit = unitPricesFor(prices, plainTokens + readTokens + writtenTokens);
  const read = readTokens * foundShare;
  return (
    charge(unit, 'inputTokens', plainTokens) +
    charge(unit, 'cacheReadTokens', read) +
    charge(unit, WRITE_DIMENSION[cache.write], writtenTokens + readTokens - read) +
    charge(unit, 'outputTokens', outputTokens)
  );
}

/** Tiers are kept highest first, as `prepareModelPrices` leaves them. */
function unitPricesFor(
  { prices, tiers }: TargetEconomics['prices'],
  promptTokens: number,
): UnitPrices {
  for (const tier of tiers) if (promptTokens > tier.abovePromptTokens) return tier.prices;
  return prices;
}

function charge(prices: UnitPrices, dimension: PriceDimension, tokens: number): number {
  if (tokens === 0) return 0;
  const price = prices[dimension];
  return price === undefined ? Number.NaN : (tokens * Number(price)) / Number(UNITS_PER_PRICE);
}

function scaled(tokens: number, { numerator, denominator }: TokenizerRatio): number {
  const count = Math.min(Math.max(Math.round(tokens), 0), TOKENS_MAX);
  if (numerator === denominator) return count;
  return Math.min(Math.round((count * Number(numerator)) / Number(denominator)), TOKENS_MAX);
}
