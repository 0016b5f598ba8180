import { divideHalfEven } from '../money/nano-usd.js';

/** A quantity (nano-USD, tokens) of one day and model. */
export interface DayAmount {
  readonly day: string;
  readonly model: string;
  readonly amount: bigint;
}

export interface Residual {
  readonly day: string;
  /** By which both sides were matched. */
  readonly model: string;
  readonly seen: 'both' | 'invoice_only' | 'log_only';
  readonly invoiced: bigint;
  readonly logged: bigint;
  /** Invoiced minus logged: what the log does not explain. */
  readonly residual: bigint;
  /** Of what was invoiced, with two decimals (`-0.35`); null where nothing was. */
  readonly percent: string | null;
}

export interface Residuals {
  readonly lines: readonly Residual[];
  readonly sum: Omit<Residual, 'day' | 'model' | 'seen'>;
  /** The parts of the residual on days and models that one side alone knows. */
  readonly invoiceOnly: bigint;
  readonly logOnly: bigint;
}

/** Puts what was invoiced beside what was logged, by day (UTC) and model. Both may have several lines of one. */
export function residualsOf(
  invoiced: readonly DayAmount[],
  logged: readonly DayAmount[],
): Residuals {
  const found = new Map<
    string,
    { day: string; model: string; sides: [bigint | null, bigint | null] }
  >();
  for (const [side, lines] of [invoiced, logged].entries()) {
    for (const { day, model, amount } of lines) {
      const key = modelKey(model);
      const at = `${day} ${key}`;
      const entry = found.get(at) ?? { day, model: key, sides: [null, null] };
      entry.sides[side] = (entry.sides[side] ?? 0n) + amount;
      found.set(at, entry);
    }
  }
  const lines = [...found.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { day, model, sides }]) => lineOf(day, model, sides));
  const total = (amounts: readonly bigint[]): bigint => amounts.reduce((a, b) => a + b, 0n);
  return {
    lines,
    sum: compared(total(lines.map((l) => l.invoiced)), total(lines.map((l) => l.logged))),
    invoiceOnly: total(lines.filter((l) => l.seen === 'invoice_only').map((l) => l.residual)),
    logOnly: total(lines.filter((l) => l.seen === 'log_only').map((l) => l.residual)),
  };
}

function lineOf(
  day: string,
  model: string,
  [invoiced, logged]: [bigint | null, bigint | null],
): Residual {
  const seen = invoiced === null ? 'log_only' : logged === null ? 'invoice_only' : 'both';
  return { day, model, seen, ...compared(invoiced ?? 0n, logged ?? 0n) };
}

function compared(invoiced: bigint, logged: bigint) {
  const residual = invoiced - logged;
  return { invoiced, logged, residual, percent: percentOf(residual, invoiced) };
}

/** With two decimals, rounded half-even; null of nothing. */
export function percentOf(part: bigint, whole: bigint): string | null {
  if (whole <= 0n) return null;
  const hundredths = divideHalfEven(part * 10_000n, whole);
  const absolute = hundredths < 0n ? -hundredths : hundredths;
  const text = `${absolute / 100n}.${(absolute % 100n).toString().padStart(2, '0')}`;
  return hundredths < 0n ? `-${text}` : text;
}

/**
 * The name by which a model of an export and one of the log are the same: Anthropic's cost export prints
 * `Claude Sonnet 4.5` for `claude-sonnet-4-5-20250929`.
 */
export function modelKey(model: string): string {
  return model
    .trim()
    .toLowerCase()
    .replace(/^models\//, '')
    .replace(/[\s._]+/g, '-')
    .replace(/-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$/, '');
}
