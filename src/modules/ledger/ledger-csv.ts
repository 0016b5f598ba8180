import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { stringify } from 'csv-stringify/sync';
import { spreadsheetText } from '../../domain/reports/csv-lines.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Signer } from '../../platform/crypto/signer.js';
import { Downloads } from '../../platform/http/downloads.js';
import type { Database } from '../../platform/postgres/database.js';
import { auditWithin } from '../audit/audit-trail.js';
import { HASHED_COLUMNS, type LedgerRow, type SealRow } from './ledger-encoding.js';
import { keyIdOf } from './ledger-heads.js';
import { ledgerStateOf, readLedger } from './ledger-reader.js';

/** `at_ms` is written as a time that people can read, `at`. */
const ENTRY_COLUMNS = HASHED_COLUMNS.map((column) => (column === 'at_ms' ? 'at' : column));

/** One file holds entries, seals, and a last line over all of it; `row` tells them apart. */
export const LEDGER_CSV_COLUMNS: readonly string[] = [
  'row',
  ...ENTRY_COLUMNS,
  'hash',
  'seal_first',
  'seal_last',
  'seal_root',
  'seal_prev',
  'sealed_at',
  'signature',
  'key_id',
];

/** Integers: never neutralised, so that spreadsheets add them up. All other columns are text. */
export const LEDGER_CSV_NUMBERS: ReadonlySet<string> = new Set([
  'seq',
  'attempt',
  'actual_nano_usd',
  'baseline_nano_usd',
  'savings_nano_usd',
  'seal_first',
  'seal_last',
]);

const ROWS_PER_CHUNK = 500;

/** What the last line signs: five lines, each with its end. */
export function ledgerExportText(
  orgId: string,
  entries: number,
  fileHash: string,
  at: string,
): string {
  return ['shunt-ledger-export-1', orgId, String(entries), fileHash, at]
    .map((line) => `${line}\n`)
    .join('');
}

/** Whole ledgers as files that scripts/verify-ledger reads without anything else. */
export class LedgerExport {
  readonly #downloads = new Downloads();

  constructor(
    private readonly database: Database,
    private readonly signer: Signer,
    private readonly clock: Clock,
  ) {}

  /** Null while one of the organization, or as many as may be, are under way. Audited before its first line. */
  async open(orgId: string, actor: Actor): Promise<Readable | null> {
    return this.#downloads.open(orgId, this.#audited(orgId, actor));
  }

  async *#audited(orgId: string, actor: Actor): AsyncGenerator<string, void, void> {
    const atMs = this.clock.nowMs();
    await this.database.tenant(orgId, (q) =>
      auditWithin(q, orgId, { actor, action: 'ledger.exported', atMs }),
    );
    yield* this.csv(orgId);
  }

  /** Chunks of CSV (RFC 4180 but for line feeds), in constant memory; what is added meanwhile is left out. */
  async *csv(orgId: string): AsyncGenerator<string, void, void> {
    const state = await ledgerStateOf(this.database, orgId);
    const fileHash = createHash('sha256');
    // What the head says, so that the file itself shows where the last ones were taken away.
    const entries = state.headSeq ?? 0;
    let lines: Record<string, string>[] = [];
    const chunk = (header: boolean): string => {
      const text = csvOf(lines, header);
      fileHash.update(text);
      lines = [];
      return text;
    };
    yield chunk(true);
    for await (const item of readLedger(this.database, orgId, state)) {
      lines.push(item.kind === 'entry' ? entryLine(item.entry) : sealLine(item.seal));
      if (lines.length >= ROWS_PER_CHUNK) yield chunk(false);
    }
    if (lines.length > 0) yield chunk(false);
    const at = new Date(this.clock.nowMs()).toISOString();
    const hash = fileHash.digest('hex');
    const signature = this.signer.sign(ledgerExportText(orgId, entries, hash, at));
    const key_id = keyIdOf(this.signer.publicKey);
    yield csvOf(
      [{ row: 'end', org_id: orgId, seq: String(entries), at, hash, signature, key_id }],
      false,
    );
  }
}

function entryLine(row: LedgerRow): Record<string, string> {
  const { entry_hash: hash, at_ms: atMs, ...rest } = row;
  return { ...rest, row: 'entry', at: new Date(Number(atMs)).toISOString(), hash };
}

function sealLine(seal: SealRow): Record<string, string> {
  return {
    row: 'seal',
    org_id: seal.orgId,
    seq: String(seal.seq),
    hash: seal.hash,
    seal_first: String(seal.first),
    seal_last: String(seal.last),
    seal_root: seal.root,
    seal_prev: seal.prev,
    sealed_at: seal.sealedAt,
    signature: seal.signature,
    key_id: seal.keyId,
  };
}

function csvOf(lines: readonly Record<string, string>[], header: boolean): string {
  const records = lines.map((line) =>
    LEDGER_CSV_COLUMNS.map((column) => {
      const value = line[column] ?? '';
      return LEDGER_CSV_NUMBERS.has(column) ? value : spreadsheetText(value);
    }),
  );
  return stringify(header ? [[...LEDGER_CSV_COLUMNS], ...records] : records);
}
