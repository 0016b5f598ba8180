import { GROQ_TERMS } from './price-terms.js';
import type { OverlayModel } from './overlay-model.js';

export const GROQ_OVERLAY: readonly OverlayModel[] = [
  {
    id: 'qwen/qwen3.6-27b',
    terms: GROQ_TERMS,
    entries: [
      { from: null, usd: { input: '0.60', output: '3.00' }, source: 'reseller price lists, 2026-11' },
    ],
  },
];
