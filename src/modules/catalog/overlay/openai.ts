import { OPENAI_TERMS } from './price-terms.js';
import type { OverlayModel, UsdPrices } from './overlay-model.js';

/** Above this many prompt tokens the whole request pays 2x input and cache, 1.5x output (od:pricing). */
export const OPENAI_LONG_PROMPT_TOKENS = 272_000;

const WEB_SEARCH: UsdPrices = { webSearchPerThousand: '10' };

const SOL: UsdPrices = {
  ...WEB_SEARCH,
  input: '2',
  imageInput: '2',
  cacheRead: '0.10',
  cacheWrite30m: '2.5',
  cacheWrite12h: '5',
  output: '10',
};
const SOL_LONG: UsdPrices = {
  ...WEB_SEARCH,
  input: '4',
  imageInput: '4',
  cacheRead: '0.20',
  cacheWrite30m: '5',
  cacheWrite12h: '10',
  output: '15',
};

/** Sold with a fee per search that their usage does not report: their cost is unknown. */
const SEARCH_PREVIEWS = [
  'gpt-4o-search-preview',
  'gpt-4o-mini-search-preview',
  'gpt-5-search-api',
].map((id): OverlayModel => ({
  id,
  terms: OPENAI_TERMS,
  entries: [{ from: null, usd: {}, source: 'od:pricing (search models)' }],
}));

export const OPENAI_OVERLAY: readonly OverlayModel[] = [
  {
    id: 'gpt-6.2-astra',
    terms: OPENAI_TERMS,
    entries: [
      {
        from: null,
        // Cache prices are not published: a call that used the cache is unpriceable.
        usd: { ...WEB_SEARCH, input: '8', imageInput: '8', output: '40' },
        tiers: [
          {
            abovePromptTokens: OPENAI_LONG_PROMPT_TOKENS,
            usd: { ...WEB_SEARCH, input: '16', imageInput: '16', output: '60' },
          },
        ],
        source: 'reseller price lists, 2026-11-17',
      },
    ],
  },
  ...['gpt-6.2-sol', 'gpt-6.1-sol'].map((id): OverlayModel => ({
    id,
    terms: OPENAI_TERMS,
    entries: [
      {
        from: null,
        usd: SOL,
        tiers: [{ abovePromptTokens: OPENAI_LONG_PROMPT_TOKENS, usd: SOL_LONG }],
        source: `od:models/${id}`,
      },
    ],
  })),
  {
    id: 'gpt-6.1-terra',
    terms: OPENAI_TERMS,
    entries: [
      {
        from: null,
        usd: {
          ...WEB_SEARCH,
          input: '1',
          imageInput: '1',
          cacheRead: '0.05',
          cacheWrite30m: '1.25',
          cacheWrite12h: '2.5',
          output: '5',
        },
        tiers: [
          {
            abovePromptTokens: OPENAI_LONG_PROMPT_TOKENS,
            usd: {
              ...WEB_SEARCH,
              input: '2',
              imageInput: '2',
              cacheRead: '0.10',
              cacheWrite30m: '2.5',
              cacheWrite12h: '5',
              output: '7.5',
            },
          },
        ],
        source: 'od:models/gpt-6.1-terra',
      },
    ],
  },
  ...SEARCH_PREVIEWS,
];
