import type { Ratio } from '../../../domain/pricing/model-prices.js';
import { ratio } from './price-terms.js';

// Faster service costs twice the standard price; these models have another published multiple.

/** Source: openai.com/api-priority-processing. */
export const OPENAI_PRIORITY: Readonly<Record<string, Ratio>> = {
  'gpt-5.5': ratio(5n, 2n),
  'gpt-5-mini': ratio(9n, 5n),
  'gpt-4.1': ratio(7n, 4n),
  'gpt-4.1-mini': ratio(7n, 4n),
  'gpt-4o': ratio(17n, 10n),
};

/** Source: ad:fast-mode ($30/$150 for a list price of $5/$25). */
export const ANTHROPIC_FAST: Readonly<Record<string, Ratio>> = {
  'claude-opus-4-7': ratio(6n),
  'claude-opus-4-6': ratio(6n),
};
