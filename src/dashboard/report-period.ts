import { z } from 'zod';
import type { ReportPeriod } from '../modules/observation/report.js';
import { PERIOD_DAYS_MAX, parseTime, periodOf } from '../modules/reports/report-period.js';
import { systemClock } from '../platform/clock.js';
import { HttpError } from '../platform/http/http-error.js';

const TIME_CHARS_MAX = 40;

/** A time or a day (its start, UTC), as milliseconds since the epoch. */
export const TIME = z
  .string('takes a day or a time in ISO 8601, such as 2026-11-01')
  .max(TIME_CHARS_MAX)
  .transform(parseTime)
  .refine((ms) => ms !== null, 'takes a day or a time in ISO 8601, such as 2026-11-01');

/** The last 30 days where nothing is said. */
export function checkedPeriod(
  fromMs: number | null | undefined,
  toMs: number | null | undefined,
): ReportPeriod {
  const period = periodOf(fromMs ?? null, toMs ?? null, systemClock.nowMs());
  switch (period) {
    case 'not_before':
      throw new HttpError(400, 'invalid_request', 'from: must be before to.');
    case 'too_long':
      throw new HttpError(
        400,
        'invalid_request',
        `to: at most ${PERIOD_DAYS_MAX} days after from.`,
      );
    default:
      return period;
  }
}
