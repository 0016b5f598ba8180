import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_CACHE, type CacheRules } from '../routing/session-cache.js';
import { baselineCacheOf, type BaselineCacheState } from './baseline-cache.js';
import { baselineUsage, SAME_TOKENIZER, textPromptTokens } from './baseline-usage.js';
import { NO_USAGE } from '../pricing/usage.js';

const RULES: CacheRules = {
  mode: 'automatic',
  minPrefixTokens: 1_024,
  ttlMs: 30 * 60_000,
  write: '30m',
};
const call = (promptTokens: number, gapMs = 1_000) => ({
  promptTokens,
  servedReadTokens: 0,
  sharedTokens: 0,
  ratio: SAME_TOKENIZER,
  gapMs,
  markedPermille: 1_000,
});

describe('the simulated cache of the baseline', () => {
  it('writes the first prompt, then reads what it wrote and writes what is new', () => {
    const first = baselineCacheOf(null, call(2_000), RULES);
    expect(first.cache).toEqual({ readTokens: 0, writeTokens: 2_000, writeTtl: '30m' });
    const second = baselineCacheOf(first.next, call(2_700), RULES);
    expect(second.cache).toEqual({ readTokens: 2_000, writeTokens: 700, writeTtl: '30m' });
    expect(second.next).toEqual({ prefixTokens: 2_700 });
  });

  it('is cold after a gap that is longer than it keeps a prefix', () => {
    const state: BaselineCacheState = { prefixTokens: 2_000 };
    expect(baselineCacheOf(state, call(2_500, RULES.ttlMs), RULES).cache.readTokens).toBe(2_000);
    expect(baselineCacheOf(state, call(2_500, RULES.ttlMs + 1), RULES).cache.readTokens).toBe(0);
  });

  it("is as warm as the served model's at least: a prefix that sessions share is paid for by none of them anew", () => {
    const shared = { ...call(2_500), servedReadTokens: 2_000 };
    const first = baselineCacheOf(null, shared, RULES);
    expect(first.cache).toEqual({ readTokens: 2_000, writeTokens: 500, writeTtl: '30m' });
    const own = baselineCacheOf({ prefixTokens: 2_300 }, shared, RULES);
    expect(own.cache).toMatchObject({ readTokens: 2_300, writeTokens: 200 });
    const ratio = { numerator: 13n, denominator: 10n };
    expect(baselineCacheOf(null, { ...shared, ratio }, RULES).cache.readTokens).toBe(2_600);
    expect(
      baselineCacheOf(null, { ...call(900), servedReadTokens: 800 }, RULES).cache.readTokens,
    ).toBe(0);
  });

  it('is as warm as what other sessions used lately, where that is long enough to be kept', () => {
    const shared = { ...call(2_500), sharedTokens: 2_000 };
    const first = baselineCacheOf(null, shared, RULES);
    expect(first.cache).toEqual({ readTokens: 2_000, writeTokens: 500, writeTtl: '30m' });
    const cold = { ...shared, gapMs: RULES.ttlMs + 1 };
    expect(baselineCacheOf({ prefixTokens: 2_400 }, cold, RULES).cache.readTokens).toBe(2_000);
    expect(baselineCacheOf({ prefixTokens: 2_400 }, shared, RULES).cache.readTokens).toBe(2_400);
    const short = { ...shared, sharedTokens: 1_023 };
    expect(baselineCacheOf(null, short, RULES).cache.readTokens).toBe(0);
    const ratio = { numerator: 13n, denominator: 10n };
    expect(baselineCacheOf(null, { ...short, ratio }, RULES).cache.readTokens).toBe(1_330);
    expect(baselineCacheOf(null, shared, NO_CACHE).cache.readTokens).toBe(0);
  });

  it('keeps nothing of a prompt that is too short, or where there is no cache', () => {
    const held = { prefixTokens: 5_000 };
    for (const [prompt, rules] of [
      [1_023, RULES],
      [9_000, NO_CACHE],
    ] as const) {
      const { cache, next } = baselineCacheOf(held, call(prompt), rules);
      expect([cache.readTokens, cache.writeTokens, next.prefixTokens]).toEqual([0, 0, 0]);
    }
  });

  it('counts by the tokenizer of the baseline, its limits included', () => {
    const ratio = { numerator: 13n, denominator: 10n };
    const { cache } = baselineCacheOf(null, { ...call(1_000), ratio }, RULES);
    expect(cache.writeTokens).toBe(1_300);
  });

  it('never reads more than the session wrote, nor splits a prompt into more than it is', () => {
    const steps = fc.array(
      fc.record({
        promptTokens: fc.nat(50_000),
        servedReadTokens: fc.constant(0),
        sharedTokens: fc.constant(0),
        gapMs: fc.nat(2 * RULES.ttlMs),
        markedPermille: fc.nat(1_000),
        ratio: fc.constantFrom(SAME_TOKENIZER, { numerator: 13n, denominator: 10n }),
      }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(steps, fc.constantFrom('automatic', 'explicit', 'none'), (calls, mode) => {
        let state: BaselineCacheState | null = null;
        for (const one of calls) {
          const { cache, next } = baselineCacheOf(state, one, { ...RULES, mode });
          expect(cache.readTokens).toBeLessThanOrEqual(state?.prefixTokens ?? 0);
          const usage = baselineUsage(
            { ...NO_USAGE, inputTokens: one.promptTokens },
            one.ratio,
            cache,
          );
          expect(usage.cacheReadTokens).toBe(cache.readTokens);
          expect(usage.cacheWrite30mTokens).toBe(cache.writeTokens);
          expect(next.prefixTokens).toBeLessThanOrEqual(textPromptTokens(usage));
          state = next;
        }
      }),
    );
  });
});
