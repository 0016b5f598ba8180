import { describe, expect, test } from 'vitest';
import { studentQuantile } from './measured-difference-student.js';
import {
  estimateInterval,
  measureDifference,
  momentsOf,
  powerSums,
  unreliabilities,
  type MeasuredDifference,
  type Moments,
} from './measured-difference.js';

const repeated = (count: number, amount: (i: number) => bigint): bigint[] =>
  Array.from({ length: count }, (_, i) => amount(i));

const NOTHING_UNKNOWN = { control: 0, routed: 0, eachAtMost: 0n };

/** As if routing had saved nothing by anybody's account: the baseline of a routed session is what it cost. */
function measured(control: readonly bigint[], routed: readonly bigint[]): MeasuredDifference {
  const asRequested = powerSums([...control, ...routed]);
  return measureDifference({
    control: powerSums(control),
    routed: powerSums(routed),
    asRequested,
    unknown: NOTHING_UNKNOWN,
  });
}

test('quantiles of Student are those of the tables', () => {
  for (const [probability, degrees, value] of [
    [0.975, 1, 12.7062047362],
    [0.975, 10, 2.228138852],
    [0.975, 19.5, 2.0894],
    [0.8, 30, 0.8537673],
    [0.975, 1_000_000, 1.959966],
    [0.025, 10, -2.228138852],
  ] as const) {
    expect(studentQuantile(probability, degrees)).toBeCloseTo(value, 4);
  }
});

test('the difference is exact, whatever the size of the amounts', () => {
  const huge = 10n ** 30n;
  const { differenceNanoUsd } = measured(
    repeated(30, (i) => huge + BigInt(i)),
    repeated(60, () => huge - 1_000n),
  );
  // 14.5 above, 1,000 below: half goes to the even neighbour.
  expect(differenceNanoUsd).toBe(1_014n);
});

test('with less than 20 sessions in a group there is no interval, and it is said', () => {
  const many = repeated(1_000, (i) => BigInt(i));
  const few = repeated(19, (i) => BigInt(i));
  for (const found of [measured(few, many), measured(many, few)]) {
    expect(found).toMatchObject({ interval: null, noInterval: 'too_few_sessions' });
    expect(found.differenceNanoUsd).not.toBeNull();
    expect(found.smallestEffectNanoUsd).toBeNull();
  }
  expect(measured([], many).differenceNanoUsd).toBeNull();
  const enough = repeated(20, (i) => BigInt(i));
  expect(measured(many, enough).interval).not.toBeNull();
});

test('where every session cost the same there is nothing to estimate by', () => {
  const group = repeated(50, () => 7n);
  expect(measured(group, group)).toMatchObject({
    differenceNanoUsd: 0n,
    interval: null,
    noInterval: 'no_variation',
  });
  const free = repeated(50, () => 0n);
  expect(measured(free, free)).toMatchObject({ noInterval: 'no_variation' });
  expect(
    measured(
      free,
      repeated(50, (i) => BigInt(i)),
    ).interval,
  ).not.toBeNull();
});

test('the order of the sessions changes nothing', () => {
  const amounts = repeated(200, (i) => BigInt((i * 7_919) % 1_013) ** 2n);
  const routed = repeated(90, (i) => BigInt(i));
  expect(measured(amounts.toReversed(), routed)).toEqual(measured(amounts, routed));
});

test('what the baseline of routed sessions says moves no mean, and only ever widens the interval', () => {
  const control = powerSums(repeated(40, (i) => 1_000n + BigInt(i)));
  const routed = powerSums(repeated(1_960, (i) => 400n + BigInt(i % 50)));
  const calm = powerSums(repeated(2_000, (i) => 1_000n + BigInt(i % 50)));
  const wild = powerSums(repeated(2_000, (i) => (i % 100 === 0 ? 50_000n : 1_000n)));
  const [told, warned] = [calm, wild].map((asRequested) =>
    measureDifference({ control, routed, asRequested, unknown: NOTHING_UNKNOWN }),
  );
  expect(warned?.differenceNanoUsd).toBe(told?.differenceNanoUsd);
  expect(warned?.interval?.lowNanoUsd).toBeLessThan(Number(told?.interval?.lowNanoUsd));
  expect(warned?.interval?.highNanoUsd).toBeGreaterThan(Number(told?.interval?.highNanoUsd));
});

test('what costs are not known is in the interval at both its ends, as nothing and at the most that it may be', () => {
  const costs = repeated(1_000, (i) => 1_000n + BigInt(i % 50));
  const all = { control: powerSums(costs), routed: powerSums(costs), asRequested: powerSums([...costs, ...costs]) }; // prettier-ignore
  const [without, known] = [NOTHING_UNKNOWN, { control: 10, routed: 30, eachAtMost: 5_001n }].map(
    (unknown) => measureDifference({ ...all, unknown }),
  );
  expect(known?.differenceNanoUsd).toBe(without?.differenceNanoUsd);
  expect(known!.interval!.lowNanoUsd).toBe(without!.interval!.lowNanoUsd - 151n);
  expect(known!.interval!.highNanoUsd).toBe(without!.interval!.highNanoUsd + 51n);
  expect(known!.smallestEffectNanoUsd).toBe(without!.smallestEffectNanoUsd! + 151n);
  expect(known?.unreliable).toEqual([]);
  const many = measureDifference({ ...all, unknown: { control: 0, routed: 51, eachAtMost: 1n } });
  expect(many.unreliable).toEqual(['unknown_costs']);
});

test('moments from sums are those of the definition', () => {
  const amounts = [3n, 1n, 4n, 1n, 5n, 9n, 2n, 6n];
  const mean = 31 / 8;
  const sumOf = (power: number): number =>
    amounts.reduce((sum, amount) => sum + (Number(amount) - mean) ** power, 0);
  const moments = momentsOf(powerSums(amounts));
  expect(moments.mean).toBe(mean);
  expect(moments.variance).toBeCloseTo(sumOf(2) / 7, 12);
  expect(moments.kurtosis).toBeCloseTo((sumOf(4) * 8) / sumOf(2) ** 2, 12);
});

test('an effect of the smallest size is shown four times out of five', () => {
  const random = generator(5);
  const group = (mean: number): number[] =>
    Array.from({ length: 120 }, () => mean + 30 * normal(random));
  const estimate = (effect: number) => {
    const [control, routed] = [group(100 + effect), group(100)];
    return interval(control, routed, [...control, ...routed]);
  };
  const planned = estimate(0).smallestEffect;
  let shown = 0;
  for (let run = 0; run < 1_000; run += 1) if (estimate(planned).low > 0) shown += 1;
  expect(shown / 1_000).toBeGreaterThan(0.75);
  expect(shown / 1_000).toBeLessThan(0.87);
});

/** Costs of sessions whose mean is 1: from harmless to what no small sample can describe. */
const COSTS = {
  normal: (random) => 1 + 0.3 * normal(random),
  exponential: (random) => -Math.log(1 - random()),
  'lognormal 1': (random) => Math.exp(normal(random) - 0.5),
  'lognormal 1.5': (random) => Math.exp(1.5 * normal(random) - 1.125),
  'lognormal 2': (random) => Math.exp(2 * normal(random) - 2),
  'pareto 2.5': (random) => 0.6 * (1 - random()) ** (-1 / 2.5),
  'pareto 1.8': (random) => (0.8 / 1.8) * (1 - random()) ** (-1 / 1.8),
  'one in 50 dear': (random) => rarelyDear(random, 0.02, 25),
  'one in 200 dear': (random) => rarelyDear(random, 0.005, 60),
} as const satisfies Record<string, (random: Random) => number>;

/** What routing makes of a session's cost: of every one, of half of them, or to the worse. */
const ROUTED = {
  'all at 40 %': { cost: (cost) => 0.4 * cost, mean: 0.4 },
  'half at 10 %': { cost: (cost, random) => (random() < 0.5 ? cost : 0.1 * cost), mean: 0.55 },
  dearer: { cost: (cost) => 1.2 * cost, mean: 1.2 },
} as const satisfies Record<string, Routed>;

/** Sessions in all, and of them in the control group. */
const SIZES = [
  [1_000, 20],
  [1_000, 100],
  [2_500, 50],
  [1_000, 500],
] as const;
const RUNS = 300;

describe('coverage by simulation', () => {
  test('95 % of the intervals contain the truth, heavy tails and small control groups included', () => {
    const lines = [
      '',
      'costs            covered: the worst of every size and effect, and their mean',
    ];
    for (const costs of Object.keys(COSTS) as (keyof typeof COSTS)[]) {
      const shares = Object.keys(ROUTED).flatMap((routed) =>
        SIZES.map(([sessions, control]) => ({
          name: `${costs}, ${routed}, ${control} of ${sessions}`,
          covered: coverage(COSTS[costs], ROUTED[routed as keyof typeof ROUTED], sessions, control),
        })),
      );
      for (const { name, covered } of shares) {
        // Three standard errors of a share of so many runs.
        expect(covered, name).toBeGreaterThanOrEqual(0.95 - 3 * Math.sqrt((0.95 * 0.05) / RUNS));
      }
      const all = shares.map(({ covered }) => covered);
      const mean = all.reduce((sum, covered) => sum + covered, 0) / all.length;
      expect(mean, costs).toBeGreaterThanOrEqual(0.95);
      lines.push(`${costs.padEnd(16)} ${percent(Math.min(...all))} ${percent(mean)}`);
    }
    process.stdout.write(`${lines.join('\n')}\n`);
    // 5 s of work; the limit is for a machine that has other work too.
  }, 60_000);

  test('where an interval cannot hold it says so: too few sessions in all, or one that outweighs them', () => {
    const usual = repeated(999, (i) => 100n + BigInt(i % 3));
    expect(unreliabilities(powerSums([...usual, 100n]))).toEqual([]);
    expect(unreliabilities(powerSums(usual))).toEqual(['few_sessions']);
    expect(unreliabilities(powerSums([...usual, 12_000n]))).toEqual(['one_session_dominates']);
    expect(measured(usual.slice(0, 100), usual).unreliable).toEqual([]);
    expect(measured(usual.slice(0, 20), usual.slice(20)).unreliable).toEqual(['few_sessions']);
  });
});

interface Routed {
  readonly mean: number;
  cost(cost: number, random: Random): number;
}

/** The share of intervals that contain the true difference. */
function coverage(
  draw: (random: Random) => number,
  routing: Routed,
  sessions: number,
  control: number,
): number {
  const random = generator(sessions * 31 + control);
  const truth = 1 - routing.mean;
  let covered = 0;
  for (let run = 0; run < RUNS; run += 1) {
    const asRequested = Array.from({ length: sessions }, () => draw(random));
    const kept = asRequested.slice(0, control);
    const routed = asRequested.slice(control).map((cost) => routing.cost(cost, random));
    const { low, high } = interval(kept, routed, asRequested);
    if (low <= truth && truth <= high) covered += 1;
  }
  return covered / RUNS;
}

function interval(control: number[], routed: number[], asRequested: number[]) {
  const found = estimateInterval(
    momentsFrom(control),
    momentsFrom(routed),
    momentsFrom(asRequested),
  );
  if (found === null) throw new Error('no variation');
  return found;
}

function momentsFrom(values: readonly number[]): Moments {
  const sessions = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / sessions;
  let [second, fourth] = [0, 0];
  for (const value of values) {
    const square = (value - mean) ** 2;
    second += square;
    fourth += square * square;
  }
  return {
    sessions,
    mean,
    variance: second / (sessions - 1),
    kurtosis: (sessions * fourth) / second ** 2,
  };
}

/** Most cost about the same; a few carry `share` x `times` of all dollars. */
function rarelyDear(random: Random, share: number, times: number): number {
  if (random() < share) return times * (1 + 0.2 * normal(random));
  return ((1 - share * times) / (1 - share)) * (1 + 0.3 * normal(random));
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`.padStart(8);
}

type Random = () => number;

/** Mulberry32: pure, seeded, 32 bits. */
function generator(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
