import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_CACHE, type CacheRules } from './session-cache.js';
import {
  expectedSessionsNanoUsd,
  type SessionFacts,
  type TargetEconomics,
} from './session-economics.js';
import { NO_GAPS } from './session-habits.js';

const MINUTE_MS = 60_000;
const EXPLICIT: CacheRules = {
  mode: 'explicit',
  minPrefixTokens: 1_000,
  ttlMs: 5 * MINUTE_MS,
  write: '5m',
};
const AUTOMATIC: CacheRules = { ...EXPLICIT, mode: 'automatic', write: 'free' };
/** $2 input, $0.10 read, $2.50 write, $10 output per million tokens. */
const DEAR = {
  prices: {
    inputTokens: 2_000_000_000n,
    cacheReadTokens: 100_000_000n,
    cacheWrite5mTokens: 2_500_000_000n,
    outputTokens: 10_000_000_000n,
  },
  tiers: [],
};
const LAST_CALL: SessionFacts = {
  promptTokens: 10_000,
  growthTokens: 1_000,
  promptTokensMax: 1_000_000,
  outputTokens: 100,
  gaps: NO_GAPS,
  habitGaps: NO_GAPS,
  markedPermille: 1_000,
  reusedPermille: 1_000,
  toCome: [],
};
const SURE = { ordinal: 1, callsPpm: 1_000_000, first: 1, firstPpm: 1_000_000 };
const OUTPUT_NANO_USD = 1_000_000n;

function expectedSessionNanoUsd(facts: SessionFacts, target: TargetEconomics): bigint | null {
  return expectedSessionsNanoUsd(facts, [target])[0] ?? null;
}

describe('the expected dollars of a session', () => {
  it('write the whole prefix where the cache is cold', () => {
    const cost = expectedSessionNanoUsd(LAST_CALL, { prices: DEAR, cache: EXPLICIT, state: null });
    expect(cost).toBe(25_000_000n + OUTPUT_NANO_USD);
  });

  it('read the warm prefix and write the rest, until the time to live is over', () => {
    const at = (ageMs: number) =>
      expectedSessionNanoUsd(LAST_CALL, {
        prices: DEAR,
        cache: EXPLICIT,
        state: { prefixTokens: 9_000, ageMs },
      });
    expect(at(0)).toBe(900_000n + 2_500_000n + OUTPUT_NANO_USD);
    expect(at(5 * MINUTE_MS)).toBe(at(0));
    expect(at(5 * MINUTE_MS + 1)).toBe(25_000_000n + OUTPUT_NANO_USD);
  });

  it('pay plain input where writing is free, nothing is cached, or the prefix is too short', () => {
    const plain = 20_000_000n + OUTPUT_NANO_USD;
    for (const cache of [AUTOMATIC, NO_CACHE, { ...EXPLICIT, minPrefixTokens: 10_001 }]) {
      expect(expectedSessionNanoUsd(LAST_CALL, { prices: DEAR, cache, state: null })).toBe(plain);
    }
    const state = { prefixTokens: 999, ageMs: 0 };
    expect(expectedSessionNanoUsd(LAST_CALL, { prices: DEAR, cache: AUTOMATIC, state })).toBe(
      plain,
    );
  });

  it('cache of an explicit request what it marks, and of an unmarked one nothing', () => {
    const cost = (markedPermille: number) =>
      expectedSessionNanoUsd(
        { ...LAST_CALL, markedPermille },
        { prices: DEAR, cache: EXPLICIT, state: { prefixTokens: 5_000, ageMs: 0 } },
      );
    expect(cost(500)).toBe(500_000n + 10_000_000n + OUTPUT_NANO_USD);
    expect(cost(0)).toBe(20_000_000n + OUTPUT_NANO_USD);
  });

  it('count a call to come by its chance, with its growth and the prefix that the one before leaves', () => {
    const facts = {
      ...LAST_CALL,
      toCome: [{ ordinal: 1, callsPpm: 500_000, first: 1, firstPpm: 500_000 }],
    };
    const cost = expectedSessionNanoUsd(facts, { prices: DEAR, cache: EXPLICIT, state: null });
    const next = 1_000_000n + 2_500_000n + OUTPUT_NANO_USD;
    expect(cost).toBe(25_000_000n + OUTPUT_NANO_USD + next / 2n);
  });

  it('count a call to come as cold as often as gaps outlast the cache, or the prefix is not found', () => {
    const facts = { ...LAST_CALL, toCome: [SURE] };
    const cold = 11_000n * 2_500n + OUTPUT_NANO_USD;
    const first = 25_000_000n + OUTPUT_NANO_USD;
    const target = { prices: DEAR, cache: EXPLICIT, state: null };
    expect(expectedSessionNanoUsd({ ...facts, reusedPermille: 0 }, target)).toBe(first + cold);
    const rare = expectedSessionNanoUsd({ ...facts, gaps: [0, 99, 0, 0, 0, 0] }, target);
    const close = expectedSessionNanoUsd({ ...facts, gaps: [99, 0, 0, 0, 0, 0] }, target);
    expect(rare).toBeGreaterThan(close ?? 0n);
  });

  it('use the tier that a grown prompt reaches', () => {
    const tiers = [{ abovePromptTokens: 10_500, prices: { ...DEAR.prices, inputTokens: 9n } }];
    const facts = { ...LAST_CALL, toCome: [SURE] };
    const prices = { prices: DEAR.prices, tiers };
    const cost = expectedSessionNanoUsd(facts, { prices, cache: NO_CACHE, state: null });
    expect(cost).toBe(20_000_000n + 2n * OUTPUT_NANO_USD);
  });

  it('are unknown where a price is missing that would be used', () => {
    const { cacheReadTokens: _, ...prices } = DEAR.prices;
    const target = { prices: { prices, tiers: [] }, cache: EXPLICIT };
    expect(expectedSessionNanoUsd(LAST_CALL, { ...target, state: null })).not.toBeNull();
    const state = { prefixTokens: 5_000, ageMs: 0 };
    expect(expectedSessionNanoUsd(LAST_CALL, { ...target, state })).toBeNull();
  });

  it('count in the target’s own tokens', () => {
    const tokens = { numerator: 13n, denominator: 10n };
    const target = { prices: DEAR, cache: NO_CACHE, state: null, tokens };
    expect(expectedSessionNanoUsd(LAST_CALL, target)).toBe(26_000_000n + 1_300_000n);
  });

  it('never fall when a warm cache gets older, and never rise when it gets larger', () => {
    const cost = (prefixTokens: number, ageMs: number) =>
      expectedSessionNanoUsd(LAST_CALL, {
        prices: DEAR,
        cache: EXPLICIT,
        state: { prefixTokens, ageMs },
      }) ?? 0n;
    const tokens = fc.nat(20_000);
    const age = fc.nat(10 * MINUTE_MS);
    fc.assert(
      fc.property(tokens, tokens, age, age, (a, b, young, old) => {
        expect(cost(Math.max(a, b), young)).toBeLessThanOrEqual(cost(Math.min(a, b), young));
        expect(cost(a, Math.max(young, old))).toBeGreaterThanOrEqual(cost(a, Math.min(young, old)));
      }),
    );
  });
});

describe('the expected dollars of a session that may move later', () => {
  const CHEAP = {
    prices: { inputTokens: 1_000_000_000n, cacheReadTokens: 500_000_000n, outputTokens: 0n },
    tiers: [],
  };
  const warm = { prefixTokens: 10_000, ageMs: 0 };
  const dear = { prices: DEAR, cache: EXPLICIT, state: warm };
  const cheap = { prices: CHEAP, cache: NO_CACHE, state: null };
  const still = { ...LAST_CALL, growthTokens: 0 };

  it('are never more than those of one that stays', () => {
    const facts = { ...still, toCome: [SURE] };
    const [together] = expectedSessionsNanoUsd(facts, [dear, cheap]);
    expect(together).toBeLessThanOrEqual(expectedSessionNanoUsd(facts, dear) ?? 0n);
  });

  it('count the move at the call that finds its cache cold anyway, not before', () => {
    // The gaps outlast the dear model's cache, which is warm for the call at hand alone.
    const facts = { ...still, gaps: [0, 1_000_000, 0, 0, 0, 0], toCome: [SURE] };
    const [staying, moving] = expectedSessionsNanoUsd(facts, [dear, cheap]);
    expect(moving).toBe(20_000_000n);
    expect(staying).toBe(1_000_000n + OUTPUT_NANO_USD + 10_000_000n);
  });

  it('leave out a target that cannot be priced', () => {
    const { inputTokens: _, ...prices } = CHEAP.prices;
    const unpriced = { ...cheap, prices: { prices, tiers: [] } };
    const facts = { ...still, toCome: [SURE] };
    expect(expectedSessionsNanoUsd(facts, [dear, unpriced, null])).toEqual([
      expectedSessionNanoUsd(facts, dear),
      null,
      null,
    ]);
  });

  it('expect no prompt beyond the longest that was seen', () => {
    const facts = { ...LAST_CALL, promptTokensMax: 10_200, toCome: [SURE] };
    expect(expectedSessionNanoUsd(facts, { ...cheap, state: null })).toBe(20_200_000n);
  });
});
