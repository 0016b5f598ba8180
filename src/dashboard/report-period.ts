import { z } from 'zod';
import { HttpError } from '../platform/http/http-error.js';

const DAY_MS = 24 * 60 * 60 * 1_000;
const TIME_CHARS_MAX = 40;
/** What a database's timestamps hold, and nothing of anybody's is older or younger. */
const TIME_MS_MAX = Date.UTC(9999, 0);
export const PERIOD_DAYS_MAX = 400;

/** A time or a day (its start, UTC), as milliseconds since the epoch. */
export const TIME = z
  .string('takes a day or a time in ISO 8601, such as 2026-11-01')
  .max(TIME_CHARS_MAX)
  .transform((text) => Date.parse(text))
  .refine(
    (ms) => ms >= 0 && ms <= TIME_MS_MAX,
    'takes a day or a time in ISO 8601, such as 2026-11-01',
  );

export function checkedPeriod(fromMs: number, toMs: number) {
  if (fromMs >= toMs) throw new HttpError(400, 'invalid_request', 'from: must be before to.');
  if (toMs - fromMs > PERIOD_DAYS_MAX * DAY_MS) {
    throw new HttpError(400, 'invalid_request', `to: at most ${PERIOD_DAYS_MAX} days after from.`);
  }
  return { fromMs, toMs };
}
