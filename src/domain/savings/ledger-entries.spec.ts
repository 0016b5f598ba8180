import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recomputeCost, usageFromRecord } from '../pricing/price-record.js';
import { costOf } from '../pricing/rating.js';
import { PRICE_DIMENSIONS, type UnitPrices } from '../pricing/unit-prices.js';
import { NO_USAGE, type Usage } from '../pricing/usage.js';
import { baselineUsage, SAME_TOKENIZER } from './baseline-usage.js';
import {
  adjustmentEntries,
  adjustmentEntry,
  failedAttemptEntry,
  routedEntry,
  type RoutedCall,
  type VersionedRating,
} from './ledger-entries.js';

const usages = fc
  .record(Object.fromEntries(Object.keys(NO_USAGE).map((field) => [field, fc.nat(2_000_000)])))
  .map((usage) => usage as unknown as Usage);
const prices = fc.record(
  Object.fromEntries(
    PRICE_DIMENSIONS.map((dimension) => [dimension, fc.bigInt({ min: 0n, max: 10n ** 14n })]),
  ),
) as unknown as fc.Arbitrary<UnitPrices>;
const caches = fc.record({
  readTokens: fc.nat(5_000_000),
  writeTokens: fc.nat(5_000_000),
  writeTtl: fc.constantFrom('5m' as const, '30m' as const, 'free' as const),
});

function rated(usage: Usage, frozen: UnitPrices, priceVersion = 'list-1'): VersionedRating {
  const costNanoUsd = costOf(usage, frozen);
  if (costNanoUsd === null) {
    return { kind: 'unpriceable', reason: 'no_price_for_dimension', priceVersion };
  }
  return { kind: 'priced', costNanoUsd, frozen, priceVersion };
}

const USAGE = { ...NO_USAGE, inputTokens: 1_000, outputTokens: 100 };
const CHEAP: UnitPrices = { inputTokens: 100_000_000n, outputTokens: 500_000_000n };
const DEAR: UnitPrices = { inputTokens: 2_000_000_000n, outputTokens: 10_000_000_000n };

function callOf(changes: Partial<RoutedCall> = {}): RoutedCall {
  return {
    orgId: '0193e2b0-0000-7000-8000-00000000000a',
    requestId: '0193e2b0-0000-7000-8000-000000000001',
    projectId: '0193e2b0-0000-7000-8000-0000000000aa',
    atMs: 1_790_000_000_000,
    synthetic: false,
    auto: false,
    source: 'classifier',
    rulesVersion: 'rules-1',
    baseline: { provider: 'openai', model: 'gpt-6-sol' },
    served: { provider: 'openai', model: 'gpt-6-luna' },
    metering: 'reported',
    usage: USAGE,
    servedRating: rated(USAGE, CHEAP),
    ratio: SAME_TOKENIZER,
    cache: { readTokens: 0, writeTokens: 0, writeTtl: 'free' },
    baselineReasons: true,
    rateBaseline: (usage) => rated(usage, DEAR, 'list-2'),
    ...changes,
  };
}

function entryOf(call: RoutedCall) {
  const accounted = routedEntry(call);
  if (accounted.kind !== 'entry') throw new Error(accounted.why);
  return accounted.entry;
}

describe('a routed entry', () => {
  it('saves what the baseline would have cost more', () => {
    expect(entryOf(callOf({ auto: true }))).toMatchObject({
      kind: 'routed',
      attempt: 0,
      auto: true,
      decision_id: '0193e2b0-0000-7000-8000-000000000001:rules-1',
      actual_nano_usd: '150000',
      baseline_nano_usd: '3000000',
      savings_nano_usd: '2850000',
      served_price_version: 'list-1',
      baseline_price_version: 'list-2',
      baseline_method: 'baseline-2',
    });
  });

  it('has amounts that anybody can compute from what stands beside them, negative savings included', () => {
    fc.assert(
      fc.property(usages, prices, prices, caches, (usage, cheap, dear, cache) => {
        const entry = entryOf(
          callOf({
            usage,
            servedRating: rated(usage, cheap),
            cache,
            rateBaseline: (baseline) => rated(baseline, dear),
          }),
        );
        const actual = recomputeCost(entry.usage, entry.served_prices);
        const baseline = recomputeCost(entry.baseline_usage, entry.baseline_prices);
        expect(String(actual)).toBe(entry.actual_nano_usd);
        expect(String(baseline)).toBe(entry.baseline_nano_usd);
        expect(String(baseline! - actual!)).toBe(entry.savings_nano_usd);
      }),
    );
  });

  it('saves nothing where the model that was asked for served it from the same cache', () => {
    fc.assert(
      fc.property(usages, prices, (some, list) => {
        const usage = {
          ...some,
          cacheWrite30mTokens: 0,
          cacheWrite1hTokens: 0,
          cacheWrite12hTokens: 0,
        };
        const { cacheReadTokens: readTokens, cacheWrite5mTokens: writeTokens } = usage;
        const entry = entryOf(
          callOf({
            usage,
            servedRating: rated(usage, list),
            cache: { readTokens, writeTokens, writeTtl: '5m' },
            rateBaseline: (baseline) => rated(baseline, list),
          }),
        );
        expect(entry.savings_nano_usd).toBe('0');
      }),
    );
  });

  it.each([
    ['estimated', { metering: 'estimated' }],
    ['unmetered', { metering: 'unmetered' }],
    ['unmetered', { metering: 'not_applicable' }],
    ['unpriceable', { ratio: null }],
    ['unpriceable', { servedRating: null }],
    ['unpriceable', { servedRating: rated(USAGE, { inputTokens: 1n }) }],
    ['unpriceable', { rateBaseline: (usage: Usage) => rated(usage, { inputTokens: 1n }) }],
    ['unpriceable', { served: { provider: 'openai', model: 'a model with words' } }],
  ] as const)('is not made of a call that is %s', (why, changes) => {
    expect(routedEntry(callOf(changes))).toMatchObject({ kind: 'excluded', why });
  });
});

describe('a failed attempt', () => {
  const failed = (usage: Usage, list: UnitPrices) =>
    failedAttemptEntry({
      ...callOf(),
      source: 'fallback',
      attempt: 1,
      tried: { provider: 'openai', model: 'gpt-6-luna' },
      usage,
      rating: rated(usage, list),
    });

  it('counts against the savings with all that it cost', () => {
    expect(failed(USAGE, CHEAP)).toMatchObject({
      kind: 'failed_attempt',
      attempt: 1,
      actual_nano_usd: '150000',
      baseline_usage: {},
      baseline_prices: {},
      baseline_nano_usd: '0',
      savings_nano_usd: '-150000',
    });
  });

  it('that cost nothing, or that nobody can price, has no entry', () => {
    expect(failed(NO_USAGE, CHEAP)).toBe('free');
    expect(failed(USAGE, { inputTokens: 1n })).toBeNull();
  });
});

describe('an adjustment', () => {
  it('takes an entry back and says it anew: together they are what the new prices say, exactly', () => {
    fc.assert(
      fc.property(usages, prices, prices, caches, (usage, wrong, right, cache) => {
        const original = entryOf(
          callOf({
            usage,
            cache,
            servedRating: rated(usage, wrong),
            rateBaseline: (baseline) => rated(baseline, wrong),
          }),
        );
        const baseline = baselineUsage(usage, SAME_TOKENIZER, cache);
        const pair = adjustmentEntries(
          original,
          { served: usage, baseline },
          {
            atMs: 1_790_000_001_000,
            attempt: 0,
            servedPrices: right,
            servedPriceVersion: 'late-1',
            baselinePrices: right,
            baselinePriceVersion: 'late-1',
          },
        );
        const all = [original, ...pair!];
        const sum = (field: 'actual_nano_usd' | 'baseline_nano_usd' | 'savings_nano_usd'): bigint =>
          all.reduce((total, entry) => total + BigInt(entry[field]), 0n);
        expect(sum('actual_nano_usd')).toBe(costOf(usage, right));
        expect(sum('baseline_nano_usd')).toBe(costOf(baseline, right));
        expect(sum('savings_nano_usd')).toBe(costOf(baseline, right)! - costOf(usage, right)!);
        expect(pair!.map(({ kind, attempt }) => [kind, attempt])).toEqual([
          ['adjustment', 0],
          ['adjustment', 1],
        ]);
      }),
    );
  });

  it('of a call that could not be priced before is a whole entry with the date at which it could', () => {
    const unpriceable = {
      kind: 'unpriceable',
      reason: 'unknown_model',
      priceVersion: '1',
    } as const;
    const accounted = routedEntry(callOf({ servedRating: unpriceable }));
    const unpriced = accounted.kind === 'excluded' ? accounted.unpriced : undefined;
    const used = {
      served: usageFromRecord(unpriced!.usage)!,
      baseline: usageFromRecord(unpriced!.baseline_usage)!,
    };
    const late = { atMs: 1_790_000_900_000, attempt: 1 };
    const baseline = rated(used.baseline, DEAR, 'list-2');
    const served = rated(used.served, CHEAP);
    expect(adjustmentEntry(unpriced!, used, { served, baseline }, late)).toEqual({
      ...entryOf(callOf()),
      kind: 'adjustment',
      attempt: 1,
      at_ms: 1_790_000_900_000,
    });
    expect(adjustmentEntry(unpriced!, used, { served: unpriceable, baseline }, late)).toBeNull();
  });

  it('can only follow where nothing but a price is missing', () => {
    for (const changes of [{ ratio: null }, { metering: 'estimated' as const }]) {
      expect(routedEntry(callOf(changes))).not.toHaveProperty('unpriced');
    }
  });
});
