import { divideHalfEven, type NanoUsd } from '../money/nano-usd.js';
import type { DatedPrices } from '../pricing/model-prices.js';
import { UNITS_PER_PRICE, type PriceDimension, type UnitPrices } from '../pricing/unit-prices.js';
import { SAME_TOKENIZER, type TokenizerRatio } from '../savings/baseline-usage.js';
import {
  isWarm,
  splitPrompt,
  WHOLE_PERMILLE,
  type CacheRules,
  type CacheState,
  type WriteTtl,
} from './session-cache.js';
import { warmSharePpm, WHOLE_PPM, type CallsToCome, type GapCounts } from './session-habits.js';

/** Where a session is at, for the call at hand. Token counts are those of the model that served it last. */
export interface SessionFacts {
  /** Of the prompt at hand, as well as it is known before the call. */
  readonly promptTokens: number;
  readonly growthTokens: number;
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

/** What of a whole call weighs, in ppm. */
interface WeightedCall {
  readonly promptTokens: number;
  readonly warmTokens: number;
  readonly outputTokens: number;
  readonly weightPpm: number;
}

const WRITE_DIMENSION = {
  '5m': 'cacheWrite5mTokens',
  '30m': 'cacheWrite30mTokens',
  '1h': 'cacheWrite1hTokens',
  '12h': 'cacheWrite12hTokens',
  free: 'inputTokens',
} as const satisfies Record<WriteTtl, PriceDimension>;

/** No prompt is larger; keeps weighted sums of tokens exact. */
const TOKENS_MAX = 10_000_000;

/**
 * What the call at hand and all that may follow it in the session are expected to cost, if all of them go to this
 * target: the sum over calls of (chance that it comes) x (prompt split by what the cache will hold x unit prices +
 * output x unit price). A switch's costs are in it by themselves, as the cold prefix of the call at hand. The same
 * answer length is assumed everywhere. Counts and weights are integers; the money is rounded once, half to even.
 *
 * @returns null where a dimension that would be used has no price.
 */
export function expectedSessionNanoUsd(
  facts: SessionFacts,
  target: TargetEconomics,
): NanoUsd | null {
  let total = 0n;
  for (const call of expectedCalls(facts, target)) {
    const cost = weightedCost(call, target, facts.markedPermille);
    if (cost === null) return null;
    total += cost;
  }
  return divideHalfEven(total, UNITS_PER_PRICE * BigInt(WHOLE_PPM));
}

function* expectedCalls(
  facts: SessionFacts,
  { cache, state, tokens = SAME_TOKENIZER }: TargetEconomics,
): Generator<WeightedCall> {
  const promptTokens = scaled(facts.promptTokens, tokens);
  const growthTokens = scaled(facts.growthTokens, tokens);
  const outputTokens = scaled(facts.outputTokens, tokens);
  const reusedPpm = facts.reusedPermille * (WHOLE_PPM / WHOLE_PERMILLE);
  const warmNow = state !== null && isWarm(cache, state);
  yield* warmAndCold(
    { promptTokens, outputTokens, warmTokens: warmNow ? state.prefixTokens : 0 },
    WHOLE_PPM,
    warmNow ? reusedPpm : 0,
  );
  const keptPpm = warmSharePpm(facts.gaps, facts.habitGaps, cache.ttlMs);
  const warmPpm = Math.round((keptPpm * facts.reusedPermille) / WHOLE_PERMILLE);
  for (const { ordinal, callsPpm } of facts.toCome) {
    const prompt = bounded(promptTokens + growthTokens * ordinal);
    // The call before has left its prompt there, as far as the cache keeps such a prompt at all.
    const before = bounded(promptTokens + growthTokens * (ordinal - 1));
    const held = splitPrompt(cache, before, 0, facts.markedPermille).writtenTokens;
    yield* warmAndCold({ promptTokens: prompt, outputTokens, warmTokens: held }, callsPpm, warmPpm);
  }
}

/** A call that finds its prefix warm with some chance is two: one that does, and one that does not. */
function* warmAndCold(
  call: Omit<WeightedCall, 'weightPpm'>,
  weightPpm: number,
  warmPpm: number,
): Generator<WeightedCall> {
  const weightWarm = Math.round(weightPpm * (warmPpm / WHOLE_PPM));
  if (weightWarm > 0) yield { ...call, weightPpm: weightWarm };
  if (weightWarm < weightPpm) {
    yield { ...call, warmTokens: 0, weightPpm: weightPpm - weightWarm };
  }
}

/** In nano-USD per million units, times a million for the weight. */
function weightedCost(
  call: WeightedCall,
  { prices, cache }: TargetEconomics,
  markedPermille: number,
): bigint | null {
  const { promptTokens, warmTokens, outputTokens, weightPpm } = call;
  const frozen = unitPricesFor(prices, promptTokens);
  const split = splitPrompt(cache, promptTokens, warmTokens, markedPermille);
  const plain = charge(frozen, 'inputTokens', split.plainTokens);
  const read = charge(frozen, 'cacheReadTokens', split.readTokens);
  const written = charge(frozen, WRITE_DIMENSION[cache.write], split.writtenTokens);
  const output = charge(frozen, 'outputTokens', outputTokens);
  if (plain === null || read === null || written === null || output === null) return null;
  return (plain + read + written + output) * BigInt(weightPpm);
}

/** Tiers are kept highest first, as `prepareModelPrices` leaves them. */
function unitPricesFor(
  { prices, tiers }: TargetEconomics['prices'],
  promptTokens: number,
): UnitPrices {
  for (const tier of tiers) if (promptTokens > tier.abovePromptTokens) return tier.prices;
  return prices;
}

function charge(prices: UnitPrices, dimension: PriceDimension, tokens: number): bigint | null {
  if (tokens === 0) return 0n;
  const price = prices[dimension];
  return price === undefined ? null : BigInt(tokens) * price;
}

function scaled(tokens: number, { numerator, denominator }: TokenizerRatio): number {
  const count = bounded(tokens);
  if (numerator === denominator) return count;
  return bounded(Number((BigInt(count) * numerator * 2n + denominator) / (denominator * 2n)));
}

function bounded(tokens: number): number {
  return Math.min(Math.max(Math.round(tokens), 0), TOKENS_MAX);
}
