import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ONE, prepareModelPrices } from './model-prices.js';
import type { DatedPrices, PriceTerms, Ratio } from './model-prices.js';
import { pricesToRecord, recomputeCost, usageFromRecord, usageToRecord } from './price-record.js';
import { NORMAL_TERMS, costOf, rate, resolvePrices } from './rating.js';
import type { Rating } from './rating.js';
import { PRICE_DIMENSIONS, promptTokens } from './unit-prices.js';
import type { UnitPrices } from './unit-prices.js';
import { NO_USAGE } from './usage.js';
import type { Usage } from './usage.js';

const ratios: fc.Arbitrary<Ratio> = fc.record({
  numerator: fc.bigInt({ min: 1n, max: 100n }),
  denominator: fc.bigInt({ min: 1n, max: 100n }),
});
const fullPrices = fc.record(
  Object.fromEntries(
    PRICE_DIMENSIONS.map((dimension) => [dimension, fc.bigInt({ min: 0n, max: 10n ** 14n })]),
  ),
) as unknown as fc.Arbitrary<UnitPrices>;
const usages = fc
  .record(Object.fromEntries(Object.keys(NO_USAGE).map((field) => [field, fc.nat(2_000_000)])))
  .map((usage) => usage as unknown as Usage);

function terms(multipliers: Partial<Record<keyof PriceTerms, Ratio>> = {}): PriceTerms {
  const words = (ratio: Ratio | undefined): PriceTerms['speed'] =>
    new Map([['normal', ONE], ...(ratio === undefined ? [] : [['special', ratio] as const])]);
  return {
    serviceTier: words(multipliers.serviceTier),
    speed: words(multipliers.speed),
    region: words(multipliers.region),
  };
}

function entry(prices: UnitPrices, rest: Partial<DatedPrices> = {}): DatedPrices {
  return { effectiveFromMs: 0, prices, tiers: [], terms: terms(), source: 'test', ...rest };
}

function priced(rating: Rating) {
  if (rating.kind !== 'priced') throw new Error(rating.reason);
  return rating;
}

const IN_AND_OUT: UnitPrices = { inputTokens: 2_500_000_000n, outputTokens: 10_000_000_000n };
const MODEL = prepareModelPrices('m', [entry(IN_AND_OUT)]);

describe('a cost', () => {
  it('is the sum of units times unit price, rounded once', () => {
    const prices: UnitPrices = { inputTokens: 500_000n, outputTokens: 500_000n };
    // Each half nano-USD alone would round to 0; together they are 1.
    expect(costOf({ ...NO_USAGE, inputTokens: 1, outputTokens: 1 }, prices)).toBe(1n);
  });

  it.each([
    [1, 0n],
    [3, 2n],
    [5, 2n],
    [7, 4n],
  ])('of %s half nano-USD is %s: ties go to even', (units, cost) => {
    expect(costOf({ ...NO_USAGE, inputTokens: units }, { inputTokens: 500_000n })).toBe(cost);
  });

  it('charges $10 per thousand searches at 10,000,000 nano-USD each', () => {
    const prices: UnitPrices = { webSearchCalls: 10_000n * 10n ** 9n };
    expect(costOf({ ...NO_USAGE, webSearchCalls: 3 }, prices)).toBe(30_000_000n);
  });

  it('never charges reasoning apart: it is in the output', () => {
    const usage: Usage = { ...NO_USAGE, outputTokens: 100, reasoningTokens: 90 };
    expect(priced(rate(MODEL, 1, usage, NORMAL_TERMS)).costNanoUsd).toBe(1_000_000n);
  });

  it('is unpriceable, never 0, where a used dimension has no price', () => {
    const usage: Usage = { ...NO_USAGE, cacheReadTokens: 1 };
    expect(rate(MODEL, 1, usage, NORMAL_TERMS)).toEqual({
      kind: 'unpriceable',
      reason: 'no_price_for_dimension',
    });
  });

  it('needs no price for what was not used', () => {
    expect(priced(rate(MODEL, 1, NO_USAGE, NORMAL_TERMS)).costNanoUsd).toBe(0n);
  });
});

describe('properties of every cost', () => {
  const models = fc
    .record({ prices: fullPrices, tier: ratios, speed: ratios, region: ratios })
    .map(({ prices, ...multipliers }) =>
      prepareModelPrices('m', [entry(prices, { terms: terms(multipliers) })]),
    );
  const anyTerms = fc.record({
    serviceTier: fc.constantFrom('normal', null),
    speed: fc.constantFrom('normal', 'special', null),
    region: fc.constantFrom('normal', 'special', null),
  });

  it('the stored record recomputes it exactly, through JSON', () => {
    fc.assert(
      fc.property(models, usages, anyTerms, (model, usage, words) => {
        const rating = priced(rate(model, 1, usage, words));
        const stored: unknown = JSON.parse(
          JSON.stringify([usageToRecord(usage), pricesToRecord(rating.frozen)]),
        );
        const [usageRecord, pricesRecord] = stored as [Record<string, unknown>, object];
        expect(recomputeCost(usageRecord, pricesRecord as Record<string, unknown>)).toBe(
          rating.costNanoUsd,
        );
      }),
    );
  });

  it('more usage never costs less', () => {
    fc.assert(
      fc.property(
        fullPrices,
        usages,
        fc.constantFrom(...PRICE_DIMENSIONS),
        fc.nat(1_000_000),
        (prices, usage, dimension, more) => {
          const larger: Usage = { ...usage, [dimension]: usage[dimension] + more };
          expect(costOf(larger, prices)).toBeGreaterThanOrEqual(costOf(usage, prices) ?? -1n);
        },
      ),
    );
  });

  it('two calls cost what one call of their sum costs, within one rounding each', () => {
    fc.assert(
      fc.property(fullPrices, usages, usages, (prices, a, b) => {
        const sum = Object.fromEntries(
          Object.keys(NO_USAGE).map((field) => [
            field,
            a[field as keyof Usage] + b[field as keyof Usage],
          ]),
        ) as unknown as Usage;
        const apart = (costOf(a, prices) ?? 0n) + (costOf(b, prices) ?? 0n);
        const difference = apart - (costOf(sum, prices) ?? 0n);
        expect(difference >= -1n && difference <= 1n).toBe(true);
      }),
    );
  });

  it('the order of entries, tiers and fields makes no difference', () => {
    const shuffledEntries = fc
      .array(fc.record({ at: fc.nat(1000), prices: fullPrices }), { minLength: 1, maxLength: 5 })
      .map((list) => list.filter((item, i) => list.findIndex((o) => o.at === item.at) === i))
      .chain((list) => {
        const entries = list.map((item) =>
          entry(item.prices, {
            effectiveFromMs: item.at,
            tiers: [100, 200, 300].map((abovePromptTokens) => ({
              abovePromptTokens,
              prices: { ...item.prices, inputTokens: BigInt(abovePromptTokens) },
            })),
          }),
        );
        return fc.tuple(
          fc.constant(entries),
          fc.shuffledSubarray(entries, { minLength: entries.length }),
        );
      });
    fc.assert(
      fc.property(shuffledEntries, usages, fc.nat(1000), ([entries, shuffled], usage, at) => {
        const reversedTiers = shuffled.map((e) => ({ ...e, tiers: e.tiers.toReversed() }));
        const reversedUsage = Object.fromEntries(Object.entries(usage).toReversed());
        expect(
          rate(prepareModelPrices('m', reversedTiers), at, reversedUsage as never, NORMAL_TERMS),
        ).toEqual(rate(prepareModelPrices('m', entries), at, usage, NORMAL_TERMS));
      }),
    );
  });
});

describe('prices in force', () => {
  const later = { inputTokens: 5_000_000_000n };
  const model = prepareModelPrices('m', [
    entry(later, { effectiveFromMs: 2_000 }),
    entry(IN_AND_OUT, { effectiveFromMs: 1_000 }),
  ]);
  const usage: Usage = { ...NO_USAGE, inputTokens: 1 };

  it.each([
    [1_000, 2500n],
    [1_999, 2500n],
    [2_000, 5000n],
  ])('at %s cost %s a token: an entry holds from its instant on', (at, cost) => {
    expect(priced(rate(model, at, usage, NORMAL_TERMS)).costNanoUsd).toBe(cost);
  });

  it('do not exist before the first entry', () => {
    expect(rate(model, 999, usage, NORMAL_TERMS)).toEqual({
      kind: 'unpriceable',
      reason: 'no_price_at_date',
    });
  });
});

describe('tiers by prompt size', () => {
  const model = prepareModelPrices('m', [
    entry(
      { inputTokens: 1_000_000n, cacheReadTokens: 0n, outputTokens: 1_000_000n },
      {
        tiers: [
          {
            abovePromptTokens: 10,
            prices: { inputTokens: 2_000_000n, cacheReadTokens: 0n, outputTokens: 3_000_000n },
          },
          {
            abovePromptTokens: 20,
            prices: { inputTokens: 9_000_000n, cacheReadTokens: 0n, outputTokens: 9_000_000n },
          },
        ],
      },
    ),
  ]);

  it.each([
    [{ inputTokens: 10, outputTokens: 1 }, 11n],
    [{ inputTokens: 11, outputTokens: 1 }, 25n],
    [{ inputTokens: 1, cacheReadTokens: 10, outputTokens: 1 }, 5n],
    [{ inputTokens: 1, outputTokens: 50 }, 51n],
    [{ inputTokens: 21, outputTokens: 1 }, 198n],
  ])('%j costs %s: above the edge the whole request pays, the cache counts', (used, cost) => {
    const usage: Usage = { ...NO_USAGE, ...used };
    expect(priced(rate(model, 0, usage, NORMAL_TERMS)).costNanoUsd).toBe(cost);
  });

  it('count every kind of input and no output', () => {
    const one = Object.fromEntries(
      Object.keys(NO_USAGE).map((field) => [field, 1]),
    ) as unknown as Usage;
    expect(promptTokens(one)).toBe(9);
  });
});

describe('terms', () => {
  const multipliers = {
    serviceTier: { numerator: 1n, denominator: 2n },
    speed: { numerator: 2n, denominator: 1n },
    region: { numerator: 11n, denominator: 10n },
  };
  const model = prepareModelPrices('m', [
    entry({ inputTokens: 1_000_000_000n, webSearchCalls: 7n }, { terms: terms(multipliers) }),
  ]);

  it('stack exactly, and leave the fees of tools alone', () => {
    expect(
      resolvePrices(model, 0, 0, { serviceTier: 'special', speed: 'special', region: 'special' }),
    ).toEqual({ kind: 'resolved', frozen: { inputTokens: 1_100_000_000n, webSearchCalls: 7n } });
  });

  it('that leave a fraction are rounded half-even at freezing', () => {
    const odd = prepareModelPrices('m', [
      entry({ inputTokens: 5n, outputTokens: 7n }, { terms: terms(multipliers) }),
    ]);
    expect(resolvePrices(odd, 0, 0, { ...NORMAL_TERMS, serviceTier: 'special' })).toEqual({
      kind: 'resolved',
      frozen: { inputTokens: 2n, outputTokens: 4n },
    });
  });

  it.each([
    [{ serviceTier: 'x' }, 'unknown_service_tier'],
    [{ speed: 'x' }, 'unknown_speed'],
    [{ region: 'x' }, 'unknown_region'],
  ])('%j without a price make the call unpriceable', (words, reason) => {
    expect(rate(model, 0, NO_USAGE, { ...NORMAL_TERMS, ...words })).toEqual({
      kind: 'unpriceable',
      reason,
    });
  });
});

describe('a stored record', () => {
  it('leaves zero fields out, and reads back', () => {
    const usage: Usage = { ...NO_USAGE, inputTokens: 5, reasoningTokens: 2, outputTokens: 3 };
    const record = usageToRecord(usage);
    expect(record).toEqual({ inputTokens: 5, outputTokens: 3, reasoningTokens: 2 });
    expect(usageFromRecord(record)).toEqual(usage);
  });

  it.each([
    [{ inputTokens: 1.5 }, { inputTokens: '1' }],
    [{ inputTokens: -1 }, { inputTokens: '1' }],
    [{ inputTokens: '1' }, { inputTokens: '1' }],
    [{ somethingElse: 1 }, { inputTokens: '1' }],
    [{ inputTokens: 1 }, { inputTokens: '01' }],
    [{ inputTokens: 1 }, { inputTokens: '-1' }],
    [{ inputTokens: 1 }, { inputTokens: 1 }],
    [{ inputTokens: 1 }, { somethingElse: '1' }],
    [{ inputTokens: 1 }, {}],
    [{ __proto__: null, constructor: 1 }, { inputTokens: '1' }],
  ])('that cannot have produced a cost has none: %j %j', (usage, prices) => {
    expect(recomputeCost(usage, prices)).toBeNull();
  });

  it.each([
    [{ inputTokens: '-5000000' }, -10n],
    [{ inputTokens: '-5000000', outputTokens: '0' }, -10n],
    [{ inputTokens: '5000000' }, 10n],
    [{ inputTokens: '-5000000', outputTokens: '1' }, null],
    [{ inputTokens: '-05' }, null],
    [{ inputTokens: '--5' }, null],
  ])('that takes another back has all its prices negated, or none: %j', (prices, cost) => {
    expect(recomputeCost({ inputTokens: 2 }, prices, true)).toBe(cost);
  });
});
