import type { LedgerEntry } from './ledger-entry.js';

/** What the entries of one request come to, once those that were taken back are left out. */
export interface Standing {
  readonly entries: readonly LedgerEntry[];
  /** The first even number that is free among its adjustments, as is the next one. */
  readonly nextAttempt: number;
}

/**
 * Among the adjustments of a request even numbers take an entry back and odd ones say one: whether a price of nothing was
 * negated cannot be seen in it. Null where one takes back what was never said: such a request is nobody's to correct.
 */
export function standingEntries(entries: readonly LedgerEntry[]): Standing | null {
  const standing = entries.filter(({ kind }) => kind === 'routed' || kind === 'failed_attempt');
  const adjustments = entries
    .filter(({ kind }) => kind === 'adjustment')
    .sort((a, b) => a.attempt - b.attempt);
  for (const adjustment of adjustments) {
    if (!takesBack(adjustment)) {
      standing.push(adjustment);
      continue;
    }
    const said = textOf(adjustment, negated);
    const at = standing.findIndex((entry) => textOf(entry, unchanged) === said);
    if (at < 0) return null;
    standing.splice(at, 1);
  }
  const last = adjustments.at(-1)?.attempt ?? -1;
  return { entries: standing, nextAttempt: last + 1 + ((last + 1) % 2) };
}

/** False for one that says an entry anew, or for the first time. */
function takesBack({ attempt }: LedgerEntry): boolean {
  return attempt % 2 === 0;
}

/** Two attempts of a request that are alike in this are alike in every amount, now and later. */
function textOf(entry: LedgerEntry, price: (text: string) => string): string {
  return JSON.stringify([
    entry.served_provider,
    entry.served_model,
    entry.baseline_method,
    entry.served_price_version,
    entry.baseline_price_version,
    sorted(entry.usage, String),
    sorted(entry.baseline_usage, String),
    sorted(entry.served_prices, price),
    sorted(entry.baseline_prices, price),
  ]);
}

function sorted<Value>(
  record: Readonly<Record<string, Value>>,
  told: (value: Value) => string,
): string[][] {
  return Object.keys(record)
    .sort()
    .map((field) => [field, told(record[field] as Value)]);
}

const unchanged = (price: string): string => price;
const negated = (price: string): string => String(-BigInt(price));
