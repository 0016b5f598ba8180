import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_USAGE, type Usage } from '../pricing/usage.js';
import {
  baselineUsage,
  SAME_TOKENIZER,
  scaledTokens,
  textPromptTokens,
  type BaselineCache,
} from './baseline-usage.js';

const usages = fc
  .record(Object.fromEntries(Object.keys(NO_USAGE).map((field) => [field, fc.nat(2_000_000)])))
  .map((usage) => usage as unknown as Usage);
const ratios = fc.record({
  numerator: fc.bigInt({ min: 1n, max: 1_000n }),
  denominator: fc.bigInt({ min: 1n, max: 1_000n }),
});
const ttls = fc.constantFrom('5m', '30m', '1h', '12h', 'free');
const caches: fc.Arbitrary<BaselineCache> = fc.record({
  readTokens: fc.nat(20_000_000),
  writeTokens: fc.nat(20_000_000),
  writeTtl: ttls,
});

describe('the usage of the baseline', () => {
  it('splits the scaled prompt into parts that add up to it, whatever the cache is said to hold', () => {
    fc.assert(
      fc.property(usages, ratios, caches, (served, ratio, cache) => {
        const usage = baselineUsage(served, ratio, cache);
        expect(textPromptTokens(usage)).toBe(scaledTokens(textPromptTokens(served), ratio));
        for (const tokens of Object.values(usage)) {
          expect(Number.isSafeInteger(tokens) && tokens >= 0).toBe(true);
        }
        expect(usage.cacheReadTokens).toBeLessThanOrEqual(cache.readTokens);
      }),
    );
  });

  it('is that of the served model where both count alike and its cache stood the same', () => {
    fc.assert(
      fc.property(usages, ttls, (some, writeTtl) => {
        const field = {
          '5m': 'cacheWrite5mTokens',
          '30m': 'cacheWrite30mTokens',
          '1h': 'cacheWrite1hTokens',
          '12h': 'cacheWrite12hTokens',
          free: null,
        }[writeTtl] as keyof Usage | null;
        const writeTokens = field === null ? 0 : some[field];
        const served: Usage = {
          ...some,
          cacheWrite5mTokens: 0,
          cacheWrite30mTokens: 0,
          cacheWrite1hTokens: 0,
          cacheWrite12hTokens: 0,
          ...(field === null ? {} : { [field]: writeTokens }),
        };
        const cache = { readTokens: served.cacheReadTokens, writeTokens, writeTtl };
        expect(baselineUsage(served, SAME_TOKENIZER, cache)).toEqual(served);
      }),
    );
  });

  it('takes the answer, audio, images and tools as they were served', () => {
    fc.assert(
      fc.property(usages, ratios, caches, (served, ratio, cache) => {
        const { outputTokens, audioInputTokens, imageInputTokens, webSearchCalls } = served;
        expect(baselineUsage(served, ratio, cache)).toMatchObject({
          outputTokens,
          audioInputTokens,
          imageInputTokens,
          webSearchCalls,
        });
      }),
    );
  });

  it.each([
    [3, 13n, 10n, 4],
    [5, 13n, 10n, 7],
    [5, 1n, 2n, 3],
    [0, 13n, 10n, 0],
  ])('counts %i tokens times %i/%i as %i: half up', (tokens, numerator, denominator, scaled) => {
    expect(scaledTokens(tokens, { numerator, denominator })).toBe(scaled);
  });
});
