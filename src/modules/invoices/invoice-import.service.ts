import { createHash, randomUUID } from 'node:crypto';
import { CsvReader, UnreadableCsv } from '../../domain/reports/csv-lines.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditWithin } from '../audit/audit-trail.js';
import {
  ProviderExportReader,
  UnreadableExport,
  type ExportKind,
  type InvoiceLine,
  type InvoiceProvider,
  type ReadExport,
} from './provider-export.js';

export interface InvoiceImport {
  readonly id: string;
  readonly number: number;
  readonly provider: InvoiceProvider;
  readonly kind: ExportKind;
  readonly created_at: string;
  readonly from_day: string;
  readonly to_day: string;
  readonly file_rows: number;
}

export type Imported =
  | { readonly kind: 'imported'; readonly import: InvoiceImport }
  /** The newest import is of exactly this file, with the same key named as one's own. */
  | { readonly kind: 'known'; readonly import: InvoiceImport }
  /** `message` names line and column. */
  | { readonly kind: 'unreadable'; readonly message: string }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'too_many' };

export interface ImportOptions {
  readonly provider: InvoiceProvider;
  /** The provider key that calls go through, as the export names it; null counts every line as its own. */
  readonly ownKey: string | null;
}

export const FILE_BYTES_MAX = 64 * 1024 * 1024;
const IMPORTS_MAX = 1_000;
export const IMPORTS_PAGE_MAX = 100;
const DAYS_MAX = 400;
const LINES_PER_INSERT = 5_000;
const DAY_MS = 24 * 60 * 60 * 1000;

const SELECTED = `id, number, provider, kind,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at,
  from_day::text, to_day::text, file_rows`;

/** What providers say that was used and charged. Of a file nothing is kept but day, model, tokens and amount. */
export class InvoiceImportService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Reads the file as it comes, in memory that does not grow with it, and stores it as a whole or not at all. */
  async import(
    orgId: string,
    options: ImportOptions,
    file: AsyncIterable<Uint8Array>,
    actor: Actor,
  ): Promise<Imported> {
    const read = await readFile(options, file);
    if (read.kind !== 'read') return read;
    const { found, sha256 } = read;
    return this.database.tenant(orgId, async (q) => {
      await q.query(`SELECT pg_advisory_xact_lock(hashtextextended('shunt.invoice:' || $1, 0))`, [
        orgId,
      ]);
      const [newest] = await q.query<InvoiceImport & { readonly sha256: string }>(
        `SELECT ${SELECTED}, encode(file_sha256, 'hex') AS sha256 FROM invoice_imports
          WHERE org_id = $1 ORDER BY invoice_imports.number DESC LIMIT 1`,
        [orgId],
      );
      if (newest?.sha256 === sha256 && newest.provider === options.provider) {
        const { sha256: _sha256, ...known } = newest;
        return { kind: 'known', import: known };
      }
      const number = (newest?.number ?? 0) + 1;
      if (number > IMPORTS_MAX) return { kind: 'too_many' };
      const atMs = this.clock.nowMs();
      const made = await insert(q, orgId, {
        provider: options.provider,
        number,
        sha256,
        atMs,
        found,
      });
      await auditWithin(q, orgId, {
        actor,
        action: 'invoice.imported',
        atMs,
        subject: made.id,
        details: { provider: made.provider, kind: made.kind, rows: made.file_rows },
      });
      return { kind: 'imported', import: made };
    });
  }

  /** Newest first; at most 100. */
  async list(orgId: string): Promise<InvoiceImport[]> {
    return this.database.tenant(orgId, (q) =>
      q.query<InvoiceImport>(
        `SELECT ${SELECTED} FROM invoice_imports WHERE org_id = $1
          ORDER BY invoice_imports.number DESC LIMIT ${IMPORTS_PAGE_MAX}`,
        [orgId],
      ),
    );
  }
}

type FileRead =
  | {
      readonly kind: 'read';
      readonly found: ReadExport;
      /** Of the file, and of the key that was named as one's own: another key is another reading of the same file. */
      readonly sha256: string;
    }
  | Extract<Imported, { kind: 'unreadable' | 'too_large' }>;

async function readFile(
  { provider, ownKey }: ImportOptions,
  file: AsyncIterable<Uint8Array>,
): Promise<FileRead> {
  const digest = createHash('sha256');
  const text = new TextDecoder('utf-8', { fatal: true });
  const csv = new CsvReader();
  const reader = new ProviderExportReader(provider, ownKey);
  let bytes = 0;
  try {
    for await (const chunk of file) {
      bytes += chunk.byteLength;
      if (bytes > FILE_BYTES_MAX) return { kind: 'too_large' };
      digest.update(chunk);
      for (const row of csv.push(text.decode(chunk, { stream: true }))) reader.take(row);
    }
    for (const row of [...csv.push(text.decode()), ...csv.end()]) reader.take(row);
    const found = reader.finish();
    if (daysBetween(found) >= DAYS_MAX) {
      return { kind: 'unreadable', message: `The export speaks of more than ${DAYS_MAX} days.` };
    }
    if (ownKey !== null) digest.update(`\nown key ${ownKey}`);
    return { kind: 'read', found, sha256: digest.digest('hex') };
  } catch (error) {
    const message = reasonOf(error);
    if (message === null) throw error;
    return { kind: 'unreadable', message };
  }
}

/** Null for what is not the file's fault. */
function reasonOf(error: unknown): string | null {
  if (error instanceof UnreadableExport) return error.message;
  if (error instanceof UnreadableCsv) return `The file is no CSV: ${error.message}.`;
  const code = (error as { code?: unknown } | null)?.code;
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'The file is not in UTF-8.';
  return null;
}

function daysBetween({ fromDay, toDay }: ReadExport): number {
  return (Date.parse(toDay) - Date.parse(fromDay)) / DAY_MS;
}

interface NewImport {
  readonly provider: InvoiceProvider;
  readonly number: number;
  readonly sha256: string;
  readonly atMs: number;
  readonly found: ReadExport;
}

async function insert(
  q: Queryable,
  orgId: string,
  { provider, number, sha256, atMs, found }: NewImport,
): Promise<InvoiceImport> {
  const id = randomUUID();
  const [row] = await q.query<InvoiceImport>(
    `INSERT INTO invoice_imports
       (org_id, id, number, provider, kind, created_at, from_day, to_day, file_rows, file_sha256)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, decode($10, 'hex')) RETURNING ${SELECTED}`,
    [
      orgId,
      id,
      number,
      provider,
      found.kind,
      new Date(atMs),
      found.fromDay,
      found.toDay,
      found.rows,
      sha256,
    ],
  );
  for (let from = 0; from < found.lines.length; from += LINES_PER_INSERT) {
    const lines = found.lines.slice(from, from + LINES_PER_INSERT).map(lineJson);
    await q.query(
      `INSERT INTO invoice_lines
         (org_id, import_id, day, model, other_key, input_tokens, output_tokens, amount_nano_usd)
       SELECT $1, $2, day, model, other_key, input_tokens, output_tokens, amount
         FROM jsonb_to_recordset($3::jsonb) AS l(day date, model text, other_key boolean,
              input_tokens numeric, output_tokens numeric, amount numeric)`,
      [orgId, id, JSON.stringify(lines)],
    );
  }
  if (row === undefined) throw new Error('The import was not stored');
  return row;
}

function lineJson(line: InvoiceLine) {
  return {
    day: line.day,
    model: line.model,
    other_key: line.otherKey,
    input_tokens: String(line.inputTokens),
    output_tokens: String(line.outputTokens),
    amount: line.amountNanoUsd === null ? null : String(line.amountNanoUsd),
  };
}
