import { ANTHROPIC_TERMS } from './price-terms.js';
import type { OverlayModel, UsdPrices } from './overlay-model.js';

/** Web search is $10 per thousand searches; web fetch costs its tokens only (ad:pricing). */
export const ANTHROPIC_TOOLS: UsdPrices = { webSearchPerThousand: '10', webFetchPerThousand: '0' };

const SONNET_5_5: UsdPrices = {
  ...ANTHROPIC_TOOLS,
  input: '2',
  cacheRead: '0.10',
  cacheWrite5m: '2.5',
  cacheWrite1h: '4',
  output: '10',
};

export const ANTHROPIC_OVERLAY: readonly OverlayModel[] = [
  {
    id: 'claude-fable-5-2',
    terms: ANTHROPIC_TERMS,
    entries: [
      {
        from: null,
        usd: {
          ...ANTHROPIC_TOOLS,
          input: '8',
          cacheRead: '0.20',
          cacheWrite5m: '10',
          cacheWrite1h: '16',
          output: '40',
        },
        source: 'ad:pricing, 2026-11-09',
      },
    ],
  },
  {
    id: 'claude-sonnet-5-5',
    terms: ANTHROPIC_TERMS,
    entries: [
      { from: null, usd: { ...SONNET_5_5, cacheRead: '0.20' }, source: 'ad:pricing' },
      { from: '2026-10-07', usd: SONNET_5_5, source: 'ad:release-notes, 2026-10-07' },
    ],
  },
  {
    id: 'claude-haiku-5-5',
    terms: ANTHROPIC_TERMS,
    entries: [
      {
        from: null,
        usd: {
          ...ANTHROPIC_TOOLS,
          input: '0.10',
          cacheRead: '0.01',
          cacheWrite5m: '0.125',
          cacheWrite1h: '0.20',
          output: '0.50',
        },
        tiers: [
          {
            abovePromptTokens: 100_000,
            usd: {
              ...ANTHROPIC_TOOLS,
              input: '0.50',
              cacheRead: '0.05',
              cacheWrite5m: '0.625',
              cacheWrite1h: '1.00',
              output: '2.50',
            },
          },
        ],
        source: 'ad:pricing (long prompts)',
      },
    ],
  },
];
