import { LRUCache } from 'lru-cache';
import { negotiatedAt, overlayNegotiated } from '../../domain/pricing/negotiated-prices.js';
import type { NegotiatedPrices } from '../../domain/pricing/negotiated-prices.js';
import { entryAt } from '../../domain/pricing/model-prices.js';
import type { DatedPrices } from '../../domain/pricing/model-prices.js';
import { rate, unpriceable } from '../../domain/pricing/rating.js';
import type { Rating, RatingTerms } from '../../domain/pricing/rating.js';
import type { Usage } from '../../domain/pricing/usage.js';
import { PROVIDERS } from '../../domain/routing/provider.js';
import type { Provider } from '../../domain/routing/provider.js';
import { buildCatalog } from './catalog.js';
import type { Catalog, CatalogModel } from './catalog.js';
import { matchesModel, withoutSnapshot } from './library/model-match.js';
import type { ModelFacts } from './overlay/model-facts.js';

/** Model names come from clients: what is remembered of them is bounded, misses included. */
const CACHED_NAMES_MAX = 4096;
const MODEL_NAME_CHARS_MAX = 200;

const GOOGLE_PREFIX = 'models/';

export interface RateRequest extends RatingTerms {
  readonly provider: Provider;
  /** The model that answered, as the provider named it. */
  readonly model: string | null;
  readonly atMs: number;
  readonly usage: Usage;
  /** The organization's agreements, of any model and date. */
  readonly negotiated?: readonly NegotiatedPrices[];
}

export interface PricesRequest {
  readonly provider: Provider;
  readonly model: string;
  readonly atMs: number;
  /** The organization's agreements, of any model and date. */
  readonly negotiated: readonly NegotiatedPrices[];
}

/** `priceVersion` names the list, and the agreement where one was laid over it. */
export type VersionedRating = Rating & { readonly priceVersion: string };

/** What a model costs by the list at some instant. */
export interface ListPrice {
  readonly provider: Provider;
  readonly model: string;
  readonly entry: DatedPrices;
}

/** Prices calls from one catalog. Pure but for its bounded memory of names. */
export class PriceBook {
  readonly version: string;
  readonly #catalog: Catalog;
  readonly #aliases: ReadonlyMap<Provider, ReadonlyMap<string, CatalogModel>>;
  readonly #names: ReadonlyMap<Provider, LRUCache<string, { readonly found: CatalogModel | null }>>;

  constructor(catalog: Catalog = buildCatalog()) {
    this.#catalog = catalog;
    this.version = catalog.version;
    this.#aliases = new Map(PROVIDERS.map((provider) => [provider, aliasesOf(catalog, provider)]));
    this.#names = new Map(
      PROVIDERS.map((provider) => [provider, new LRUCache({ max: CACHED_NAMES_MAX })]),
    );
  }

  /** The cost of one call with its frozen prices, or why there is none. */
  rate(request: RateRequest): VersionedRating {
    const { provider, model: name, atMs, usage, negotiated } = request;
    if (name === null) return this.#versioned(unpriceable('unknown_model'));
    const model = this.#find(provider, name);
    if (negotiated !== undefined && negotiated.length > 0) {
      const names = model === null ? [name] : [model.id, name];
      const agreement = negotiatedAt(negotiated, provider, names, atMs);
      if (agreement !== null) return this.#rateNegotiated(request, model, agreement);
    }
    if (model === null) return this.#versioned(unpriceable('unknown_model'));
    return this.#versioned(rate(model.prices, atMs, usage, request));
  }

  /**
   * What a model costs at an instant on the normal terms, with the organization's agreement where there is one; null
   * where no price is known. For what a call is expected to cost; what it did cost, `rate` says.
   */
  pricesAt({ provider, model: name, atMs, negotiated }: PricesRequest): DatedPrices | null {
    const model = this.#find(provider, name);
    const names = model === null ? [name] : [model.id, name];
    const agreement =
      negotiated.length === 0 ? null : negotiatedAt(negotiated, provider, names, atMs);
    if (agreement === null) return model === null ? null : entryAt(model.prices, atMs);
    const terms = this.#catalog.terms[provider];
    return entryAt(overlayNegotiated(model?.prices ?? null, agreement, atMs, terms), atMs);
  }

  /** The catalog's name of a model (snapshots and aliases resolved), or null where it has no price. */
  canonicalModel(provider: Provider, model: string): string | null {
    return this.#find(provider, model)?.id ?? null;
  }

  /** The list prices in force at an instant, by provider and name of the model. */
  listAt(atMs: number): readonly ListPrice[] {
    return PROVIDERS.flatMap((provider) =>
      [...this.#catalog.models[provider].values()].flatMap(({ id, prices }) => {
        const entry = entryAt(prices, atMs);
        return entry === null ? [] : [{ provider, model: id, entry }];
      }),
    ).toSorted((a, b) => compare(a.provider, b.provider) || compare(a.model, b.model));
  }

  /** Context window and longest output, where known. */
  facts(provider: Provider, model: string): ModelFacts | null {
    return this.#find(provider, model)?.facts ?? null;
  }

  #rateNegotiated(
    request: RateRequest,
    model: CatalogModel | null,
    agreement: NegotiatedPrices,
  ): VersionedRating {
    const terms = this.#catalog.terms[request.provider];
    const prices = overlayNegotiated(model?.prices ?? null, agreement, request.atMs, terms);
    const date = new Date(agreement.effectiveFromMs).toISOString().slice(0, 10);
    return {
      ...rate(prices, request.atMs, request.usage, request),
      priceVersion: `${this.version}+negotiated.${date}.${agreement.revision}`,
    };
  }

  #versioned(rating: Rating): VersionedRating {
    return { ...rating, priceVersion: this.version };
  }

  #find(provider: Provider, name: string): CatalogModel | null {
    if (name.length > MODEL_NAME_CHARS_MAX) return null;
    const cache = this.#names.get(provider);
    const cached = cache?.get(name);
    if (cached !== undefined) return cached.found;
    const found = this.#lookUp(provider, name);
    cache?.set(name, { found });
    return found;
  }

  #lookUp(provider: Provider, name: string): CatalogModel | null {
    const lower = name.toLowerCase();
    const model =
      provider === 'google' && lower.startsWith(GOOGLE_PREFIX)
        ? lower.slice(GOOGLE_PREFIX.length)
        : lower;
    const exact = this.#exact(provider, model);
    if (exact !== null) return exact;
    const base = withoutSnapshot(model);
    return base === null ? null : this.#exact(provider, base);
  }

  #exact(provider: Provider, model: string): CatalogModel | null {
    const named = this.#aliases.get(provider)?.get(model);
    if (named !== undefined) return named;
    for (const candidate of this.#catalog.models[provider].values()) {
      if (candidate.match !== null && matchesModel(candidate.match, model)) return candidate;
    }
    return null;
  }
}

function aliasesOf(catalog: Catalog, provider: Provider): ReadonlyMap<string, CatalogModel> {
  const names = new Map<string, CatalogModel>();
  for (const model of catalog.models[provider].values()) {
    for (const name of [model.id, ...model.aliases]) names.set(name.toLowerCase(), model);
  }
  return names;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
