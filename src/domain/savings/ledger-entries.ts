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
const NO_BASELINE = 'none';

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
  | { readonly kind: 'excluded'; readonly why: Exclusion };

/** The entry of a call that was routed, or why there is none: what is not known is counted, never guessed. */
export function routedEntry(call: RoutedCall): Accounted {
  const { metering, servedRating, ratio } = call;
  if (metering === 'estimated') return excluded('estimated');
  if (metering !== 'reported') return excluded('unmetered');
  if (servedRating?.kind !== 'priced' || ratio === null) return excluded('unpriceable');
  const answer = call.baselineReasons ? call.usage : withoutReasoning(call.usage);
  const usage = baselineUsage(answer, ratio, call.cache);
  const baseline = call.rateBaseline(usage);
  if (baseline.kind !== 'priced') return excluded('unpriceable');
  const actual = sideOf(call.usage, servedRating.frozen, servedRating.priceVersion);
  const base = sideOf(usage, baseline.frozen, baseline.priceVersion);
  if (actual === null || base === null || !hasNames(call, call.served)) {
    return excluded('unpriceable');
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
 * Only a cost: its baseline is nothing. Null where it cannot be priced, or cost nothing and is not worth a line. It is
 * written for every call of the router's, one that no model served included.
 */
export function failedAttemptEntry(failed: FailedAttempt): LedgerEntry | null {
  const { rating, usage, tried } = failed;
  if (rating.kind !== 'priced') return null;
  const actual = sideOf(usage, rating.frozen, rating.priceVersion);
  if (actual === null || actual.nanoUsd === 0n || !hasNames(failed, tried)) return null;
  return entryOf(failed, 'failed_attempt', failed.attempt, tried, actual, NOTHING);
}

/** What an adjustment says instead: prices learned late, or found wrong. */
export interface Correction {
  readonly atMs: number;
  /** The first free number among the adjustments of this request. */
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

/** The entry of a routed call that could not be priced when it was made: complete in itself, dated when it was learned. */
export function adjustmentEntry(
  call: RoutedCall,
  late: { readonly atMs: number; readonly attempt: number },
): Accounted {
  const accounted = routedEntry(call);
  if (accounted.kind === 'excluded') return accounted;
  const { attempt, atMs } = late;
  const entry: LedgerEntry = { ...accounted.entry, kind: 'adjustment', attempt, at_ms: atMs };
  return { kind: 'entry', entry };
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
function sideOf(usage: Usage, prices: UnitPrices, version: string): Side | null {
  const nanoUsd = costOf(usage, prices);
  if (nanoUsd === null) return null;
  return { usage: usageToRecord(usage), prices: pricesToRecord(prices), version, nanoUsd };
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
    org_id: call.orgId,
    request_id: call.requestId,
    kind,
    attempt,
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
