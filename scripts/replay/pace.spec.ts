import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { startOf, streams } from './pace.js';

describe('startOf', () => {
  test('calls start on a steady grid', () => {
    expect(startOf(0, 4, 0)).toEqual({ waitMs: 0, late: false });
    expect(startOf(3, 4, 500)).toEqual({ waitMs: 250, late: false });
  });

  test('a call behind its time starts at once, and counts as late', () => {
    expect(startOf(3, 4, 2_000)).toEqual({ waitMs: 0, late: true });
    expect(startOf(3, 4, 751)).toEqual({ waitMs: 0, late: false });
  });
});

test('streams are spread evenly over the calls', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(1_000), (share, from) => {
      const count = Array.from({ length: 200 }, (_, at) => streams(from + at, share)).filter(
        Boolean,
      ).length;
      expect(Math.abs(count - 200 * share)).toBeLessThanOrEqual(1.000001);
    }),
  );
});
