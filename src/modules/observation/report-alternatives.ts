import { NO_USAGE, type Usage } from '../../domain/pricing/usage.js';
import { PROVIDERS, type Provider } from '../../domain/routing/provider.js';
import { PriceBook } from '../catalog/price-book.js';
import { substitutionFor } from '../classifier/substitutes.js';

/** A cheaper model of the same provider, and what the same usage costs there. */
export interface Alternative {
  readonly provider: Provider;
  readonly model: string;
  readonly costNanoUsd: bigint;
}

/** Null where no cheaper model is known that has a price for it. */
export type FindAlternative = (
  provider: string,
  model: string,
  usage: Usage,
  atMs: number,
) => Alternative | null;

/**
 * By the list prices: the cheapest model that could take the place of the one that was asked for. The usage is a sum
 * of calls, so a price that depends on the size of a single prompt is taken at its lowest.
 */
export function alternativesFrom(prices: () => PriceBook): FindAlternative {
  let book: PriceBook | null = null;
  return (provider, model, usage, atMs) => {
    const known = PROVIDERS.find((name) => name === provider);
    if (known === undefined) return null;
    book ??= prices();
    let cheapest: Alternative | null = null;
    for (const candidate of substitutionFor(known, model).candidates) {
      const cost = costThere(book, known, candidate.model, usage, atMs);
      if (cost === null || (cheapest !== null && cost >= cheapest.costNanoUsd)) continue;
      cheapest = { provider: known, model: candidate.model, costNanoUsd: cost };
    }
    return cheapest;
  };
}

/** Each dimension by itself and in small pieces: only so is no sum taken for one huge prompt. */
const UNITS_PER_PIECE = 1_000;

function costThere(
  book: PriceBook,
  provider: Provider,
  model: string,
  usage: Usage,
  atMs: number,
): bigint | null {
  let total = 0n;
  for (const [dimension, units] of Object.entries(usage)) {
    if (units === 0 || dimension === 'reasoningTokens') continue;
    const piece = { ...NO_USAGE, [dimension]: UNITS_PER_PIECE };
    const terms = { serviceTier: null, speed: null, region: null };
    const rated = book.rate({ provider, model, atMs, usage: piece, ...terms });
    if (rated.kind !== 'priced') return null;
    total += rated.costNanoUsd * BigInt(units);
  }
  return total / BigInt(UNITS_PER_PIECE);
}
