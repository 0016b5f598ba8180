import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { recomputeCost } from '../../../src/domain/pricing/price-record.js';
import type { LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import { InvoiceCheckService } from '../../../src/modules/invoices/invoice-check.service.js';
import { InvoiceImportService } from '../../../src/modules/invoices/invoice-import.service.js';
import { appendEntriesWithin } from '../../../src/modules/ledger/ledger-columns.js';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { INSERT_RECORDS } from '../../../src/modules/records/request-log-columns.js';
import { CsvDownloads } from '../../../src/modules/reports/csv-downloads.js';
import { SavingsReportService } from '../../../src/modules/reports/savings-report.service.js';
import { StatementService } from '../../../src/modules/reports/statement.service.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { finalOf, requestIdAt, startOf } from '../records/record-samples.js';

export const OWNER = { kind: 'member', id: 'olivia', role: 'owner' } as const satisfies Actor;
export const DAY_MS = 24 * 60 * 60 * 1000;

/** What a test says of a call; `routing` is what the router would have stored with it. */
export type TestCall = Omit<Partial<CallRecord>, 'routing'> & {
  readonly atMs: number;
  readonly routing?: { readonly control: boolean; readonly would: boolean };
  /** The same, as it stands in the record. */
  readonly storedRouting?: CallRecord['routing'];
};

export interface ReportsRig {
  readonly db: TestDatabase;
  readonly clock: { nowMs(): number; atMs: number };
  readonly signer: Signer;
  readonly savings: SavingsReportService;
  readonly statements: StatementService;
  readonly imports: InvoiceImportService;
  readonly checks: InvoiceCheckService;
  readonly downloads: CsvDownloads;
  organization(): Promise<string>;
  calls(orgId: string, calls: readonly TestCall[]): Promise<void>;
  entries(orgId: string, entries: readonly LedgerEntry[]): Promise<void>;
  /** As they are, past the trigger that numbers and checks them: for many. Only the first ones of an organization. */
  entriesUnchecked(orgId: string, entries: readonly LedgerEntry[], firstSeq: number): Promise<void>;
  close(): Promise<void>;
}

/** The first day of the month before this one, UTC: calls of it can be stored, and it is over. */
export function lastMonthMs(nowMs = Date.now()): number {
  const now = new Date(nowMs);
  return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1);
}

export async function reportsRig(): Promise<ReportsRig> {
  const db = await testDatabase();
  const { database } = db;
  const clock = {
    atMs: Date.now(),
    nowMs(): number {
      return clock.atMs;
    },
  };
  const { privateKey } = generateKeyPairSync('ed25519');
  const signer = new Signer(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  return {
    db,
    clock,
    signer,
    savings: new SavingsReportService(database),
    statements: new StatementService(database, clock, signer),
    imports: new InvoiceImportService(database, clock),
    checks: new InvoiceCheckService(database),
    downloads: new CsvDownloads(database, clock, 1_000),
    organization: async () => (await db.createTenant()).orgId,
    calls: (orgId, calls) => storeCalls(db, orgId, calls),
    entries: (orgId, entries) => database.tenant(orgId, (q) => appendEntriesWithin(q, entries)),
    entriesUnchecked: (orgId, entries, firstSeq) => storeUnchecked(db, orgId, entries, firstSeq),
    close: () => db.close(),
  };
}

async function storeUnchecked(
  { owner }: TestDatabase,
  orgId: string,
  entries: readonly LedgerEntry[],
  firstSeq: number,
): Promise<void> {
  const rows = entries.map((entry, i) => ({
    ...entry,
    seq: firstSeq + i,
    entry_hash: `\\x${'00'.repeat(32)}`,
  }));
  await owner.tenant(orgId, async (q) => {
    await q.query('ALTER TABLE savings_ledger DISABLE TRIGGER savings_ledger_numbered');
    await q.query(
      `INSERT INTO savings_ledger SELECT * FROM jsonb_populate_recordset(NULL::savings_ledger, $1::jsonb)`,
      [JSON.stringify(rows)],
    );
    await q.query('ALTER TABLE savings_ledger ENABLE TRIGGER savings_ledger_numbered');
  });
}

async function storeCalls(
  { database }: TestDatabase,
  orgId: string,
  calls: readonly TestCall[],
): Promise<void> {
  const stored = calls.map(({ atMs, routing, storedRouting, ...changes }) => ({
    record: finalOf(startOf(atMs, { org_id: orgId }), { ...changes, routing: storedRouting }),
    routing,
  }));
  const routed = stored.flatMap(({ record, routing }) =>
    routing === undefined ? [] : [{ id: record.request_id, ...routing }],
  );
  await database.tenant(orgId, async (q) => {
    await q.query(INSERT_RECORDS, [JSON.stringify(stored.map(({ record }) => record))]);
    await q.query(
      `UPDATE request_log SET routing = jsonb_build_object(
          'inputs', jsonb_build_object('control', control),
          'decision', jsonb_build_object('wouldRoute',
            CASE WHEN would THEN '{"provider":"openai","model":"gpt-6-luna"}'::jsonb END))
         FROM jsonb_to_recordset($2::jsonb) AS r(id uuid, control boolean, would boolean)
        WHERE org_id = $1 AND request_id = r.id`,
      [orgId, JSON.stringify(routed)],
    );
  });
}

const PRICES = { inputTokens: '250000000', outputTokens: '2000000000' };
const BASELINE_PRICES = { inputTokens: '1250000000', outputTokens: '10000000000' };

/** An entry whose amounts follow from its usage and prices, as the database wants them. */
export function entryOf(
  orgId: string,
  atMs: number,
  changes: Partial<LedgerEntry> = {},
): LedgerEntry {
  const kind = changes.kind ?? 'routed';
  const usage = changes.usage ?? { inputTokens: 1_000, outputTokens: 200 };
  const hasBaseline = kind === 'routed' || kind === 'adjustment';
  const baselineUsage = changes.baseline_usage ?? (hasBaseline ? usage : {});
  const servedPrices = changes.served_prices ?? PRICES;
  const baselinePrices = changes.baseline_prices ?? BASELINE_PRICES;
  const actual = recomputeCost(usage, servedPrices) ?? 0n;
  const baseline = recomputeCost(baselineUsage, baselinePrices) ?? 0n;
  return {
    org_id: orgId,
    request_id: requestIdAt(atMs),
    kind,
    attempt: 0,
    at_ms: atMs,
    project_id: '0193e2b0-0000-7000-8000-0000000000aa',
    synthetic: false,
    auto: false,
    decision_source: 'classifier',
    decision_id: randomUUID(),
    baseline_provider: 'openai',
    baseline_model: 'gpt-5.1',
    served_provider: 'openai',
    served_model: 'gpt-6-luna',
    usage,
    served_prices: servedPrices,
    served_price_version: '2026-11-01',
    actual_nano_usd: String(actual),
    baseline_usage: baselineUsage,
    baseline_method: 'baseline-1',
    baseline_prices: baselinePrices,
    baseline_price_version: '2026-11-01',
    baseline_nano_usd: String(baseline),
    savings_nano_usd: String(baseline - actual),
    ...changes,
  };
}
