import { findProvider } from '@pydantic/genai-prices';
import type { MatchLogic, ModelInfo, ModelPrice, TieredPrices } from '@pydantic/genai-prices';
import type { DatedPrices, PriceTerms } from '../../../domain/pricing/model-prices.js';
import type { PriceDimension, UnitPrices } from '../../../domain/pricing/unit-prices.js';
import type { Provider } from '../../../domain/routing/provider.js';

export interface LibraryModel {
  readonly id: string;
  readonly match: MatchLogic;
  readonly contextTokens: number | undefined;
  readonly entries: readonly DatedPrices[];
}

/** Lays a provider's own rules over the plain prices of one tier. */
export type PriceCompletion = (modelId: string, prices: UnitPrices) => UnitPrices;

type PriceKey = readonly [key: string, dimension: PriceDimension, scale: number];

const NANO_PER_USD = 1e9;
const PER_THOUSAND_TO_PER_MILLION = 1000;

const KEYS: readonly PriceKey[] = [
  ['input_mtok', 'inputTokens', 1],
  ['cache_read_mtok', 'cacheReadTokens', 1],
  ['cache_audio_read_mtok', 'cacheReadAudioTokens', 1],
  ['cache_write_1h_mtok', 'cacheWrite1hTokens', 1],
  ['input_audio_mtok', 'audioInputTokens', 1],
  ['input_image_mtok', 'imageInputTokens', 1],
  ['output_mtok', 'outputTokens', 1],
  ['output_audio_mtok', 'audioOutputTokens', 1],
  ['output_image_mtok', 'imageOutputTokens', 1],
  ['web_searches_kcount', 'webSearchCalls', PER_THOUSAND_TO_PER_MILLION],
];

/** The library says "cache write" without a time to live: it is each provider's shortest. */
const CACHE_WRITE: Readonly<Record<Provider, PriceDimension | null>> = {
  openai: 'cacheWrite30mTokens',
  anthropic: 'cacheWrite5mTokens',
  google: null,
  groq: null,
};

/** OpenAI's published edge is "more than 272K"; the library spells it 271,999 for some models. */
const EDGES: Readonly<Record<number, number>> = { 271_999: 272_000 };

export const LIBRARY_SOURCE = 'genai-prices 0.1.8';

/** The library's models of a provider, in integers; models that it prices in other units have no prices. */
export function libraryModels(
  provider: Provider,
  termsOf: (modelId: string) => PriceTerms,
  complete: PriceCompletion,
): readonly LibraryModel[] {
  const data = findProvider({ providerId: provider });
  if (data === undefined) throw new Error(`genai-prices has no provider ${provider}`);
  return data.models
    .filter((model) => !(provider === 'google' && model.id.startsWith('claude')))
    .map((model) => ({
      id: model.id.toLowerCase(),
      match: model.match,
      contextTokens: model.context_window,
      entries: entriesOf(provider, model, termsOf(model.id), complete),
    }));
}

function entriesOf(
  provider: Provider,
  model: ModelInfo,
  terms: PriceTerms,
  complete: PriceCompletion,
): DatedPrices[] {
  const dated = Array.isArray(model.prices) ? model.prices : [{ prices: model.prices }];
  return dated.map((conditional) => {
    const edges = tierEdges(conditional.prices);
    const at = (promptSizeTokens: number): UnitPrices =>
      complete(model.id, pricesAt(provider, conditional.prices, promptSizeTokens));
    return {
      effectiveFromMs: startMs(model.id, conditional),
      prices: at(0),
      tiers: edges.map((edge) => ({
        abovePromptTokens: EDGES[edge] ?? edge,
        prices: at(edge + 1),
      })),
      terms,
      source: LIBRARY_SOURCE,
    };
  });
}

function startMs(modelId: string, conditional: { constraint?: unknown }): number {
  const constraint = conditional.constraint as { type: string; start_date: string } | undefined;
  if (constraint === undefined) return 0;
  // Prices by the hour of the day exist for other providers only; a new kind must not be read wrongly.
  if (constraint.type !== 'start_date') throw new Error(`price constraint of ${modelId}`);
  return Date.parse(constraint.start_date);
}

function tierEdges(price: ModelPrice): number[] {
  const edges = new Set<number>();
  for (const value of Object.values(price)) {
    if (typeof value === 'object') for (const tier of value.tiers) edges.add(tier.start);
  }
  return [...edges];
}

function pricesAt(provider: Provider, price: ModelPrice, promptSizeTokens: number): UnitPrices {
  const prices: Partial<Record<PriceDimension, bigint>> = {};
  for (const [key, dimension, scale] of KEYS) {
    const value = price[key];
    if (value !== undefined) prices[dimension] = nanoUsd(value, promptSizeTokens) * BigInt(scale);
  }
  const write = CACHE_WRITE[provider];
  const writePrice = price['cache_write_mtok'];
  if (write !== null && writePrice !== undefined) {
    prices[write] = nanoUsd(writePrice, promptSizeTokens);
  }
  return prices;
}

/** The one place where a float becomes money: rounded to the nearest nano-USD. */
function nanoUsd(price: number | TieredPrices, promptSizeTokens: number): bigint {
  return BigInt(Math.round(dollars(price, promptSizeTokens) * NANO_PER_USD));
}

function dollars(price: number | TieredPrices, promptSizeTokens: number): number {
  if (typeof price === 'number') return price;
  let current = price.base;
  for (const tier of [...price.tiers].sort((a, b) => a.start - b.start)) {
    if (promptSizeTokens > tier.start) current = tier.price;
  }
  return current;
}
