import { pricesToRecord, usageToRecord } from '../pricing/price-record.js';
import { costOf, type Rating } from '../pricing/rating.js';
import type { UnitPrices } from '../pricing/unit-prices.js';
import { NO_USAGE, type Usage } from '../pricing/usage.js';
import type { Target } from '../routing/decision.js';
import {
  BASELINE_METHOD,
  baselineUsage,
  withoutReasoning,
  type BaselineCache,
  type TokenizerRatio,
} from './baseline-usage.js';
import type { DecisionSource, Exclusion, LedgerEntry } from './ledger-entry.js';

/** What the price list said, and which list it was. */
export type VersionedRating = Rating & { readonly priceVersion: string };

/** Stands where an entry has no baseline. */
export const NO_BASELINE = 'none';

/** What a model's name looks like; the ledger takes nothing else, and a record is not lost on its account. */
const NAME = /^[\w.:/@+-]{1,200}$/;

/** What every entry of a call has in common. */
export interface LedgerCall {
  readonly orgId: string;
  readonly requestId: string;
  readonly projectId: string;
  readonly atMs: number;
  readonly synthetic: boolean;
  /** The client asked for `shunt/auto`. */
  readonly auto: boolean;
  readonly source: DecisionSource;
  /** `RoutingInputs.version`. */
  readonly rulesVersion: string;
  /** What the client asked for; for `shunt/auto` the project's default model. */
  readonly baseline: Target;
}

/** A call that the router's own decision served. */
export interface RoutedCall extends LedgerCall {
  readonly served: Target;
  readonly metering: 'reported' | 'estimated' | 'unmetered' | 'not_applicable';
  /** As the provider reported it. */
  readonly usage: Usage;
  readonly servedRating: VersionedRating | null;
  /** `tokenizerRatio(baseline, served)`; null where it is not known. */
  readonly ratio: TokenizerRatio | null;
  readonly cache: BaselineCache;
  /** False where the baseline model would not have reasoned about this call: see `withoutReasoning`. */
  readonly baselineReasons: boolean;
  /** Prices a usage as the baseline model's, at the time and on the terms of the call. */
  rateBaseline(usage: Usage): VersionedRating;
}

export type Accounted =
  | { readonly kind: 'entry'; readonly entry: LedgerEntry }
  /** `unpriced` where nothing but a price is missing: it may be learned late. */
  | { readonly kind: 'excluded'; readonly why: Exclusion; readonly unpriced?: UnpricedCall };

/** The entry of a routed call but for its prices, and what follows from them. */
export type UnpricedCall = Omit<
  LedgerEntry,
  | 'kind'
  | 'attempt'
  | 'served_prices'
  | 'served_price_version'
  | 'actual_nano_usd'
  | 'baseline_prices'
  | 'baseline_price_version'
  | 'baseline_nano_usd'
  | 'savings_nano_usd'
>;

/** The entry of a call that was routed, or why there is none: what is not known is counted, never guessed. */
export function routedEntry(call: RoutedCall): Accounted {
  const { metering, servedRating, ratio } = call;
  if (metering === 'estimated') return excluded('estimated');
  if (metering !== 'reported') return excluded('unmetered');
  if (ratio === null || !hasNames(call, call.served)) return excluded('unpriceable');
  const answer = call.baselineReasons ? call.usage : withoutReasoning(call.usage);
  const usage = baselineUsage(answer, ratio, call.cache);
  const actual = sideOf(call.usage, servedRating);
  const base = sideOf(usage, call.rateBaseline(usage));
  if (actual === null || base === null) {
    return { kind: 'excluded', why: 'unpriceable', unpriced: unpricedOf(call, usage) };
  }
  return {
    kind: 'entry',
    entry: entryOf(call, 'routed', 0, call.served, actual, { ...base, method: BASELINE_METHOD }),
  };
}

/** An attempt that failed, and cost something, before the one that served. */
export interface FailedAttempt extends LedgerCall {
  /** 0 for the first attempt of the call. */
  readonly attempt: number;
  readonly tried: Target;
  readonly usage: Usage;
  readonly rating: VersionedRating;
}

/**
 * Only a cost: its baseline is nothing. Null where it cannot be priced, `free` where it cost nothing and is not worth a
 * line. It is written for every call of the router's, one that no model served included.
 */
export function failedAttemptEntry(failed: FailedAttempt): LedgerEntry | 'free' | null {
  const { rating, usage, tried } = failed;
  const actual = sideOf(usage, rating);
  if (actual === null || !hasNames(failed, tried)) return null;
  if (actual.nanoUsd === 0n) return 'free';
  return entryOf(failed, 'failed_attempt', failed.attempt, tried, actual, NOTHING);
}

/** What an adjustment says instead: prices learned late, or found wrong. */
export interface Correction {
  readonly atMs: number;
  /** Even, and the next one is free too: among the adjustments of a request even numbers take back, odd ones say. */
  readonly attempt: number;
  readonly servedPrices: UnitPrices;
  readonly servedPriceVersion: string;
  readonly baselinePrices: UnitPrices;
  readonly baselinePriceVersion: string;
}

/**
 * Corrects an entry that is in the ledger, which stays as it is: one entry takes it back, with its unit prices negated,
 * and one says it anew. Two, because each is then complete in itself, and the sum is exact: one cost rounded off from
 * the difference of two prices is not the difference of two costs. Null where the new prices lack a dimension.
 */
export function adjustmentEntries(
  original: LedgerEntry,
  usages: { readonly served: Usage; readonly baseline: Usage },
  correction: Correction,
): readonly [LedgerEntry, LedgerEntry] | null {
  const actual = costOf(usages.served, correction.servedPrices);
  const baseline = costOf(usages.baseline, correction.baselinePrices);
  if (actual === null || baseline === null) return null;
  const common = { ...original, kind: 'adjustment', at_ms: correction.atMs } as const;
  return [
    {
      ...common,
      attempt: correction.attempt,
      served_prices: negated(original.served_prices),
      baseline_prices: negated(original.baseline_prices),
      actual_nano_usd: String(-BigInt(original.actual_nano_usd)),
      baseline_nano_usd: String(-BigInt(original.baseline_nano_usd)),
      savings_nano_usd: String(-BigInt(original.savings_nano_usd)),
    },
    {
      ...common,
      attempt: correction.attempt + 1,
      ...amounts(actual, baseline),
      served_prices: pricesToRecord(correction.servedPrices),
      served_price_version: correction.servedPriceVersion,
      baseline_prices: pricesToRecord(correction.baselinePrices),
      baseline_price_version: correction.baselinePriceVersion,
    },
  ];
}

/**
 * The entry of a routed call that could not be priced when it was made: complete in itself, dated when the prices were
 * learned. Null while one of them is missing.
 */
export function adjustmentEntry(
  { at_ms: _callAtMs, ...call }: UnpricedCall,
  usages: { readonly served: Usage; readonly baseline: Usage },
  ratings: { readonly served: VersionedRating; readonly baseline: VersionedRating },
  late: { readonly atMs: number; readonly attempt: number },
): LedgerEntry | null {
  const actual = sideOf(usages.served, ratings.served);
  const base = sideOf(usages.baseline, ratings.baseline);
  if (actual === null || base === null) return null;
  return {
    ...call,
    kind: 'adjustment',
    attempt: late.attempt,
    at_ms: late.atMs,
    served_prices: actual.prices,
    served_price_version: actual.version,
    baseline_prices: base.prices,
    baseline_price_version: base.version,
    ...amounts(actual.nanoUsd, base.nanoUsd),
  };
}

interface Side {
  readonly usage: Readonly<Record<string, number>>;
  readonly prices: Readonly<Record<string, string>>;
  readonly version: string;
  readonly nanoUsd: bigint;
}

const NOTHING: Side & { readonly method: string } = {
  usage: usageToRecord(NO_USAGE),
  prices: {},
  version: NO_BASELINE,
  nanoUsd: 0n,
  method: NO_BASELINE,
};

/** Computed anew from what is stored, so that what stands beside it is what it follows from. */
function sideOf(usage: Usage, rating: VersionedRating | null): Side | null {
  if (rating?.kind !== 'priced') return null;
  const nanoUsd = costOf(usage, rating.frozen);
  if (nanoUsd === null) return null;
  const prices = pricesToRecord(rating.frozen);
  return { usage: usageToRecord(usage), prices, version: rating.priceVersion, nanoUsd };
}

function unpricedOf(call: RoutedCall, baseline: Usage): UnpricedCall {
  return {
    ...factsOf(call, call.served),
    usage: usageToRecord(call.usage),
    baseline_usage: usageToRecord(baseline),
    baseline_method: BASELINE_METHOD,
  };
}

function entryOf(
  call: LedgerCall,
  kind: LedgerEntry['kind'],
  attempt: number,
  served: Target,
  actual: Side,
  base: Side & { readonly method: string },
): LedgerEntry {
  return {
    ...factsOf(call, served),
    kind,
    attempt,
    usage: actual.usage,
    served_prices: actual.prices,
    served_price_version: actual.version,
    baseline_usage: base.usage,
    baseline_method: base.method,
    baseline_prices: base.prices,
    baseline_price_version: base.version,
    ...amounts(actual.nanoUsd, base.nanoUsd),
  };
}

function factsOf(call: LedgerCall, served: Target) {
  return {
    org_id: call.orgId,
    request_id: call.requestId,
    at_ms: call.atMs,
    project_id: call.projectId,
    synthetic: call.synthetic,
    auto: call.auto,
    decision_source: call.source,
    decision_id: `${call.requestId}:${call.rulesVersion}`,
    baseline_provider: call.baseline.provider,
    baseline_model: call.baseline.model,
    served_provider: served.provider,
    served_model: served.model,
  };
}

function amounts(actual: bigint, baseline: bigint) {
  return {
    actual_nano_usd: actual.toString(),
    baseline_nano_usd: baseline.toString(),
    savings_nano_usd: (baseline - actual).toString(),
  };
}

function negated(prices: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(prices).map(([dimension, price]) => [dimension, String(-BigInt(price))]),
  );
}

function hasNames(call: LedgerCall, served: Target): boolean {
  return NAME.test(call.baseline.model) && NAME.test(served.model) && NAME.test(call.rulesVersion);
}

function excluded(why: Exclusion): Accounted {
  return { kind: 'excluded', why };
}
