import type { BaselineCache } from '../savings/baseline-usage.js';

/** A prompt cache's time to live, and the field that its writes are charged as; `free` is plain input. */
export type WriteTtl = BaselineCache['writeTtl'];

/** How a model's provider caches the prompts of one call. */
export interface CacheRules {
  /** `explicit`: the request itself marks what to keep; `none`: nothing is kept. */
  readonly mode: 'automatic' | 'explicit' | 'none';
  /** A shorter prefix is silently not kept. */
  readonly minPrefixTokens: number;
  /** Counted from the last call that used the prefix: every use refreshes it. */
  readonly ttlMs: number;
  readonly write: WriteTtl;
}

export const NO_CACHE: CacheRules = Object.freeze({
  mode: 'none',
  minPrefixTokens: 0,
  ttlMs: 0,
  write: 'free',
});

/** What a session left in the cache of one model, by that model's count of tokens. */
export interface CacheState {
  readonly prefixTokens: number;
  /** Since the session's last call there. */
  readonly ageMs: number;
}

/** A prompt's tokens, by what they are charged as; their sum is the prompt. */
export interface PromptSplit {
  readonly readTokens: number;
  readonly writtenTokens: number;
  readonly plainTokens: number;
}

/** Shares are in permille, so that everything computed from them is exact. */
export const WHOLE_PERMILLE = 1_000;

export function isWarm(rules: CacheRules, state: CacheState | null): boolean {
  return (
    rules.mode !== 'none' &&
    state !== null &&
    state.prefixTokens > 0 &&
    state.prefixTokens >= rules.minPrefixTokens &&
    state.ageMs <= rules.ttlMs
  );
}

/** What of a prompt the cache may keep. Explicit requests mark a part of it, automatic caches take it whole. */
export function cacheableTokens(
  rules: CacheRules,
  promptTokens: number,
  markedPermille: number,
): number {
  if (rules.mode === 'none') return 0;
  const tokens =
    rules.mode === 'explicit'
      ? Math.floor((promptTokens * markedPermille) / WHOLE_PERMILLE)
      : promptTokens;
  return tokens >= rules.minPrefixTokens ? tokens : 0;
}

/** How the prompt is charged when the cache holds `warmTokens` of it. */
export function splitPrompt(
  rules: CacheRules,
  promptTokens: number,
  warmTokens: number,
  markedPermille: number,
): PromptSplit {
  const cacheable = cacheableTokens(rules, promptTokens, markedPermille);
  const readTokens = Math.min(warmTokens, cacheable);
  const writtenTokens = cacheable - readTokens;
  return { readTokens, writtenTokens, plainTokens: promptTokens - cacheable };
}
