import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { callsToCome, learned, NO_GAPS, NO_HABITS, warmSharePpm } from './session-habits.js';

const MINUTE_MS = 60_000;
const total = (habits: typeof NO_HABITS, turn: number): number =>
  callsToCome(habits, turn).reduce((sum, { callsPpm }) => sum + callsPpm, 0) / 1_000_000;

function afterSessions(lengths: readonly number[]): typeof NO_HABITS {
  let habits = NO_HABITS;
  for (const length of lengths) {
    for (let turns = 1; turns <= length; turns += 1) {
      habits = learned(habits, {
        turns,
        gapMs: null,
        growthTokens: null,
        promptTokens: 1,
        outputTokens: 1,
      });
    }
  }
  return habits;
}

describe('the calls to come', () => {
  it('are more, the longer a session of an unknown application has lasted', () => {
    const expected = [1, 2, 4, 8, 16, 32].map((turn) => total(NO_HABITS, turn));
    expect(expected.toSorted((a, b) => a - b)).toEqual(expected);
  });

  it('are about as many as the session has had, where nothing is known', () => {
    for (const turn of [1, 4, 16, 64]) {
      expect(total(NO_HABITS, turn) / turn).toBeGreaterThan(0.6);
      expect(total(NO_HABITS, turn) / turn).toBeLessThan(1.3);
    }
  });

  it('are about as many as sessions of a known length had left', () => {
    // One in forty ends at each turn, however many went before.
    const lengths = Array.from({ length: 2_000 }, (_, at) =>
      Math.ceil(Math.log((at + 0.5) / 2_000) / Math.log(1 - 1 / 40)),
    );
    const habits = afterSessions(lengths);
    for (const turn of [1, 5, 20, 60]) {
      expect(total(habits, turn)).toBeGreaterThan(31);
      expect(total(habits, turn)).toBeLessThan(47);
    }
  });

  it('are next to none where every session was a single call', () => {
    expect(total(afterSessions(Array.from({ length: 1_000 }, () => 1)), 1)).toBeLessThan(0.05);
  });

  it('are finite and in bounded blocks, whatever was counted', () => {
    const counts = fc.array(fc.nat(10_000), { minLength: 11, maxLength: 11 });
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 1_000_001 }), (reached, turn) => {
        const blocks = callsToCome({ ...NO_HABITS, reached }, turn);
        expect(blocks.length).toBeLessThanOrEqual(11);
        for (const { callsPpm } of blocks) {
          expect(Number.isSafeInteger(callsPpm)).toBe(true);
          expect(callsPpm).toBeGreaterThan(0);
        }
        expect(blocks.reduce((sum, { callsPpm }) => sum + callsPpm, 0)).toBeLessThanOrEqual(
          2_047_000_000,
        );
      }),
    );
  });
});

describe('the share of gaps that a cache outlasts', () => {
  it('follows the session, and the application where the session has shown nothing', () => {
    const ttlMs = 5 * MINUTE_MS;
    expect(warmSharePpm(NO_GAPS, NO_GAPS, ttlMs)).toBe(1_000_000);
    const slowHabit = [0, 100, 0, 0, 0, 0];
    expect(warmSharePpm(NO_GAPS, slowHabit, ttlMs)).toBeLessThan(20_000);
    expect(warmSharePpm([64, 0, 0, 0, 0, 0], slowHabit, ttlMs)).toBeGreaterThan(750_000);
    expect(warmSharePpm(NO_GAPS, slowHabit, 30 * MINUTE_MS)).toBe(1_000_000);
  });
});

it('habits stay bounded however many calls teach them', () => {
  let habits = NO_HABITS;
  for (let call = 0; call < 20_000; call += 1) {
    habits = learned(habits, {
      turns: 1,
      gapMs: 1,
      growthTokens: 10,
      promptTokens: 5,
      outputTokens: 700,
    });
  }
  expect(Math.max(...habits.reached)).toBeLessThanOrEqual(4_096);
  expect(habits.outputTokens).toBeCloseTo(700, 0);
  expect(habits.growthTokens).toBeCloseTo(10, 0);
});
