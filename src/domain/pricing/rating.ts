import { divideHalfEven } from '../money/nano-usd.js';
import type { NanoUsd } from '../money/nano-usd.js';
import { ONE, entryAt, pricesForPrompt } from './model-prices.js';
import type { ModelPrices, PricedWords, Ratio } from './model-prices.js';
import {
  PRICE_DIMENSIONS,
  TOKEN_DIMENSIONS,
  UNITS_PER_PRICE,
  promptTokens,
} from './unit-prices.js';
import type { PriceDimension, UnitPrices } from './unit-prices.js';
import type { Usage } from './usage.js';

/** Why a call has no cost. A closed set: it is stored, counted and shown. */
export const UNPRICEABLE_REASONS = [
  'unknown_model',
  'no_price_at_date',
  'unknown_service_tier',
  'unknown_speed',
  'unknown_region',
  'no_price_for_dimension',
] as const;
export type UnpriceableReason = (typeof UNPRICEABLE_REASONS)[number];

export interface Unpriceable {
  readonly kind: 'unpriceable';
  readonly reason: UnpriceableReason;
}

/** `frozen` are the unit prices after tier and multipliers: the cost follows from usage and them alone. */
export interface Priced {
  readonly kind: 'priced';
  readonly costNanoUsd: NanoUsd;
  readonly frozen: UnitPrices;
}

export type Rating = Priced | Unpriceable;

/** The provider's own words for the terms on which it served the call; null where it said nothing. */
export interface RatingTerms {
  readonly serviceTier: string | null;
  readonly speed: string | null;
  readonly region: string | null;
}

export const NORMAL_TERMS: RatingTerms = Object.freeze({
  serviceTier: null,
  speed: null,
  region: null,
});

export function unpriceable(reason: UnpriceableReason): Unpriceable {
  return { kind: 'unpriceable', reason };
}

/** The unit prices of one call, frozen: dated entry, whole-request tier, then the stacked multipliers. */
export function resolvePrices(
  model: ModelPrices,
  atMs: number,
  promptSizeTokens: number,
  terms: RatingTerms,
): { readonly kind: 'resolved'; readonly frozen: UnitPrices } | Unpriceable {
  const entry = entryAt(model, atMs);
  if (entry === null) return unpriceable('no_price_at_date');
  const tier = multiplier(entry.terms.serviceTier, terms.serviceTier);
  if (tier === null) return unpriceable('unknown_service_tier');
  const speed = multiplier(entry.terms.speed, terms.speed);
  if (speed === null) return unpriceable('unknown_speed');
  const region = multiplier(entry.terms.region, terms.region);
  if (region === null) return unpriceable('unknown_region');
  const prices = pricesForPrompt(entry, promptSizeTokens);
  return { kind: 'resolved', frozen: freeze(prices, tier, speed, region) };
}

/**
 * Sum of units x unit price, rounded once. Null where a used dimension has no price: what cannot be priced
 * is never 0.
 */
export function costOf(usage: Usage, frozen: UnitPrices): NanoUsd | null {
  let total = 0n;
  for (const dimension of PRICE_DIMENSIONS) {
    const units = usage[dimension];
    if (units === 0) continue;
    const price = frozen[dimension];
    if (price === undefined) return null;
    total += BigInt(units) * price;
  }
  return divideHalfEven(total, UNITS_PER_PRICE);
}

/** The price of one call: the pure heart of rating. */
export function rate(model: ModelPrices, atMs: number, usage: Usage, terms: RatingTerms): Rating {
  const resolved = resolvePrices(model, atMs, promptTokens(usage), terms);
  if (resolved.kind === 'unpriceable') return resolved;
  const costNanoUsd = costOf(usage, resolved.frozen);
  if (costNanoUsd === null) return unpriceable('no_price_for_dimension');
  return { kind: 'priced', costNanoUsd, frozen: resolved.frozen };
}

function multiplier(words: PricedWords, word: string | null): Ratio | null {
  if (word === null) return ONE;
  return words.get(word) ?? null;
}

/**
 * A fraction of a nano-USD per million units is rounded here, once, so that everything computed from the
 * frozen prices later is exact.
 */
function freeze(prices: UnitPrices, tier: Ratio, speed: Ratio, region: Ratio): UnitPrices {
  const numerator = tier.numerator * speed.numerator * region.numerator;
  const denominator = tier.denominator * speed.denominator * region.denominator;
  if (numerator === denominator) return prices;
  const frozen: Partial<Record<PriceDimension, bigint>> = { ...prices };
  for (const dimension of TOKEN_DIMENSIONS) {
    const price = prices[dimension];
    if (price !== undefined) frozen[dimension] = divideHalfEven(price * numerator, denominator);
  }
  return frozen;
}
