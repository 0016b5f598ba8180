import { NO_USAGE } from '../../src/domain/pricing/usage.js';
import type { Provider } from '../../src/domain/routing/provider.js';
import { PriceBook } from '../../src/modules/catalog/price-book.js';
import type { AnswerTokens } from './answer-reader.js';

const NANO_USD = 1_000_000_000;
/** Two characters a token is more tokens than any text has: what is set aside is never too little. */
const CHARACTERS_PER_TOKEN_MIN = 2;

export type Reservation =
  | { readonly kind: 'reserved'; readonly nanoUsd: bigint }
  /** The call could take the sum over the limit. */
  | { readonly kind: 'exhausted' }
  /** The model has no price, so nothing can be promised about its cost. */
  | { readonly kind: 'unpriced' };

/**
 * Keeps calls to a real provider under an amount. Before a call the most that it can cost is set aside; after it what it
 * did cost takes its place, and where that is not known the whole of it stays spent.
 */
export class SpendLimit {
  private spentNanoUsd = 0n;
  private reservedNanoUsd = 0n;
  private readonly limitNanoUsd: bigint;

  constructor(
    limitUsd: number,
    private readonly provider: Provider,
    private readonly nowMs: number,
    private readonly prices: PriceBook = new PriceBook(),
  ) {
    this.limitNanoUsd = BigInt(Math.round(limitUsd * NANO_USD));
  }

  reserve(model: string, bodyCharacters: number, outputTokensMax: number): Reservation {
    const inputTokens = Math.ceil(bodyCharacters / CHARACTERS_PER_TOKEN_MIN);
    const nanoUsd = this.cost(model, { inputTokens, outputTokens: outputTokensMax });
    if (nanoUsd === null) return { kind: 'unpriced' };
    if (this.spentNanoUsd + this.reservedNanoUsd + nanoUsd > this.limitNanoUsd) {
      return { kind: 'exhausted' };
    }
    this.reservedNanoUsd += nanoUsd;
    return { kind: 'reserved', nanoUsd };
  }

  /** `tokens` is null where the call did not say what it used. */
  settle(model: string, reservedNanoUsd: bigint, tokens: AnswerTokens | null): void {
    this.reservedNanoUsd -= reservedNanoUsd;
    const cost = tokens === null ? null : this.cost(model, tokens);
    this.spentNanoUsd += cost ?? reservedNanoUsd;
  }

  /** US dollars, for display. */
  get spentUsd(): number {
    return Number(this.spentNanoUsd) / NANO_USD;
  }

  private cost(model: string, tokens: AnswerTokens): bigint | null {
    const rating = this.prices.rate({
      provider: this.provider,
      model,
      atMs: this.nowMs,
      usage: { ...NO_USAGE, ...tokens },
      serviceTier: null,
      speed: null,
      region: null,
    });
    return rating.kind === 'priced' ? rating.costNanoUsd : null;
  }
}
