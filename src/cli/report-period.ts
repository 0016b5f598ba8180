import type { ReportPeriod } from '../modules/observation/report.js';
import { systemClock } from '../platform/clock.js';
import { CliError, text, type Arguments } from './arguments.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const DAYS_DEFAULT = 30;
const DAYS_MAX = 400;

export const PERIOD_OPTIONS = { from: { type: 'string' }, to: { type: 'string' } } as const;
export const PERIOD_USAGE = [
  '--from <day>         the first day or moment, such as 2026-11-01 (UTC); 30 days before the end by default',
  '--to <day>           the end, not included; now by default',
] as const;

export function periodFrom(args: Arguments): ReportPeriod {
  const toMs = timeOf(args, 'to') ?? systemClock.nowMs();
  const fromMs = timeOf(args, 'from') ?? toMs - DAYS_DEFAULT * DAY_MS;
  if (fromMs >= toMs) throw new CliError('--from must be before --to.', 2);
  if (toMs - fromMs > DAYS_MAX * DAY_MS) {
    throw new CliError(`At most ${DAYS_MAX} days can be looked at at once.`, 2);
  }
  return { fromMs, toMs };
}

export function shortDay(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

function timeOf(args: Arguments, name: string): number | null {
  const given = text(args, name);
  if (given === undefined) return null;
  const ms = Date.parse(given);
  if (ms >= 0) return ms;
  throw new CliError(`--${name} takes a day such as 2026-11-01.`, 2);
}
