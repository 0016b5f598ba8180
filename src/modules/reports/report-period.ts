import type { ReportPeriod } from '../observation/report.js';

const DAY_MS = 24 * 60 * 60 * 1000;
/** No single query reads more than this part of a period: each has the time limit of any other query. */
const PART_MS = DAY_MS;
/** Of any report on savings. */
export const PERIOD_DAYS_MAX = 400;
const PERIOD_DAYS_DEFAULT = 30;

const TIME =
  /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:\d{2})?)?$/;

/** A day (its start) or a time in ISO 8601, UTC where it names no zone, as milliseconds since the epoch. Null for anything else. */
export function parseTime(text: string): number | null {
  const [, day = '', time, zone = 'Z'] = TIME.exec(text) ?? [];
  if (!isDay(day)) return null;
  const ms = Date.parse(time === undefined ? day : `${day}T${time}${zone}`);
  return ms >= 0 ? ms : null;
}

/** A day that there is, such as `2026-11-01`. */
export function isDay(text: string): boolean {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN;
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}

export type PeriodProblem = 'not_before' | 'too_long';

/** Until now, and of the 30 days before its end, where nothing else is said. */
export function periodOf(
  fromMs: number | null,
  toMs: number | null,
  nowMs: number,
): ReportPeriod | PeriodProblem {
  const endMs = toMs ?? nowMs;
  const startMs = fromMs ?? endMs - PERIOD_DAYS_DEFAULT * DAY_MS;
  if (startMs >= endMs) return 'not_before';
  if (endMs - startMs > PERIOD_DAYS_MAX * DAY_MS) return 'too_long';
  return { fromMs: startMs, toMs: endMs };
}

export function* partsOf({ fromMs, toMs }: ReportPeriod): Generator<ReportPeriod> {
  if (toMs - fromMs > PERIOD_DAYS_MAX * DAY_MS) throw new RangeError('the period is too long');
  for (let partMs = fromMs; partMs < toMs; partMs += PART_MS) {
    yield { fromMs: partMs, toMs: Math.min(partMs + PART_MS, toMs) };
  }
}
