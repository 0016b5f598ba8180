import { NO_CACHE, type CacheRules } from '../../domain/routing/session-cache.js';
import type { Provider } from '../../domain/routing/provider.js';

/** What a request says of caching by itself: Anthropic's `cache_control`. Null where it says nothing. */
export type ExplicitCache = '5m' | '1h' | null;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/**
 * Least prefixes that Anthropic keeps, by the start of the model's name, as of 2026-11-20. Those of the 5.5 generation
 * are not published; they are taken from the older models of the family, and no shorter than 1,024.
 */
const ANTHROPIC_MIN_PREFIX: readonly (readonly [prefix: string, tokens: number])[] = [
  ['claude-opus-5-5', 1_024],
  ['claude-opus-5', 512],
  ['claude-fable-5', 512],
  ['claude-opus-4-8', 1_024],
  ['claude-opus-4-7', 2_048],
  ['claude-opus-4-6', 4_096],
  ['claude-opus-4-5', 4_096],
  ['claude-sonnet', 1_024],
  ['claude-haiku', 4_096],
];
/** Of models that the table does not know: the longest, so that no cache is counted on that may not be there. */
const ANTHROPIC_MIN_PREFIX_UNKNOWN = 4_096;

const OPENAI_MIN_PREFIX = 1_024;
/** From 5.6 on writes are charged and kept for 30 minutes; before, they are free and kept for some minutes. */
const OPENAI_CHARGED_WRITES = /^gpt-(?:5\.[6-9]|[6-9]|\d{2})/;

const GOOGLE_MIN_PREFIX = 4_096;
const GOOGLE_MIN_PREFIX_BY_NAME: readonly (readonly [prefix: string, tokens: number])[] = [
  ['gemini-2.5', 2_048],
  ['gemini-4', 6_144],
];

/** Not published. */
const GROQ_MIN_PREFIX = 1_024;

/**
 * How the model's provider would cache the prompts of this request, from the providers' pages on prompt caching.
 * Where a page gives no time to live (Google's implicit cache, OpenAI's older models), five minutes are taken.
 */
export function cacheRulesOf(
  provider: Provider,
  model: string,
  explicit: ExplicitCache,
): CacheRules {
  switch (provider) {
    case 'openai':
      return OPENAI_CHARGED_WRITES.test(model)
        ? automatic(OPENAI_MIN_PREFIX, 30 * MINUTE_MS, '30m')
        : automatic(OPENAI_MIN_PREFIX, 5 * MINUTE_MS);
    case 'anthropic':
      return explicit === null
        ? NO_CACHE
        : {
            mode: 'explicit',
            minPrefixTokens: byPrefix(ANTHROPIC_MIN_PREFIX, model) ?? ANTHROPIC_MIN_PREFIX_UNKNOWN,
            ttlMs: explicit === '1h' ? HOUR_MS : 5 * MINUTE_MS,
            write: explicit,
          };
    case 'google':
      return automatic(
        byPrefix(GOOGLE_MIN_PREFIX_BY_NAME, model) ?? GOOGLE_MIN_PREFIX,
        5 * MINUTE_MS,
      );
    case 'groq':
      return model.startsWith('openai/gpt-oss')
        ? automatic(GROQ_MIN_PREFIX, 2 * HOUR_MS)
        : NO_CACHE;
  }
}

function automatic(
  minPrefixTokens: number,
  ttlMs: number,
  write: CacheRules['write'] = 'free',
): CacheRules {
  return { mode: 'automatic', minPrefixTokens, ttlMs, write };
}

function byPrefix(
  table: readonly (readonly [prefix: string, tokens: number])[],
  model: string,
): number | null {
  return table.find(([prefix]) => model.startsWith(prefix))?.[1] ?? null;
}
