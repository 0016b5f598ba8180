import { parseUsd } from '../../../domain/money/nano-usd.js';
import type { DatedPrices, PriceTerms } from '../../../domain/pricing/model-prices.js';
import type { PriceDimension, UnitPrices } from '../../../domain/pricing/unit-prices.js';

/** Exact decimal dollars per million tokens, or per thousand calls for the tools. */
export interface UsdPrices {
  readonly input?: string;
  readonly cacheRead?: string;
  readonly cacheReadAudio?: string;
  readonly cacheWrite5m?: string;
  readonly cacheWrite30m?: string;
  readonly cacheWrite1h?: string;
  readonly cacheWrite12h?: string;
  readonly audioInput?: string;
  readonly imageInput?: string;
  readonly output?: string;
  readonly audioOutput?: string;
  readonly imageOutput?: string;
  readonly webSearchPerThousand?: string;
  readonly webFetchPerThousand?: string;
}

export interface UsdTier {
  readonly abovePromptTokens: number;
  readonly usd: UsdPrices;
}

/** One price list of a model. `from` is an ISO date (midnight UTC), or null for "as long as it exists". */
export interface OverlayEntry {
  readonly from: string | null;
  readonly usd: UsdPrices;
  readonly tiers?: readonly UsdTier[];
  readonly source: string;
}

/** A model that the library lacks, or states wrongly; it replaces the library's as a whole. */
export interface OverlayModel {
  readonly id: string;
  readonly aliases?: readonly string[];
  readonly entries: readonly OverlayEntry[];
  readonly terms: PriceTerms;
}

const THOUSANDS_PER_MILLION = 1000n;

const DIMENSION_OF: Readonly<Record<keyof UsdPrices, PriceDimension>> = {
  input: 'inputTokens',
  cacheRead: 'cacheReadTokens',
  cacheReadAudio: 'cacheReadAudioTokens',
  cacheWrite5m: 'cacheWrite5mTokens',
  cacheWrite30m: 'cacheWrite30mTokens',
  cacheWrite1h: 'cacheWrite1hTokens',
  cacheWrite12h: 'cacheWrite12hTokens',
  audioInput: 'audioInputTokens',
  imageInput: 'imageInputTokens',
  output: 'outputTokens',
  audioOutput: 'audioOutputTokens',
  imageOutput: 'imageOutputTokens',
  webSearchPerThousand: 'webSearchCalls',
  webFetchPerThousand: 'webFetchCalls',
};

const PER_THOUSAND: ReadonlySet<string> = new Set<keyof UsdPrices>([
  'webSearchPerThousand',
  'webFetchPerThousand',
]);

/** Nano-USD per million units. Throws on an amount that is not exact: the overlay is our own source. */
export function unitPricesOf(usd: UsdPrices): UnitPrices {
  const prices: Partial<Record<PriceDimension, bigint>> = {};
  for (const [name, text] of Object.entries(usd) as [keyof UsdPrices, string][]) {
    const amount = parseUsd(text);
    if (amount === null || amount < 0n) throw new Error(`overlay price ${name}: ${text}`);
    prices[DIMENSION_OF[name]] = PER_THOUSAND.has(name) ? amount * THOUSANDS_PER_MILLION : amount;
  }
  return prices;
}

export function datedPricesOf(entry: OverlayEntry, terms: PriceTerms): DatedPrices {
  const effectiveFromMs = entry.from === null ? 0 : Date.parse(`${entry.from}T00:00:00Z`);
  if (Number.isNaN(effectiveFromMs)) throw new Error(`overlay date: ${entry.from}`);
  return {
    effectiveFromMs,
    prices: unitPricesOf(entry.usd),
    tiers: (entry.tiers ?? []).map((tier) => ({
      abovePromptTokens: tier.abovePromptTokens,
      prices: unitPricesOf(tier.usd),
    })),
    terms,
    source: entry.source,
  };
}
