import { CsvReader, type CsvRow } from '../../domain/reports/csv-lines.js';
import type { SavingsFigures, SavingsLine } from './savings-report.js';

/** What a recount needs of a statement's text. */
export interface StatedSums {
  readonly organization_id: string;
  readonly period: { readonly from: string; readonly to: string };
  readonly ledger_head: { readonly seal: number; readonly hash: string; readonly entries: number } | null;
  readonly savings: Pick<SavingsFigures, 'total' | 'auto' | 'synthetic' | 'by_kind'>;
} // prettier-ignore

/** Something in the file is not as the statement has it. */
export interface RecountDifference {
  readonly of: string;
  readonly stated: string;
  readonly found: string;
}

const AMOUNTS = ['baseline_nano_usd', 'actual_nano_usd', 'savings_nano_usd'] as const;
/** More kinds than a ledger has: a file with so many is none. */
const SUMS_MAX = 100;

/**
 * Adds up the entries of a ledger's export that a statement speaks of, and holds them against it: needs nothing but the
 * two. That the export itself holds, scripts/verify-ledger says. Throws `UnreadableCsv` for what is no CSV.
 */
export async function recountStatement(
  stated: StatedSums,
  file: AsyncIterable<Uint8Array>,
): Promise<readonly RecountDifference[]> {
  const recount = new Recount(stated);
  const text = new TextDecoder('utf-8');
  const csv = new CsvReader();
  for await (const chunk of file) {
    for (const row of csv.push(text.decode(chunk, { stream: true }))) recount.take(row);
  }
  for (const row of [...csv.push(text.decode()), ...csv.end()]) recount.take(row);
  return recount.differences();
}

class Recount {
  readonly #sums = new Map<string, { entries: number; amounts: [bigint, bigint, bigint] }>();
  #columns: readonly string[] | null = null;
  #sealHash: string | null = null;
  #foreign: string | null = null;

  constructor(private readonly stated: StatedSums) {}

  take({ fields }: CsvRow): void {
    if (this.#columns === null) {
      this.#columns = fields;
      return;
    }
    const row = Object.fromEntries(this.#columns.map((name, at) => [name, fields[at] ?? '']));
    if (row['org_id'] !== this.stated.organization_id) this.#foreign ??= row['org_id'] ?? '';
    if (row['row'] === 'entry') this.#entry(row);
    const head = this.stated.ledger_head;
    if (row['row'] === 'seal' && row['seq'] === String(head?.seal)) {
      this.#sealHash = row['hash'] ?? null;
    }
  }

  #entry(row: Readonly<Record<string, string>>): void {
    const { period, ledger_head: head } = this.stated;
    const at = row['at'] ?? '';
    if (at < period.from || at >= period.to || Number(row['seq']) > (head?.entries ?? 0)) return;
    if (row['synthetic'] === 'true') return this.#add('synthetic', row);
    if (row['auto'] === 'true') return this.#add('auto', row);
    this.#add('total', row);
    this.#add(`by_kind ${row['kind']}`, row);
  }

  #add(name: string, row: Readonly<Record<string, string>>): void {
    const sum = this.#sums.get(name) ?? { entries: 0, amounts: [0n, 0n, 0n] };
    if (this.#sums.size >= SUMS_MAX && !this.#sums.has(name)) return;
    this.#sums.set(name, sum);
    sum.entries += 1;
    for (const [at, amount] of AMOUNTS.entries()) {
      sum.amounts[at as 0 | 1 | 2] += wholeNumber(row[amount]);
    }
  }

  differences(): RecountDifference[] {
    const { organization_id: orgId, ledger_head: head, savings } = this.stated;
    const lines: readonly (readonly [string, SavingsLine])[] = [
      ['total', savings.total],
      ['auto', savings.auto],
      ['synthetic', savings.synthetic],
      ...savings.by_kind.map((line) => [`by_kind ${line.kind}`, line] as const),
    ];
    const named = new Set(lines.map(([name]) => name));
    const unnamed = [...this.#sums.keys()].filter((name) => !named.has(name));
    return [
      { of: 'organization_id', stated: orgId, found: this.#foreign ?? orgId },
      { of: 'ledger_head', stated: head?.hash ?? 'none', found: (head && this.#sealHash) ?? 'none' },
      ...lines.flatMap(([name, line]) => this.#held(name, line)),
      ...unnamed.map((name) => ({ of: name, stated: 'none', found: 'entries' })),
    ].filter(({ stated, found }) => stated !== found);
  } // prettier-ignore

  #held(name: string, line: SavingsLine): RecountDifference[] {
    const { entries, amounts } = this.#sums.get(name) ?? { entries: 0, amounts: [0n, 0n, 0n] };
    return [
      { of: `${name}, entries`, stated: String(line.entries), found: String(entries) },
      ...AMOUNTS.map((amount, at) => ({
        of: `${name}, ${amount}`,
        stated: line[amount],
        found: String(amounts[at]),
      })),
    ];
  }
}

/** What is no number cannot add up to what is stated. */
function wholeNumber(text: string | undefined): bigint {
  return /^-?\d{1,40}$/.test(text ?? '') ? BigInt(text ?? '') : -(10n ** 40n);
}
