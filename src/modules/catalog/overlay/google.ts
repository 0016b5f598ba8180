import { GOOGLE_TERMS } from './price-terms.js';
import type { OverlayEntry, OverlayModel, UsdPrices } from './overlay-model.js';

/** Search grounding of Gemini 3 and later, per thousand queries; older models have another scheme. */
const GROUNDING: UsdPrices = { webSearchPerThousand: '14' };

/** One input price for text, image, video and audio. */
function unified(input: string, cacheRead: string, output: string): UsdPrices {
  return {
    input,
    imageInput: input,
    audioInput: input,
    cacheRead,
    cacheReadAudio: cacheRead,
    output,
  };
}

const GEMINI_4_INTRODUCTORY: OverlayEntry = {
  from: null,
  usd: { ...GROUNDING, ...unified('2', '0.10', '10') },
  source: 'gd:pricing (introductory price)',
};
const GEMINI_4_LIST: OverlayEntry = {
  from: '2026-12-01',
  usd: { ...GROUNDING, ...unified('4', '0.20', '20') },
  source: 'gd:pricing (announced for 2026-12-01)',
};

/** The library has them; restated for what they are rerouted to, and billed as, from 2026-12-01. */
const GEMINI_2_5_PRO: OverlayModel = {
  id: 'gemini-2.5-pro',
  terms: GOOGLE_TERMS,
  entries: [
    {
      from: null,
      usd: unified('1.25', '0.125', '10'),
      tiers: [{ abovePromptTokens: 200_000, usd: unified('2.5', '0.25', '15') }],
      source: 'gd:pricing',
    },
    {
      from: '2026-12-01',
      usd: { ...GROUNDING, ...unified('0.75', '0.075', '3.75') },
      source: 'gd:deprecations (billed as gemini-3.8-flash)',
    },
    {
      from: '2027-01-01',
      usd: { ...GROUNDING, ...unified('1.5', '0.15', '7.5') },
      source: 'gd:deprecations (billed as gemini-3.8-flash), gd:pricing',
    },
  ],
};
const GEMINI_2_5_FLASH: OverlayModel = {
  id: 'gemini-2.5-flash',
  terms: GOOGLE_TERMS,
  entries: [
    {
      from: null,
      usd: {
        ...unified('0.30', '0.03', '2.5'),
        audioInput: '1',
        cacheReadAudio: '0.10',
      },
      source: 'gd:pricing',
    },
    {
      from: '2026-12-01',
      usd: { ...GROUNDING, ...unified('0.30', '0.03', '2.5') },
      source: 'gd:deprecations (billed as gemini-3.5-flash-lite)',
    },
  ],
};

export const GOOGLE_OVERLAY: readonly OverlayModel[] = [
  ...['gemini-4-argon', 'gemini-4-carbon'].map((id): OverlayModel => ({
    id,
    terms: GOOGLE_TERMS,
    entries: [GEMINI_4_INTRODUCTORY, GEMINI_4_LIST],
  })),
  {
    id: 'gemini-4-hydrogen',
    terms: GOOGLE_TERMS,
    entries: [
      {
        from: null,
        usd: { ...GROUNDING, ...unified('1.5', '0.075', '7.5') },
        source: 'gd:pricing, 2026-11-12',
      },
    ],
  },
  GEMINI_2_5_PRO,
  GEMINI_2_5_FLASH,
];

/** Nano-USD per million grounded queries, for the library's models of these generations. */
export const GROUNDED_GENERATIONS = /^gemini-[34](?:\.\d+)?-/;
export const GOOGLE_GROUNDING: UsdPrices = GROUNDING;
