import { GROQ_TERMS } from './price-terms.js';
import type { OverlayModel } from './overlay-model.js';

export const GROQ_OVERLAY: readonly OverlayModel[] = [
  {
    // The library takes it for the 120B model.
    id: 'openai/gpt-oss-safeguard-20b',
    terms: GROQ_TERMS,
    entries: [{ from: null, usd: { input: '0.075', output: '0.30' }, source: 'qd:models' }],
  },
  {
    id: 'qwen/qwen3.6-27b',
    terms: GROQ_TERMS,
    entries: [
      {
        from: null,
        usd: { input: '0.60', output: '3.00' },
        source: 'reseller price lists, 2026-11',
      },
    ],
  },
];
