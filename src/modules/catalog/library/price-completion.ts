import type { PriceDimension, UnitPrices } from '../../../domain/pricing/unit-prices.js';
import type { Provider } from '../../../domain/routing/provider.js';
import { ANTHROPIC_TOOLS } from '../overlay/anthropic.js';
import { GOOGLE_GROUNDING, GROUNDED_GENERATIONS } from '../overlay/google.js';
import { unitPricesOf } from '../overlay/overlay-model.js';
import type { PriceCompletion } from './library-models.js';

type Draft = Partial<Record<PriceDimension, bigint>>;

const OPENAI_WEB_SEARCH = unitPricesOf({ webSearchPerThousand: '10' });
const ANTHROPIC_WEB_FETCH = unitPricesOf({
  webFetchPerThousand: ANTHROPIC_TOOLS.webFetchPerThousand ?? '0',
});
const GROUNDING = unitPricesOf(GOOGLE_GROUNDING);

/** What the library leaves unsaid of a model's prices, each by the provider's own published rule. */
export const COMPLETIONS: Readonly<Record<Provider, PriceCompletion>> = {
  openai: completeOpenai,
  anthropic: (_model, prices) => ({ ...ANTHROPIC_WEB_FETCH, ...prices }),
  google: completeGoogle,
  groq: (_model, prices) => prices,
};

/** od:prompt-caching, od:pricing. */
function completeOpenai(_model: string, prices: UnitPrices): UnitPrices {
  const { inputTokens, cacheWrite30mTokens, outputTokens } = prices;
  if (inputTokens === undefined) return prices;
  const draft: Draft = { ...prices };
  draft.imageInputTokens ??= inputTokens;
  if (cacheWrite30mTokens === undefined) {
    // Before 5.6 a write is free: its tokens pay what uncached ones pay.
    draft.cacheWrite30mTokens = inputTokens;
  } else {
    // 2.5x input for 12 hours is twice the 1.25x for 30 minutes.
    draft.cacheWrite12hTokens = cacheWrite30mTokens * 2n;
  }
  return outputTokens === undefined ? draft : { ...OPENAI_WEB_SEARCH, ...draft };
}

/** gd:pricing: one input price for all modalities, but where the model's row has one of its own. */
function completeGoogle(model: string, prices: UnitPrices): UnitPrices {
  const { inputTokens, cacheReadTokens, audioInputTokens, outputTokens } = prices;
  if (inputTokens === undefined) return prices;
  const draft: Draft = { ...prices };
  draft.imageInputTokens ??= inputTokens;
  if (audioInputTokens === undefined) {
    draft.audioInputTokens = inputTokens;
    if (cacheReadTokens !== undefined) draft.cacheReadAudioTokens ??= cacheReadTokens;
  }
  // What a speech model puts out is audio, and its output price is the price of that.
  if (model.endsWith('-tts') && outputTokens !== undefined) {
    draft.audioOutputTokens ??= outputTokens;
  }
  return GROUNDED_GENERATIONS.test(model) ? { ...GROUNDING, ...draft } : draft;
}
