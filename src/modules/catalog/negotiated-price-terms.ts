import { formatUsd, parseUsd, type NanoUsd } from '../../domain/money/nano-usd.js';
import type { PriceTier } from '../../domain/pricing/model-prices.js';
import { negotiatedAt, type NegotiatedPrices } from '../../domain/pricing/negotiated-prices.js';
import {
  PRICE_DIMENSIONS,
  type PriceDimension,
  type UnitPrices,
} from '../../domain/pricing/unit-prices.js';

/** What people write and read of prices, at the command line and in the dashboard alike. */
export const PRICE_UNIT = 'Dollars per million tokens, of searches and fetches per million calls';

/** What prices are called outside: options of commands; the dashboard's API writes them with underscores. */
export const PRICE_NAMES: Readonly<Record<PriceDimension, string>> = {
  inputTokens: 'input',
  cacheReadTokens: 'cache-read',
  cacheReadAudioTokens: 'cache-read-audio',
  cacheWrite5mTokens: 'cache-write-5m',
  cacheWrite30mTokens: 'cache-write-30m',
  cacheWrite1hTokens: 'cache-write-1h',
  cacheWrite12hTokens: 'cache-write-12h',
  audioInputTokens: 'audio-input',
  imageInputTokens: 'image-input',
  outputTokens: 'output',
  audioOutputTokens: 'audio-output',
  imageOutputTokens: 'image-output',
  webSearchCalls: 'web-search',
  webFetchCalls: 'web-fetch',
};

export const PRICED_MODEL_CHARS_MAX = 200;
/** A dollar a token: anything above is an amount in the wrong unit. */
const PRICE_NANO_USD_MAX = parseUsd('1000000') ?? 0n;
const DAY = /^20\d\d-\d\d-\d\d$/;

export type ReadPrice =
  | { readonly kind: 'price'; readonly nanoUsd: NanoUsd }
  | { readonly kind: 'not_an_amount' }
  /** More than a dollar for each: meant in another unit. */
  | { readonly kind: 'too_much' };

/** Dollars per million as people write them: exact, `1.20`, up to nine decimals. */
export function readPrice(text: string): ReadPrice {
  const price = parseUsd(text);
  if (price === null || price < 0n) return { kind: 'not_an_amount' };
  return price > PRICE_NANO_USD_MAX ? { kind: 'too_much' } : { kind: 'price', nanoUsd: price };
}

/** The beginning (UTC) of a day such as `2026-12-01`; null for what is none, such as a 30th of February. */
export function readDay(text: string): number | null {
  const startMs = DAY.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  // A 30th of February is read as one of March.
  return !Number.isNaN(startMs) && formatDay(startMs) === text ? startMs : null;
}

export function formatDay(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 10);
}

/** Prices by their names, as exact dollars per million; those that are not there are left out. */
export function namedPrices(prices: UnitPrices): Readonly<Record<string, string>> {
  return Object.fromEntries(
    PRICE_DIMENSIONS.flatMap((dimension) => {
      const price = prices[dimension];
      return price === undefined ? [] : [[PRICE_NAMES[dimension], formatUsd(price)]];
    }),
  );
}

/** From the smallest prompts on. */
export function tiersOf(entry: {
  readonly prices: UnitPrices;
  readonly tiers: readonly PriceTier[];
}): PriceTier[] {
  const tiers = entry.tiers.toSorted((a, b) => a.abovePromptTokens - b.abovePromptTokens);
  return [{ abovePromptTokens: 0, prices: entry.prices }, ...tiers];
}

export type AgreementState = 'in force' | 'to come' | 'replaced';

/** What has become of an entry; `all` are the entries of its organization. */
export function agreementState<Agreement extends NegotiatedPrices>(
  agreement: Agreement,
  all: readonly Agreement[],
  nowMs: number,
): AgreementState {
  const { provider, model, effectiveFromMs } = agreement;
  const atMs = Math.max(nowMs, effectiveFromMs);
  if (negotiatedAt(all, provider, [model], atMs) !== agreement) return 'replaced';
  return effectiveFromMs > nowMs ? 'to come' : 'in force';
}
