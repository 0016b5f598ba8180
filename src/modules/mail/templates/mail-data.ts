import { divideHalfEven, formatUsd, type NanoUsd } from '../../../domain/money/nano-usd.js';

/** What was enqueued with a mail. A value that is missing, or not of its form, is null: and then simply not said. */
export class MailData {
  constructor(private readonly values: Readonly<Record<string, unknown>>) {}

  /** One line of text. */
  text(name: string): string | null {
    const value = this.values[name];
    return typeof value === 'string' && value.trim() !== '' ? value : null;
  }

  /** An id that can stand in a path. */
  id(name: string): string | null {
    const value = this.values[name];
    const text = typeof value === 'number' ? String(value) : value;
    return typeof text === 'string' && /^[0-9A-Za-z_-]{1,64}$/.test(text) ? text : null;
  }

  flag(name: string): boolean {
    return this.values[name] === true;
  }

  integer(name: string): bigint | null {
    const value = this.values[name];
    if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : null;
    return typeof value === 'string' && /^-?\d{1,30}$/.test(value) ? BigInt(value) : null;
  }

  /** `1,204` */
  count(name: string): string | null {
    const value = this.integer(name);
    return value === null ? null : grouped(String(value));
  }

  /** Exact dollars of an amount in nano-USD: `$1,204.50`, `$0.000123`. */
  usd(name: string): string | null {
    const value = this.integer(name);
    return value === null ? null : dollars(value);
  }

  /** `20 November 2026` (UTC), of ISO 8601 or of epoch milliseconds. */
  day(name: string): string | null {
    return dayOf(this.values[name]);
  }

  /** What `{from, to}` under that name spans. */
  period(name: string): string | null {
    const value = this.values[name];
    if (typeof value !== 'object' || value === null) return null;
    const { from, to } = value as { from?: unknown; to?: unknown };
    const [first, last] = [dayOf(from), dayOf(to)];
    return first === null || last === null ? null : `${first} to ${last} (UTC)`;
  }
}

export function dollars(amountNanoUsd: NanoUsd): string {
  const amount = formatUsd(amountNanoUsd < 0n ? -amountNanoUsd : amountNanoUsd);
  return `${amountNanoUsd < 0n ? '-' : ''}$${grouped(amount)}`;
}

/** To one decimal: `18.4 %`; null where the whole is not positive. */
export function percent(part: bigint, whole: bigint): string | null {
  if (whole <= 0n) return null;
  const tenths = divideHalfEven(part * 1000n, whole);
  const absolute = tenths < 0n ? -tenths : tenths;
  return `${tenths < 0n ? '-' : ''}${grouped(String(absolute / 10n))}.${absolute % 10n} %`;
}

/** Thousands apart, before the decimal point alone. */
function grouped(number: string): string {
  const [whole = '', ...fraction] = number.split('.');
  return [whole.replace(/\B(?=(?:\d{3})+$)/g, ','), ...fraction].join('.');
}

const MINUTE = new Intl.DateTimeFormat('en-GB', {
  dateStyle: 'long',
  timeStyle: 'short',
  timeZone: 'UTC',
});

/** `20 November 2026 at 12:00 UTC` */
export function minuteOf(atMs: number): string {
  return `${MINUTE.format(new Date(atMs))} UTC`;
}

const DAY = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' });

function dayOf(value: unknown): string | null {
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const at = new Date(value);
  return Number.isNaN(at.getTime()) ? null : DAY.format(at);
}
