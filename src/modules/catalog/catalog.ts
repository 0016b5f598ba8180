import { createHash } from 'node:crypto';
import type { MatchLogic } from '@pydantic/genai-prices';
import { prepareModelPrices } from '../../domain/pricing/model-prices.js';
import type {
  DatedPrices,
  ModelPrices,
  PricedWords,
  PriceTerms,
} from '../../domain/pricing/model-prices.js';
import { pricesToRecord } from '../../domain/pricing/price-record.js';
import { PROVIDERS } from '../../domain/routing/provider.js';
import type { Provider } from '../../domain/routing/provider.js';
import { libraryModels } from './library/library-models.js';
import { COMPLETIONS } from './library/price-completion.js';
import { ANTHROPIC_OVERLAY } from './overlay/anthropic.js';
import { ANTHROPIC_FAST, OPENAI_PRIORITY } from './overlay/faster-service.js';
import { GOOGLE_OVERLAY } from './overlay/google.js';
import { GROQ_OVERLAY } from './overlay/groq.js';
import { MODEL_FACTS } from './overlay/model-facts.js';
import type { ModelFacts } from './overlay/model-facts.js';
import { OPENAI_OVERLAY } from './overlay/openai.js';
import { datedPricesOf } from './overlay/overlay-model.js';
import type { OverlayModel } from './overlay/overlay-model.js';
import {
  ANTHROPIC_TERMS,
  GOOGLE_TERMS,
  GROQ_TERMS,
  OPENAI_TERMS,
  anthropicTerms,
  openaiTerms,
} from './overlay/price-terms.js';

export interface CatalogModel {
  readonly id: string;
  readonly prices: ModelPrices;
  readonly facts: ModelFacts;
  /** Names that mean this model, beside its id. */
  readonly aliases: readonly string[];
  /** The library's matching, for models that it knows. */
  readonly match: MatchLogic | null;
}

/** Everything that is known of prices, as of one day. `version` changes with any of it. */
export interface Catalog {
  readonly version: string;
  readonly models: Readonly<Record<Provider, ReadonlyMap<string, CatalogModel>>>;
  /** Terms of a provider in general, for a model that only a negotiated price knows. */
  readonly terms: Readonly<Record<Provider, PriceTerms>>;
}

/** One row of a price version: one tier of one dated entry; amounts are decimal strings. */
export interface CatalogRow {
  readonly provider: Provider;
  readonly model: string;
  readonly effective_from: string;
  /** 0 for the base prices. */
  readonly above_prompt_tokens: number;
  readonly prices: Readonly<Record<string, string>>;
  readonly terms: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly source: string;
}

/** The day on which the overlay was last compared with the providers' pages. */
const AS_OF = '2026-11-20';
const VERSION_HASH_DIGITS = 12;

const OVERLAYS: Readonly<Record<Provider, readonly OverlayModel[]>> = {
  openai: OPENAI_OVERLAY,
  anthropic: ANTHROPIC_OVERLAY,
  google: GOOGLE_OVERLAY,
  groq: GROQ_OVERLAY,
};

const TERMS: Readonly<Record<Provider, PriceTerms>> = {
  openai: OPENAI_TERMS,
  anthropic: ANTHROPIC_TERMS,
  google: GOOGLE_TERMS,
  groq: GROQ_TERMS,
};

/** Library and overlay as one catalog; the overlay wins. Deterministic. */
export function buildCatalog(): Catalog {
  const models = Object.fromEntries(
    PROVIDERS.map((provider) => [provider, modelsOf(provider)]),
  ) as Record<Provider, ReadonlyMap<string, CatalogModel>>;
  return { version: `${AS_OF}.${contentHash(models)}`, models, terms: TERMS };
}

/** The catalog's rows in a fixed order: what a price version stores. */
export function catalogRows(models: Catalog['models']): readonly CatalogRow[] {
  return PROVIDERS.flatMap((provider) =>
    [...models[provider].values()]
      .toSorted((a, b) => compare(a.id, b.id))
      .flatMap((model) =>
        model.prices.entries.flatMap((entry) => entryRows(provider, model.id, entry)),
      ),
  );
}

function modelsOf(provider: Provider): ReadonlyMap<string, CatalogModel> {
  const models = new Map<string, CatalogModel>();
  const facts = MODEL_FACTS[provider];
  for (const model of libraryModels(
    provider,
    (id) => libraryTerms(provider, id),
    COMPLETIONS[provider],
  )) {
    const ownFacts =
      model.contextTokens === undefined ? {} : { contextTokens: model.contextTokens };
    models.set(model.id, {
      id: model.id,
      prices: prepareModelPrices(model.id, model.entries),
      facts: facts[model.id] ?? ownFacts,
      aliases: [],
      match: model.match,
    });
  }
  for (const model of OVERLAYS[provider]) {
    models.set(model.id, {
      id: model.id,
      prices: prepareModelPrices(
        model.id,
        model.entries.map((entry) => datedPricesOf(entry, model.terms)),
      ),
      facts: facts[model.id] ?? {},
      aliases: model.aliases ?? [],
      match: models.get(model.id)?.match ?? null,
    });
  }
  return models;
}

function libraryTerms(provider: Provider, modelId: string): PriceTerms {
  const priority = provider === 'openai' ? OPENAI_PRIORITY[modelId] : undefined;
  if (priority !== undefined) return openaiTerms(priority);
  const fast = provider === 'anthropic' ? ANTHROPIC_FAST[modelId] : undefined;
  return fast === undefined ? TERMS[provider] : anthropicTerms(fast);
}

function entryRows(provider: Provider, model: string, entry: DatedPrices): CatalogRow[] {
  const tiers = [
    { abovePromptTokens: 0, prices: entry.prices },
    ...entry.tiers.toSorted((a, b) => a.abovePromptTokens - b.abovePromptTokens),
  ];
  return tiers.map((tier) => ({
    provider,
    model,
    effective_from: new Date(entry.effectiveFromMs).toISOString(),
    above_prompt_tokens: tier.abovePromptTokens,
    prices: pricesToRecord(tier.prices),
    terms: {
      service_tier: wordsRecord(entry.terms.serviceTier),
      speed: wordsRecord(entry.terms.speed),
      region: wordsRecord(entry.terms.region),
    },
    source: entry.source,
  }));
}

function wordsRecord(words: PricedWords): Record<string, string> {
  return Object.fromEntries(
    [...words]
      .toSorted(([a], [b]) => compare(a, b))
      .map(([word, ratio]) => [word, `${ratio.numerator}/${ratio.denominator}`]),
  );
}

/** Over all that a rating depends on: prices, terms, and which names mean which model. */
function contentHash(models: Catalog['models']): string {
  const names = PROVIDERS.map((provider) =>
    [...models[provider].values()]
      .toSorted((a, b) => compare(a.id, b.id))
      .map((model) => [model.id, model.aliases, model.match]),
  );
  const canonical = JSON.stringify([names, catalogRows(models)]);
  return createHash('sha256').update(canonical).digest('hex').slice(0, VERSION_HASH_DIGITS);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
