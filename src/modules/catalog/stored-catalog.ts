import {
  prepareModelPrices,
  type DatedPrices,
  type PricedWords,
  type Ratio,
} from '../../domain/pricing/model-prices.js';
import { pricesFromRecord } from '../../domain/pricing/price-record.js';
import { PROVIDERS, type Provider } from '../../domain/routing/provider.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { Catalog, CatalogModel } from './catalog.js';

interface StoredRow {
  readonly model: string;
  readonly fromMs: number;
  readonly abovePromptTokens: number;
  readonly prices: Record<string, unknown>;
  readonly terms: Readonly<Record<'service_tier' | 'speed' | 'region', Record<string, string>>>;
  readonly source: string;
}

/** A version of the catalog that this release cannot read: one with a price that a newer release made up. */
export class UnreadableCatalogError extends Error {
  override readonly name = 'UnreadableCatalogError';
}

/**
 * A version of the catalog as it was kept, for pricing calls of its time once more; null where it was not kept. Which
 * names mean a model is not kept: that is taken from the catalog of this release.
 */
export async function storedCatalog(
  q: Queryable,
  version: string,
  current: Catalog,
): Promise<Catalog | null> {
  const models = {} as Record<Provider, ReadonlyMap<string, CatalogModel>>;
  let found = 0;
  for (const provider of PROVIDERS) {
    const rows = await q.query<StoredRow>(
      `SELECT model, round(extract(epoch FROM effective_from) * 1000)::float8 AS "fromMs",
              above_prompt_tokens::float8 AS "abovePromptTokens", prices, terms, source
         FROM price_versions WHERE version = $1 AND provider = $2 ORDER BY model, effective_from`,
      [version, provider],
    );
    found += rows.length;
    models[provider] = modelsOf(rows, current.models[provider]);
  }
  return found === 0 ? null : { version, models, terms: current.terms };
}

/** In the order of the current catalog, in which the first name that matches wins. */
function modelsOf(
  rows: readonly StoredRow[],
  current: ReadonlyMap<string, CatalogModel>,
): ReadonlyMap<string, CatalogModel> {
  const byModel = Map.groupBy(rows, ({ model }) => model);
  const ids = new Set([...current.keys(), ...byModel.keys()]);
  const models = new Map<string, CatalogModel>();
  for (const id of ids) {
    const own = byModel.get(id);
    if (own === undefined) continue;
    const prices = prepareModelPrices(id, entriesOf(own));
    const { aliases = [], match = null, facts = {} } = current.get(id) ?? {};
    models.set(id, { id, prices, aliases, match, facts });
  }
  return models;
}

function entriesOf(rows: readonly StoredRow[]): DatedPrices[] {
  return [...Map.groupBy(rows, ({ fromMs }) => fromMs)].flatMap(([effectiveFromMs, tiers]) => {
    const base = tiers.find(({ abovePromptTokens }) => abovePromptTokens === 0);
    if (base === undefined) return [];
    const { terms, source } = base;
    return {
      effectiveFromMs,
      prices: pricesOf(base),
      tiers: tiers
        .filter((tier) => tier !== base)
        .map((tier) => ({
          abovePromptTokens: tier.abovePromptTokens,
          prices: pricesOf(tier),
        })),
      terms: {
        serviceTier: wordsOf(terms.service_tier),
        speed: wordsOf(terms.speed),
        region: wordsOf(terms.region),
      },
      source,
    };
  });
}

function pricesOf({ prices }: StoredRow) {
  const read = pricesFromRecord(prices);
  if (read === null) throw new UnreadableCatalogError('a price of an unknown kind');
  return read;
}

function wordsOf(words: Readonly<Record<string, string>>): PricedWords {
  return new Map(Object.entries(words).map(([word, ratio]) => [word, ratioOf(ratio)]));
}

function ratioOf(text: string): Ratio {
  const [numerator = '', denominator = ''] = text.split('/');
  return { numerator: BigInt(numerator), denominator: BigInt(denominator) };
}
