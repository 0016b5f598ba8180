import type { Provider } from '../routing/provider.js';
import { entryAt, pricesForPrompt } from './model-prices.js';
import type { DatedPrices, ModelPrices, PriceTerms, PriceTier } from './model-prices.js';
import type { PriceDimension, UnitPrices } from './unit-prices.js';

/** What an organization agreed with a provider: replaces the list price of the dimensions it names. */
export interface NegotiatedPrices {
  readonly provider: Provider;
  readonly model: string;
  readonly effectiveFromMs: number;
  /** Entries are corrected by a later revision of the same date, never changed. */
  readonly revision: number;
  readonly prices: UnitPrices;
  readonly tiers: readonly PriceTier[];
}

/**
 * Dimensions that a list prices like another one (image input like text, an unpriced cache write like
 * input) keep doing so under a negotiated price that does not name them.
 */
const LIKE: readonly (readonly [PriceDimension, PriceDimension])[] = [
  ['audioInputTokens', 'inputTokens'],
  ['imageInputTokens', 'inputTokens'],
  ['cacheWrite30mTokens', 'inputTokens'],
  ['cacheWrite12hTokens', 'inputTokens'],
  ['cacheReadAudioTokens', 'cacheReadTokens'],
];

/** The agreement in force for a model, known by its catalog name or by the name on the wire. */
export function negotiatedAt(
  negotiated: readonly NegotiatedPrices[],
  provider: Provider,
  names: readonly string[],
  atMs: number,
): NegotiatedPrices | null {
  let best: NegotiatedPrices | null = null;
  for (const entry of negotiated) {
    if (entry.provider !== provider || entry.effectiveFromMs > atMs) continue;
    if (!names.includes(entry.model)) continue;
    if (best === null || isLater(entry, best)) best = entry;
  }
  return best;
}

/** Lays an agreement over the list prices in force; terms stay those of the list. */
export function overlayNegotiated(
  list: ModelPrices | null,
  agreement: NegotiatedPrices,
  atMs: number,
  termsWithoutList: PriceTerms,
): ModelPrices {
  const entry = list === null ? null : entryAt(list, atMs);
  const own: DatedPrices = {
    effectiveFromMs: agreement.effectiveFromMs,
    prices: agreement.prices,
    tiers: descending(agreement.tiers),
    terms: entry?.terms ?? termsWithoutList,
    source: 'negotiated',
  };
  if (entry === null) return { model: agreement.model, entries: [own] };
  const edges = new Set([...entry.tiers, ...own.tiers].map((tier) => tier.abovePromptTokens));
  const tiers = [...edges].map((edge) => ({
    abovePromptTokens: edge,
    prices: merge(pricesForPrompt(entry, edge + 1), pricesForPrompt(own, edge + 1)),
  }));
  const prices = merge(entry.prices, own.prices);
  return { model: agreement.model, entries: [{ ...own, prices, tiers: descending(tiers) }] };
}

function merge(list: UnitPrices, agreed: UnitPrices): UnitPrices {
  const merged: Partial<Record<PriceDimension, bigint>> = { ...list, ...agreed };
  for (const [dimension, base] of LIKE) {
    if (agreed[dimension] !== undefined || agreed[base] === undefined) continue;
    if (list[dimension] !== undefined && list[dimension] === list[base]) {
      merged[dimension] = agreed[base];
    }
  }
  return merged;
}

function descending(tiers: readonly PriceTier[]): readonly PriceTier[] {
  return [...tiers].sort((a, b) => b.abovePromptTokens - a.abovePromptTokens);
}

function isLater(a: NegotiatedPrices, b: NegotiatedPrices): boolean {
  if (a.effectiveFromMs !== b.effectiveFromMs) return a.effectiveFromMs > b.effectiveFromMs;
  return a.revision > b.revision;
}
