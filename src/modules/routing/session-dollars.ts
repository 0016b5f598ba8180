import { NO_FACTS } from '../../domain/classification/prompt-facts.js';
import type { NanoUsd } from '../../domain/money/nano-usd.js';
import type { Target } from '../../domain/routing/decision.js';
import {
  expectedSessionsNanoUsd,
  type SessionFacts,
  type TargetEconomics,
} from '../../domain/routing/session-economics.js';
import type { SessionHabits } from '../../domain/routing/session-habits.js';
import {
  cacheStateOf,
  sessionFacts,
  unseenSession,
  type SessionState,
} from '../../domain/routing/session-state.js';
import { tokenizerRatio } from '../../domain/savings/tokenizer-ratio.js';
import type { PriceBook } from '../catalog/price-book.js';
import { cacheRulesOf } from '../session-routing/cache-rules.js';
import { explicitCacheOf } from '../session-routing/explicit-cache.js';
import type { PromptSize, RoutingRequest } from './routing-request.js';

/** Characters to a token, about: what a prompt costs matters here, not whether it fits. */
const CHARS_PER_TOKEN = 4;

/** What sessions are expected to cost at one model or another, with the organization's own prices. */
export class SessionDollars {
  constructor(private readonly prices: PriceBook) {}

  sizeOf(
    { provider, requested, sighting, body, atMs }: RoutingRequest,
    known: SessionState | null,
  ): PromptSize {
    const facts = sighting.reading?.facts ?? NO_FACTS;
    const explicit = provider === 'anthropic' ? explicitCacheOf(body) : null;
    const promptTokens = Math.ceil(facts.totalChars / CHARS_PER_TOKEN);
    const turns = facts.answerCount;
    // Of a conversation that goes on unseen, the model asked for is taken to hold everything.
    const state =
      known === null && turns > 0
        ? unseenSession(
            { provider, model: requested },
            cacheRulesOf(provider, requested, explicit),
            turns,
            promptTokens,
            atMs,
          )
        : known;
    return { explicit, atMs, promptTokens, state };
  }

  /** The same for every model that is compared. */
  factsOf({ state, promptTokens }: PromptSize, habits: SessionHabits): SessionFacts {
    return sessionFacts(state, habits, promptTokens);
  }

  /** For each target, with the others to go on to; null where it has no price, or no tokenizer that could be compared. */
  expected(
    request: RoutingRequest,
    targets: readonly Target[],
    size: PromptSize,
    facts: SessionFacts,
  ): readonly (NanoUsd | null)[] {
    const economics = targets.map((target) => this.#economicsOf(request, target, size));
    return expectedSessionsNanoUsd(facts, economics);
  }

  #economicsOf(
    { principal, requested, provider, atMs }: RoutingRequest,
    target: Target,
    size: PromptSize,
  ): TargetEconomics | null {
    const prices = this.prices.pricesAt({
      ...target,
      atMs,
      negotiated: principal.negotiatedPrices,
    });
    const counted = size.state?.caches[0]?.target ?? { provider, model: requested };
    const tokens = tokenizerRatio(target, counted);
    if (prices === null || tokens === null) return null;
    return {
      prices,
      cache: cacheRulesOf(target.provider, target.model, size.explicit),
      state: cacheStateOf(size.state, target, atMs),
      tokens,
    };
  }
}
