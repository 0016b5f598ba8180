import type { NanoUsd } from '../money/nano-usd.js';
import { costOf } from './rating.js';
import { PRICE_DIMENSIONS } from './unit-prices.js';
import type { PriceDimension, UnitPrices } from './unit-prices.js';
import { NO_USAGE } from './usage.js';
import type { Usage } from './usage.js';

const USAGE_FIELDS = Object.keys(NO_USAGE) as readonly (keyof Usage)[];
const USAGE_FIELD_SET: ReadonlySet<string> = new Set(USAGE_FIELDS);
const DIMENSION_SET: ReadonlySet<string> = new Set(PRICE_DIMENSIONS);
const DECIMAL = /^(?:0|[1-9]\d{0,29})$/;

/** The `usage` of a stored record: zero fields left out. */
export function usageToRecord(usage: Usage): Record<string, number> {
  const record: Record<string, number> = {};
  for (const field of USAGE_FIELDS) if (usage[field] !== 0) record[field] = usage[field];
  return record;
}

/** The `frozen_prices` of a stored record: decimal strings, JSON has no bigint. */
export function pricesToRecord(prices: UnitPrices): Record<string, string> {
  const record: Record<string, string> = {};
  for (const dimension of PRICE_DIMENSIONS) {
    const price = prices[dimension];
    if (price !== undefined) record[dimension] = price.toString();
  }
  return record;
}

/** Null for an unknown field or a count that is not a non-negative safe integer. */
export function usageFromRecord(record: Readonly<Record<string, unknown>>): Usage | null {
  const usage: Record<string, number> = { ...NO_USAGE };
  for (const [field, value] of Object.entries(record)) {
    if (!USAGE_FIELD_SET.has(field)) return null;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) return null;
    usage[field] = value;
  }
  return usage as unknown as Usage;
}

/** Null for an unknown dimension or a price that is not a canonical decimal string. */
export function pricesFromRecord(record: Readonly<Record<string, unknown>>): UnitPrices | null {
  const prices: Partial<Record<PriceDimension, bigint>> = {};
  for (const [dimension, value] of Object.entries(record)) {
    if (!DIMENSION_SET.has(dimension)) return null;
    if (typeof value !== 'string' || !DECIMAL.test(value)) return null;
    prices[dimension as PriceDimension] = BigInt(value);
  }
  return prices;
}

/**
 * What a verifier does with a row: cost = round half even(sum of usage x frozen price / 1,000,000), over
 * all fields but `reasoningTokens`. Null where the row cannot have produced a cost.
 *
 * @param mayTakeBack an adjustment that takes an entry back has its unit prices negated, all of them
 */
export function recomputeCost(
  usageRecord: Readonly<Record<string, unknown>>,
  pricesRecord: Readonly<Record<string, unknown>>,
  mayTakeBack = false,
): NanoUsd | null {
  const usage = usageFromRecord(usageRecord);
  const prices =
    pricesFromRecord(pricesRecord) ?? (mayTakeBack ? negatedPrices(pricesRecord) : null);
  return usage === null || prices === null ? null : costOf(usage, prices);
}

function negatedPrices(record: Readonly<Record<string, unknown>>): UnitPrices | null {
  const turned = Object.entries(record).map(([dimension, price]) => [
    dimension,
    typeof price === 'string' && price !== '0' ? turn(price) : price,
  ]);
  const prices = pricesFromRecord(Object.fromEntries(turned) as Record<string, unknown>);
  if (prices === null) return null;
  return Object.fromEntries(
    Object.entries(prices).map(([dimension, price]) => [dimension, -price]),
  ) as UnitPrices;
}

/** `-5` as `5`; what was not negative is no price any more. */
function turn(price: string): string {
  return price.startsWith('-') ? price.slice(1) : `-${price}`;
}
