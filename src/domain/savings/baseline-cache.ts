import { isWarm, splitPrompt, type CacheRules } from '../routing/session-cache.js';
import { scaledTokens, type BaselineCache, type TokenizerRatio } from './baseline-usage.js';

/** What a session would have left in the baseline's cache, had all its calls gone there. */
export interface BaselineCacheState {
  /** By the baseline's count. */
  readonly prefixTokens: number;
}

/** What of a call matters for the simulation. */
export interface BaselineCall {
  /** All tokens of the prompt, cached or not, as the served model counted them. */
  readonly promptTokens: number;
  /** What the served model read from its cache, by its own count. */
  readonly servedReadTokens: number;
  /** What of it other calls used lately, had they gone to the baseline too: likewise by the served model's count. */
  readonly sharedTokens: number;
  readonly ratio: TokenizerRatio;
  /** Since the session's call before; whatever for its first one. */
  readonly gapMs: number;
  /** Of the prompt, what an explicit request marks to be kept. */
  readonly markedPermille: number;
}

/**
 * One step of the method `baseline-2`. The baseline's cache holds what it was given of the prompt before, as long as
 * no gap was longer than it keeps a prefix; the prompt at hand is taken to begin with it, so that a prompt which does
 * not makes the baseline cheaper, and never dearer, than it would have been. A prefix that sessions share would have
 * been warm there too, and a session's first call would not have paid for it: the cache is at least as warm as the
 * served model's was, and as what other calls used lately, where that is long enough to be kept. What is not found and
 * is long enough is written. All by the baseline's own count, as are the limits of its rules.
 */
export function baselineCacheOf(
  state: BaselineCacheState | null,
  call: BaselineCall,
  rules: CacheRules,
): { readonly cache: BaselineCache; readonly next: BaselineCacheState } {
  const held = state === null ? null : { prefixTokens: state.prefixTokens, ageMs: call.gapMs };
  const own = held !== null && isWarm(rules, held) ? held.prefixTokens : 0;
  const used = scaledTokens(call.sharedTokens, call.ratio);
  const shared = isWarm(rules, { prefixTokens: used, ageMs: 0 }) ? used : 0;
  const warm = Math.max(own, shared, scaledTokens(call.servedReadTokens, call.ratio));
  const prompt = scaledTokens(call.promptTokens, call.ratio);
  const { readTokens, writtenTokens } = splitPrompt(rules, prompt, warm, call.markedPermille);
  return {
    cache: { readTokens, writeTokens: writtenTokens, writeTtl: rules.write },
    next: { prefixTokens: readTokens + writtenTokens },
  };
}
