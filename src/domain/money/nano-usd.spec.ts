import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { divideHalfEven, formatUsd, parseUsd } from './nano-usd.js';

const amounts = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n });
const divisors = fc.bigInt({ min: 1n, max: 10n ** 12n });

describe('divideHalfEven', () => {
  it.each([
    [5n, 10n, 0n],
    [15n, 10n, 2n],
    [25n, 10n, 2n],
    [35n, 10n, 4n],
    [-5n, 10n, 0n],
    [-15n, 10n, -2n],
    [-25n, 10n, -2n],
    [24n, 10n, 2n],
    [26n, 10n, 3n],
    [-26n, 10n, -3n],
    [0n, 7n, 0n],
    [1n, 3n, 0n],
    [2n, 3n, 1n],
  ])('%s / %s is %s: ties go to the even integer', (dividend, divisor, expected) => {
    expect(divideHalfEven(dividend, divisor)).toBe(expected);
  });

  it('is never further than half a unit from the exact quotient', () => {
    fc.assert(
      fc.property(amounts, divisors, (dividend, divisor) => {
        const error = divideHalfEven(dividend, divisor) * divisor - dividend;
        expect((error < 0n ? -error : error) * 2n <= divisor).toBe(true);
      }),
    );
  });

  it('gives an even integer at every tie', () => {
    fc.assert(
      fc.property(amounts, divisors, (quotient, half) => {
        const rounded = divideHalfEven(quotient * 2n * half + half, 2n * half);
        expect(rounded % 2n === 0n).toBe(true);
      }),
    );
  });

  it('treats a debt like a credit of the same size', () => {
    fc.assert(
      fc.property(amounts, divisors, (dividend, divisor) => {
        expect(divideHalfEven(-dividend, divisor)).toBe(-divideHalfEven(dividend, divisor));
      }),
    );
  });

  it('refuses a divisor that is not positive', () => {
    expect(() => divideHalfEven(1n, 0n)).toThrow(RangeError);
    expect(() => divideHalfEven(1n, -1n)).toThrow(RangeError);
  });
});

describe('dollars as text', () => {
  it.each([
    [0n, '0.00'],
    [12_500_000_000n, '12.50'],
    [-12_345n, '-0.000012345'],
    [1n, '0.000000001'],
    [1_000_000_000_000n, '1000.00'],
    [120_000_000n, '0.12'],
  ])('%s nano-USD is %s', (amount, text) => {
    expect(formatUsd(amount)).toBe(text);
  });

  it('reads back every amount exactly', () => {
    fc.assert(
      fc.property(amounts, (amount) => {
        expect(parseUsd(formatUsd(amount))).toBe(amount);
      }),
    );
  });

  it.each(['', '1.', '.5', '1e3', '+1', '1,000', '0.0000000001', ' 1', 'NaN', '--1', '$1'])(
    'refuses %j',
    (text) => {
      expect(parseUsd(text)).toBeNull();
    },
  );
});
