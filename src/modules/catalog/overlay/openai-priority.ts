import type { Ratio } from '../../../domain/pricing/model-prices.js';
import { ratio } from './price-terms.js';

/**
 * Priority (fast) processing costs twice the standard price, but for these models, whose published priority
 * prices are another multiple. Source: openai.com/api-priority-processing.
 */
export const OPENAI_PRIORITY: Readonly<Record<string, Ratio>> = {
  'gpt-5.5': ratio(5n, 2n),
  'gpt-5-mini': ratio(9n, 5n),
  'gpt-4.1': ratio(7n, 4n),
  'gpt-4.1-mini': ratio(7n, 4n),
  'gpt-4o': ratio(17n, 10n),
};
