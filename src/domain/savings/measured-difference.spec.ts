import { describe, expect, test } from 'vitest';
import { studentQuantile } from './measured-difference-student.js';
import {
  estimateInterval,
  measureDifference,
  momentsOf,
  NO_SESSIONS,
  powerSums,
  unreliabilities,
  type Moments,
} from './measured-difference.js';

const repeated = (count: number, amount: (i: number) => bigint): bigint[] =>
  Array.from({ length: count }, (_, i) => amount(i));

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
  const measured = measureDifference(
    powerSums(repeated(30, (i) => huge + BigInt(i))),
    powerSums(repeated(60, () => huge - 1_000n)),
  );
  // 14.5 above, 1,000 below: half goes to the even neighbour.
  expect(measured.differenceNanoUsd).toBe(1_014n);
});

test('with less than 20 sessions in a group there is no interval, and it is said', () => {
  const many = powerSums(repeated(1_000, (i) => BigInt(i)));
  const few = powerSums(repeated(19, (i) => BigInt(i)));
  for (const measured of [measureDifference(few, many), measureDifference(many, few)]) {
    expect(measured).toMatchObject({ interval: null, noInterval: 'too_few_sessions' });
    expect(measured.differenceNanoUsd).not.toBeNull();
    expect(measured.smallestEffectNanoUsd).toBeNull();
  }
  expect(measureDifference(NO_SESSIONS, many).differenceNanoUsd).toBeNull();
  expect(
    measureDifference(many, powerSums(repeated(20, (i) => BigInt(i)))).interval,
  ).not.toBeNull();
});

test('where every session cost the same there is nothing to estimate by', () => {
  const group = powerSums(repeated(50, () => 7n));
  expect(measureDifference(group, group)).toMatchObject({
    differenceNanoUsd: 0n,
    interval: null,
    noInterval: 'no_variation',
  });
});

test('the order of the sessions changes nothing', () => {
  const amounts = repeated(200, (i) => BigInt((i * 7_919) % 1_013) ** 2n);
  const routed = powerSums(repeated(90, (i) => BigInt(i)));
  expect(measureDifference(powerSums(amounts.toReversed()), routed)).toEqual(
    measureDifference(powerSums(amounts), routed),
  );
});

test('moments from sums are those of the definition', () => {
  const amounts = [3n, 1n, 4n, 1n, 5n, 9n, 2n, 6n];
  const mean = 31 / 8;
  const sumOf = (power: number): number =>
    amounts.reduce((sum, amount) => sum + (Number(amount) - mean) ** power, 0);
  const moments = momentsOf(powerSums(amounts));
  expect(moments.mean).toBe(mean);
  expect(moments.variance).toBeCloseTo(sumOf(2) / 7, 12);
  expect(moments.third).toBeCloseTo((sumOf(3) * 8) / (7 * 6), 12);
});

test('an effect of the smallest size is shown four times out of five', () => {
  const random = generator(5);
  const group = (mean: number): Moments =>
    momentsFrom(Array.from({ length: 120 }, () => mean + 30 * normal(random)));
  const planned = estimateInterval(group(100), group(100))?.smallestEffect ?? 0;
  let shown = 0;
  for (let run = 0; run < 1_000; run += 1) {
    if ((estimateInterval(group(100 + planned), group(100))?.low ?? -1) > 0) shown += 1;
  }
  expect(shown / 1_000).toBeGreaterThan(0.75);
  expect(shown / 1_000).toBeLessThan(0.85);
});

/** Costs of sessions whose mean is 1: from harmless to what no small sample can describe. */
const COSTS = {
  normal: (random: Random) => 1 + 0.3 * normal(random),
  'lognormal 1': (random: Random) => Math.exp(normal(random) - 0.5),
  'lognormal 1.5': (random: Random) => Math.exp(1.5 * normal(random) - 1.125),
  'lognormal 2': (random: Random) => Math.exp(2 * normal(random) - 2),
  'pareto 2.5': (random: Random) => 0.6 * (1 - random()) ** (-1 / 2.5),
} as const;
const SESSIONS = [50, 200, 500, 1_000, 5_000];
const SHARES = [0.02, 0.1];
const RUNS = 600;
/** By how much routing makes sessions cheaper here. */
const ROUTED_COST = 0.4;

interface Coverage {
  readonly covered: number;
  readonly said: number;
  /** Not covered, and nothing said. */
  readonly misled: number;
}

describe('coverage by simulation', () => {
  const lines: string[] = [];
  const scenarios = SESSIONS.flatMap((sessions) =>
    SHARES.flatMap((share) =>
      (Object.keys(COSTS) as (keyof typeof COSTS)[]).map((costs) => ({ sessions, share, costs })),
    ),
  );
  /** Where the interval holds what it says; elsewhere it must say that it does not. */
  const reliable = new Set([
    'normal 20', 'normal 50', 'normal 100', 'normal 500',
    'lognormal 1 100', 'lognormal 1 500', 'lognormal 1.5 500', 'pareto 2.5 500',
  ]); // prettier-ignore

  test('the truth is in 95 % of the intervals, or they say that they are unreliable', () => {
    for (const { sessions, share, costs } of scenarios) {
      const control = Math.round(sessions * share);
      if (control < 20) continue;
      const { covered, said, misled } = simulate(sessions, control, costs);
      lines.push(
        [costs.padEnd(14), String(sessions).padStart(5), String(control).padStart(4)]
          .concat([covered, said, misled].map((of) => `${(100 * of).toFixed(1)} %`.padStart(8)))
          .join(' '),
      );
      const scenario = `${costs} ${control} of ${sessions}`;
      if (reliable.has(`${costs} ${control}`))
        expect(covered, scenario).toBeGreaterThanOrEqual(0.93);
      else expect(said, scenario).toBeGreaterThanOrEqual(0.85);
      expect(misled, scenario).toBeLessThanOrEqual(0.07);
    }
    process.stdout.write(
      `\ncosts       sessions ctrl  covered  flagged  misled\n${lines.join('\n')}\n`,
    );
    // 5 s of work; the limit is for a machine that has other work too.
  }, 60_000);

  test('the rule by which it says so', () => {
    expect(unreliabilities(50, 0.2, false)).toEqual([]);
    expect(unreliabilities(49, 0, false)).toEqual(['few_sessions']);
    expect(unreliabilities(50, -0.21, false)).toEqual(['skewed']);
    expect(unreliabilities(5_000, 0.21, true)).toEqual(['skewed', 'one_session_dominates']);
    const one = powerSums([...repeated(99, () => 100n), 1_101n]);
    const usual = powerSums(repeated(900, (i) => 100n + BigInt(i % 3)));
    expect(measureDifference(one, usual).unreliable).toContain('one_session_dominates');
    expect(measureDifference(powerSums([...repeated(99, (i) => 90n + BigInt(i % 20)), 100n]), usual))
      .toMatchObject({ noInterval: null, unreliable: [] }); // prettier-ignore
  });
});

function simulate(sessions: number, control: number, costs: keyof typeof COSTS): Coverage {
  const random = generator(sessions * 31 + control);
  const draw = COSTS[costs];
  const [truth, count] = [1 - ROUTED_COST, { covered: 0, said: 0, misled: 0 }];
  for (let run = 0; run < RUNS; run += 1) {
    const kept = Array.from({ length: control }, () => draw(random));
    const routed = Array.from({ length: sessions - control }, () => ROUTED_COST * draw(random));
    const found = estimateInterval(momentsFrom(kept), momentsFrom(routed));
    if (found === null) throw new Error('no variation');
    const covers = found.low <= truth && truth <= found.high;
    const dominates = [kept, routed].some((group) => largestShare(group) > 0.1);
    const says = unreliabilities(control, found.skewness, dominates).length > 0;
    if (covers) count.covered += 1;
    if (says) count.said += 1;
    if (!covers && !says) count.misled += 1;
  }
  return { covered: count.covered / RUNS, said: count.said / RUNS, misled: count.misled / RUNS };
}

function largestShare(group: readonly number[]): number {
  let [sum, largest] = [0, 0];
  for (const value of group) {
    sum += value;
    if (value > largest) largest = value;
  }
  return largest / sum;
}

function momentsFrom(values: readonly number[]): Moments {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  let [second, third] = [0, 0];
  for (const value of values) {
    const off = value - mean;
    second += off * off;
    third += off * off * off;
  }
  return {
    sessions: n,
    mean,
    variance: second / (n - 1),
    third: (third * n) / ((n - 1) * (n - 2)),
  };
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
