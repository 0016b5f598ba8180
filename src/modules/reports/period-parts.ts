import type { ReportPeriod } from '../observation/report.js';

/** No single query reads more than this part of a period: each has the time limit of any other query. */
const PART_MS = 24 * 60 * 60 * 1000;
/** Of any report on savings. */
export const PERIOD_MS_MAX = 400 * PART_MS;

export function* partsOf({ fromMs, toMs }: ReportPeriod): Generator<ReportPeriod> {
  if (toMs - fromMs > PERIOD_MS_MAX) throw new RangeError('the period is too long');
  for (let partMs = fromMs; partMs < toMs; partMs += PART_MS) {
    yield { fromMs: partMs, toMs: Math.min(partMs + PART_MS, toMs) };
  }
}
