import type { UnitPrices } from './unit-prices.js';

/** An exact rational, so that 1.1x is 11/10 and not a float. */
export interface Ratio {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

export const ONE: Ratio = Object.freeze({ numerator: 1n, denominator: 1n });

/** The words that have a price, each with its multiplier; the normal words are there with `ONE`. */
export type PricedWords = ReadonlyMap<string, Ratio>;

/** Multipliers of token prices. They stack. A word that is missing has no price. */
export interface PriceTerms {
  readonly serviceTier: PricedWords;
  readonly speed: PricedWords;
  readonly region: PricedWords;
}

/** Replaces the base prices for a whole request whose prompt has more than so many tokens. */
export interface PriceTier {
  readonly abovePromptTokens: number;
  readonly prices: UnitPrices;
}

/** What a model costs from an instant on, until the next entry. */
export interface DatedPrices {
  readonly effectiveFromMs: number;
  readonly prices: UnitPrices;
  readonly tiers: readonly PriceTier[];
  readonly terms: PriceTerms;
  readonly source: string;
}

/** One model's prices, prepared for look-up: newest entry first, and in it the highest tier first. */
export interface ModelPrices {
  readonly model: string;
  readonly entries: readonly DatedPrices[];
}

/** Puts entries and tiers, given in any order, in the order that look-ups rely on. */
export function prepareModelPrices(model: string, entries: readonly DatedPrices[]): ModelPrices {
  return {
    model,
    entries: entries
      .map((entry) => ({
        ...entry,
        tiers: [...entry.tiers].sort((a, b) => b.abovePromptTokens - a.abovePromptTokens),
      }))
      .sort((a, b) => b.effectiveFromMs - a.effectiveFromMs),
  };
}

/** The entry in force at an instant, or null before the first one. */
export function entryAt(prices: ModelPrices, atMs: number): DatedPrices | null {
  for (const entry of prices.entries) if (entry.effectiveFromMs <= atMs) return entry;
  return null;
}

/** The unit prices of a whole request with a prompt of this size. */
export function pricesForPrompt(entry: DatedPrices, promptSizeTokens: number): UnitPrices {
  for (const tier of entry.tiers) if (promptSizeTokens > tier.abovePromptTokens) return tier.prices;
  return entry.prices;
}
