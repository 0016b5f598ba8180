import { divideHalfEven, parseUsd, type NanoUsd } from '../money/nano-usd.js';

/**
 * Dollars of a provider's export, exactly: an integer of 1e-40 USD. Exports print amounts far below a nano-USD
 * (`0.8958740000000000`, `1.2e-05`); they are added up as they are, and rounded once, as a sum.
 */
export type ExactUsd = bigint;

const DIGITS = 40;
const PER_NANO = 10n ** BigInt(DIGITS - 9);
const AMOUNT = /^(-?)(\d{1,15})(?:\.(\d{1,30}))?(?:e([+-]?\d{1,2}))?$/i;

/** Null for anything that is no plain amount, or finer than 1e-40 USD. */
export function parseExactUsd(text: string): ExactUsd | null {
  const nano = parseUsd(text);
  if (nano !== null) return nano * PER_NANO;
  const match = AMOUNT.exec(text);
  if (match === null) return null;
  const [, sign, whole = '', fraction = '', power = '0'] = match;
  const shift = DIGITS - fraction.length + Number(power);
  if (shift > DIGITS * 2) return null;
  const digits = BigInt(whole + fraction);
  const divisor = shift < 0 ? 10n ** BigInt(-shift) : 1n;
  if (digits % divisor !== 0n) return null;
  const amount = shift < 0 ? digits / divisor : digits * 10n ** BigInt(shift);
  return sign === '-' ? -amount : amount;
}

export function roundedToNano(amount: ExactUsd): NanoUsd {
  return divideHalfEven(amount, PER_NANO);
}
