import { beforeAll, describe, expect, it } from 'vitest';
import {
  closePairs,
  closeSessions,
  excess,
  grouped,
  regretTable,
  samplingError,
  simulate,
  worstExcess,
  worstFirst,
  type RegretRow,
} from './regret.js';

/** Of each family and pair; the seeds are fixed, so the figures are the same everywhere. */
const SEED = 77;
const SESSIONS = 24;
const CLOSE_SESSIONS = 480;
const EXCESS_MAX = 0.01;

/** Dearer than the bound by more than chance makes of so few sessions; `bench/session-regret.ts` takes more. */
function dearer(rows: readonly RegretRow[]): string[] {
  return rows
    .filter((row) => worstExcess(row) - 2 * samplingError(row) > EXCESS_MAX)
    .map(({ group }) => group);
}

describe('the policy for sessions', () => {
  let rows: readonly RegretRow[] = [];
  const families = () => grouped(rows, ({ group }) => group);
  const pairs = () => grouped(rows, ({ pair }) => pair);

  beforeAll(() => {
    rows = simulate(() => SESSIONS, true, SEED);
    process.stdout.write(`\n${regretTable('family', families())}\n`);
    process.stdout.write(`${regretTable('pair', pairs())}\n`);
  });

  it('costs at most 1 % more than always-stay and than always-switch, in every family of traces', () => {
    expect(families()).toHaveLength(19);
    expect(dearer(families())).toEqual([]);
  });

  it('does so for every family and pair', () => {
    expect(worstFirst(rows)).toHaveLength(209);
    expect(dearer(worstFirst(rows))).toEqual([]);
  });

  it('does so for every pair of the catalog', () => {
    expect(pairs()).toHaveLength(11);
    expect(dearer(pairs())).toEqual([]);
  });

  it('does so in every family without having observed anything', () => {
    const unobserved = simulate(() => SESSIONS, false, SEED);
    expect(dearer(grouped(unobserved, ({ group }) => group))).toEqual([]);
  });
});

describe('the policy for sessions, where staying and switching cost nearly the same', () => {
  let rows: readonly RegretRow[] = [];

  beforeAll(() => {
    const close = simulate(
      (family) => closeSessions(family, CLOSE_SESSIONS),
      true,
      SEED,
      closePairs(),
    );
    rows = grouped(close, ({ group, pair }) => `${group}: ${pair}`);
    process.stdout.write(`\n${regretTable('close calls', rows)}\n`);
  });

  it('costs at most 1 % more than either, in every family and for every pair', () => {
    expect(rows).toHaveLength(28);
    expect(dearer(rows)).toEqual([]);
  });

  it('is put to the test: each of the two is wrong by more than 5 % somewhere', () => {
    const wrong = (a: bigint, b: bigint): boolean => excess(a, b) > 0.05;
    expect(rows.some((row) => wrong(row.stayNanoUsd, row.switchNanoUsd))).toBe(true);
    expect(rows.some((row) => wrong(row.switchNanoUsd, row.stayNanoUsd))).toBe(true);
  });

  it('beats both where neither is right for every session', () => {
    const mixed = rows.filter(({ group }) => group.startsWith('short, close, middle'));
    expect(mixed).toHaveLength(4);
    for (const { policyNanoUsd, stayNanoUsd, switchNanoUsd } of mixed) {
      expect(excess(policyNanoUsd, stayNanoUsd)).toBeLessThan(-0.03);
      expect(excess(policyNanoUsd, switchNanoUsd)).toBeLessThan(-0.03);
    }
  });
});
