import type { NegotiatedPrices } from '../../domain/pricing/negotiated-prices.js';
import { pricesToRecord, usageFromRecord } from '../../domain/pricing/price-record.js';
import { costOf, NORMAL_TERMS, type RatingTerms } from '../../domain/pricing/rating.js';
import type { UnitPrices } from '../../domain/pricing/unit-prices.js';
import type { Usage } from '../../domain/pricing/usage.js';
import type { Provider } from '../../domain/routing/provider.js';
import {
  adjustmentEntries,
  adjustmentEntry,
  NO_BASELINE,
  type UnpricedCall,
} from '../../domain/savings/ledger-entries.js';
import type { LedgerEntry } from '../../domain/savings/ledger-entry.js';
import type { PriceBook } from '../catalog/price-book.js';

/** A call's record, as far as its prices depend on it. */
export interface RecordedTerms extends RatingTerms {
  /** Whose words the terms are. */
  readonly provider: Provider;
}

/** A routed call that waits for its price, as it is stored with its record. */
export type StoredUnpriced = UnpricedCall &
  Readonly<Record<'service_tier' | 'speed' | 'region', string | null>>;

/** What is known of prices by now. */
export interface Prices {
  /** The list of that name, as it was; null where it was not kept. */
  readonly listOf: (version: string) => PriceBook | null;
  /** Every agreement of the organization, replaced ones included. */
  readonly agreements: readonly NegotiatedPrices[];
}

/** Why an entry stays as it is, though its prices could have changed. */
export const LEFT_BECAUSE = ['no_record', 'not_reproduced', 'unpriceable'] as const;
export type LeftBecause = (typeof LEFT_BECAUSE)[number];

export type Revalued =
  | { readonly kind: 'same' }
  | { readonly kind: 'left'; readonly why: LeftBecause }
  | { readonly kind: 'corrected'; readonly pair: readonly [LedgerEntry, LedgerEntry] };

/** One side of an entry. */
interface Side {
  readonly provider: Provider;
  readonly model: string;
  readonly atMs: number;
  readonly usage: Usage;
  readonly prices: Readonly<Record<string, string>>;
  readonly version: string;
}

interface NewPrices {
  readonly prices: UnitPrices;
  readonly version: string;
}

/** `<list>+negotiated.<day>.<revision>`, as the price book names it. */
const WITH_AGREEMENT = /^(.*)\+negotiated\.(\d{4}-\d\d-\d\d)\.(\d+)$/;

/** The name of the list that prices were taken from, whether or not an agreement was laid over it. */
export function listVersionOf(priceVersion: string): string {
  return WITH_AGREEMENT.exec(priceVersion)?.[1] ?? priceVersion;
}

/**
 * Prices a standing entry by the list that it names and the agreements as they stand. Its own prices have to follow from
 * the list, the agreement and the terms that it was priced with: where they do not, not all that they depended on is
 * known, and it stays as it is.
 */
export function revalued(
  entry: LedgerEntry,
  callAtMs: number,
  record: RecordedTerms | undefined,
  prices: Prices,
  correction: { readonly atMs: number; readonly attempt: number },
): Revalued {
  if (record === undefined) return left('no_record');
  const usages = usagesOf(entry);
  if (usages === null) return left('not_reproduced');
  const isCostAlone = entry.baseline_method === NO_BASELINE;
  const served = newPrices(
    servedSide(entry, callAtMs, usages.served),
    // A failed attempt has no record of its own, and the answer's terms may not have been its terms.
    isCostAlone
      ? [NORMAL_TERMS, termsFor(entry.served_provider, record)]
      : [termsFor(entry.served_provider, record)],
    prices,
  );
  const baseline = isCostAlone
    ? { prices: {}, version: NO_BASELINE }
    : newPrices(
        baselineSide(entry, callAtMs, usages.baseline),
        [termsFor(entry.baseline_provider, record)],
        prices,
      );
  if (typeof served === 'string') return left(served);
  if (typeof baseline === 'string') return left(baseline);
  const actualNanoUsd = costOf(usages.served, served.prices);
  const baselineNanoUsd = costOf(usages.baseline, baseline.prices);
  if (
    String(actualNanoUsd) === entry.actual_nano_usd &&
    String(baselineNanoUsd) === entry.baseline_nano_usd
  ) {
    return { kind: 'same' };
  }
  const pair = adjustmentEntries(entry, usages, {
    ...correction,
    servedPrices: served.prices,
    servedPriceVersion: served.version,
    baselinePrices: baseline.prices,
    baselinePriceVersion: baseline.version,
  });
  return pair === null ? left('unpriceable') : { kind: 'corrected', pair };
}

/** The entry of a call that had no price, by the list and the agreements as they stand; null while one is missing. */
export function latePriced(
  stored: StoredUnpriced,
  list: PriceBook,
  agreements: readonly NegotiatedPrices[],
  late: { readonly atMs: number; readonly attempt: number },
): LedgerEntry | null {
  const { service_tier: serviceTier, speed, region, ...call } = stored;
  const usages = usagesOf(call);
  if (usages === null) return null;
  const record = { provider: call.served_provider, serviceTier, speed, region };
  const rated = (provider: Provider, model: string, usage: Usage) =>
    list.rate({
      ...termsFor(provider, record),
      provider,
      model,
      usage,
      atMs: call.at_ms,
      negotiated: agreements,
    });
  const ratings = {
    served: rated(call.served_provider, call.served_model, usages.served),
    baseline: rated(call.baseline_provider, call.baseline_model, usages.baseline),
  };
  return adjustmentEntry(call, usages, ratings, late);
}

function newPrices(
  side: Side,
  termsTried: readonly RatingTerms[],
  { listOf, agreements }: Prices,
): NewPrices | LeftBecause {
  const list = listOf(listVersionOf(side.version));
  if (list === null) return 'not_reproduced';
  const before = agreementsNamed(side, agreements);
  const terms = termsTried.find((tried) =>
    before.some((negotiated) => reproduces(side, list, tried, negotiated)),
  );
  if (terms === undefined) return 'not_reproduced';
  const rating = list.rate({ ...side, ...terms, negotiated: agreements });
  if (rating.kind !== 'priced') return 'unpriceable';
  return { prices: rating.frozen, version: rating.priceVersion };
}

function reproduces(
  side: Side,
  list: PriceBook,
  terms: RatingTerms,
  negotiated: readonly NegotiatedPrices[],
): boolean {
  const rating = list.rate({ ...side, ...terms, negotiated });
  return (
    rating.kind === 'priced' &&
    rating.priceVersion === side.version &&
    isSame(pricesToRecord(rating.frozen), side.prices)
  );
}

/** The agreements that the side may have been priced with, each alone: a name tells the day and not the model. */
function agreementsNamed(
  { provider, version }: Side,
  agreements: readonly NegotiatedPrices[],
): readonly (readonly NegotiatedPrices[])[] {
  const [, , day, revision] = WITH_AGREEMENT.exec(version) ?? [];
  if (day === undefined) return [[]];
  return agreements
    .filter(
      (agreement) =>
        agreement.provider === provider &&
        agreement.revision === Number(revision) &&
        agreement.effectiveFromMs === Date.parse(`${day}T00:00:00Z`),
    )
    .map((agreement) => [agreement]);
}

/** The words for tier, speed and region are the provider's own: another one's prices do not know them. */
function termsFor(provider: Provider, record: RecordedTerms): RatingTerms {
  return provider === record.provider ? record : NORMAL_TERMS;
}

function servedSide(entry: LedgerEntry, atMs: number, usage: Usage): Side {
  return {
    provider: entry.served_provider,
    model: entry.served_model,
    prices: entry.served_prices,
    version: entry.served_price_version,
    atMs,
    usage,
  };
}

function baselineSide(entry: LedgerEntry, atMs: number, usage: Usage): Side {
  return {
    provider: entry.baseline_provider,
    model: entry.baseline_model,
    prices: entry.baseline_prices,
    version: entry.baseline_price_version,
    atMs,
    usage,
  };
}

function usagesOf(entry: Pick<LedgerEntry, 'usage' | 'baseline_usage'>) {
  const served = usageFromRecord(entry.usage);
  const baseline = usageFromRecord(entry.baseline_usage);
  return served === null || baseline === null ? null : { served, baseline };
}

function isSame(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const fields = Object.keys(a);
  return fields.length === Object.keys(b).length && fields.every((field) => a[field] === b[field]);
}

function left(why: LeftBecause): Revalued {
  return { kind: 'left', why };
}
