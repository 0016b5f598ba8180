import type { ReportPeriod } from '../modules/observation/report.js';
import { PERIOD_DAYS_MAX, parseTime, periodOf } from '../modules/reports/report-period.js';
import { systemClock } from '../platform/clock.js';
import { CliError, text, type Arguments } from './arguments.js';

export const PERIOD_OPTIONS = { from: { type: 'string' }, to: { type: 'string' } } as const;
export const PERIOD_USAGE = [
  '--from <day>         the first day or moment, such as 2026-11-01 (UTC); 30 days before the end by default',
  '--to <day>           the end, not included; now by default',
] as const;

export function periodFrom(args: Arguments): ReportPeriod {
  const period = periodOf(timeFrom(args, 'from'), timeFrom(args, 'to'), systemClock.nowMs());
  switch (period) {
    case 'not_before':
      throw new CliError('--from must be before --to.', 2);
    case 'too_long':
      throw new CliError(`At most ${PERIOD_DAYS_MAX} days can be looked at at once.`, 2);
    default:
      return period;
  }
}

export function shortDay(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

function timeFrom(args: Arguments, name: string): number | null {
  const given = text(args, name);
  if (given === undefined) return null;
  const ms = parseTime(given);
  if (ms !== null) return ms;
  throw new CliError(`--${name} takes a day such as 2026-11-01.`, 2);
}
