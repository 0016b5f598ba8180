import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { progressLine } from './progress.js';
import { summaryTable } from './summary-table.js';
import { LatencyHistogram, Tally } from './tally.js';

describe('LatencyHistogram', () => {
  test('a quantile is within 2 % above the exact one, for durations up to an hour', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.02, max: 3_600_000, noNaN: true }), { minLength: 1 }),
        fc.constantFrom(0.5, 0.99, 1),
        (durations, share) => {
          const histogram = new LatencyHistogram();
          for (const ms of durations) histogram.add(ms);
          const sorted = durations.toSorted((a, b) => a - b);
          const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1] ?? 0;
          const quantile = histogram.quantileMs(share) ?? 0;
          // Figures are rounded to a hundredth of a millisecond.
          expect(quantile).toBeGreaterThanOrEqual(exact - 0.006);
          expect(quantile).toBeLessThanOrEqual(exact * 1.0201 + 0.006);
        },
      ),
    );
  });

  test('without a duration there is no quantile', () => {
    expect(new LatencyHistogram().quantileMs(0.5)).toBeNull();
  });
});

describe('Tally', () => {
  test('its summary accounts for every call and every skipped line', () => {
    const tally = new Tally();
    tally.addOutcome({
      kind: 'succeeded',
      latencyMs: 100,
      firstByteMs: 10,
      tokens: { inputTokens: 3, outputTokens: 4 },
    });
    tally.addOutcome({ kind: 'succeeded', latencyMs: 100, firstByteMs: 10, tokens: null });
    tally.addOutcome({ kind: 'failed', reason: '429 rate_limit_exceeded' });
    tally.addMalformed(7, 'not JSON');
    tally.addLateStart();
    const summary = tally.summary(2_000);
    expect(summary).toMatchObject({
      calls: 3,
      succeeded: 2,
      failed: 1,
      failures: { '429 rate_limit_exceeded': 1 },
      malformedLines: 1,
      startedLate: 1,
      inputTokens: 3,
      outputTokens: 4,
      callsWithoutUsage: 1,
      callsPerSecond: 1.5,
    });
    const table = summaryTable(summary, 0.5);
    for (const text of ['429 rate_limit_exceeded', 'line 7', 'not JSON', '0.5000 USD']) {
      expect(table).toContain(text);
    }
  });

  test('its size is bounded, whatever fails', () => {
    const tally = new Tally();
    for (let at = 0; at < 1_000; at += 1) {
      tally.addOutcome({ kind: 'failed', reason: `reason ${at}` });
      tally.addMalformed(at, 'not JSON');
    }
    const { failures, malformed, malformedLines } = tally.summary(1_000);
    expect(Object.keys(failures).length).toBeLessThanOrEqual(50);
    expect(Object.values(failures).reduce((sum, count) => sum + count, 0)).toBe(1_000);
    expect(malformed.length).toBeLessThanOrEqual(20);
    expect(malformedLines).toBe(1_000);
  });
});

test('progress is a bar on a terminal and plain words elsewhere', () => {
  const state = { calls: 50, failed: 2, elapsedMs: 10_000, share: 0.25 };
  expect(progressLine(state, true)).toBe(
    '######------------------  25 %  50 calls, 2 failed, 5.0/s, 10 s',
  );
  expect(progressLine(state, false)).toBe(' 25 %  50 calls, 2 failed, 5.0/s, 10 s');
});
