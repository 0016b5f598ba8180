/** An amount of money: integer nano-USD (1e-9 USD). */
export type NanoUsd = bigint;

const NANO_PER_USD = 1_000_000_000n;
const FRACTION_DIGITS = 9;
const CENT_DIGITS = 2;
const USD_PATTERN = /^(-?)(\d{1,30})(?:\.(\d{1,9}))?$/;

/**
 * The one rounding that money knows: to the nearest integer, ties to the even one, so that a long sum of
 * costs drifts in neither direction. Throws `RangeError` on a divisor that is not positive.
 */
export function divideHalfEven(dividend: bigint, divisor: bigint): bigint {
  if (divisor <= 0n) throw new RangeError('divisor must be positive');
  const quotient = dividend / divisor;
  const remainder = dividend % divisor;
  if (remainder === 0n) return quotient;
  const away = dividend < 0n ? -1n : 1n;
  const doubled = (remainder < 0n ? -remainder : remainder) * 2n;
  if (doubled > divisor) return quotient + away;
  if (doubled < divisor) return quotient;
  return quotient % 2n === 0n ? quotient : quotient + away;
}

/** Exact dollars, at least two decimals and no more than needed: `-0.000012345`, `12.50`, `0.00`. */
export function formatUsd(amountNanoUsd: NanoUsd): string {
  const sign = amountNanoUsd < 0n ? '-' : '';
  const absolute = amountNanoUsd < 0n ? -amountNanoUsd : amountNanoUsd;
  const dollars = absolute / NANO_PER_USD;
  const fraction = (absolute % NANO_PER_USD).toString().padStart(FRACTION_DIGITS, '0');
  let end = FRACTION_DIGITS;
  while (end > CENT_DIGITS && fraction[end - 1] === '0') end -= 1;
  return `${sign}${dollars}.${fraction.slice(0, end)}`;
}

/** Reads exact dollars (`2`, `0.125`, `-3.50`); null for anything that nano-USD cannot hold exactly. */
export function parseUsd(text: string): NanoUsd | null {
  const match = USD_PATTERN.exec(text);
  if (match === null) return null;
  const [, sign, dollars = '', fraction = ''] = match;
  const amount = BigInt(dollars) * NANO_PER_USD + BigInt(fraction.padEnd(FRACTION_DIGITS, '0'));
  return sign === '-' ? -amount : amount;
}
