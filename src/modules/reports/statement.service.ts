import { randomUUID } from 'node:crypto';
import type { Canonical } from '../../domain/reports/canonical-json.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Signer } from '../../platform/crypto/signer.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { isUuid } from '../../platform/uuid.js';
import { auditWithin } from '../audit/audit-trail.js';
import { checkInvoice, type InvoiceCheck } from '../invoices/invoice-check.service.js';
import { ledgerHeadWithin, type SignedLedgerHead } from '../ledger/ledger-heads.js';
import type { ReportPeriod } from '../observation/report.js';
import { savingsFigures } from './savings-report.service.js';
import { statementText, type SignedStatement } from './statement.js';

export interface StatementSummary {
  readonly id: string;
  /** `2026-11` */
  readonly month: string;
  /** 1 is the first one of its month; the newest has the highest. */
  readonly number: number;
  readonly createdAt: string;
}

export type Statement = StatementSummary & SignedStatement;

export type CreatedStatement =
  | { readonly kind: 'created'; readonly statement: Statement }
  | { readonly kind: 'invalid_month' }
  /** ISO 8601: from then on it can be made. */
  | { readonly kind: 'month_not_over'; readonly from: string }
  /** Entries of the month wait for their seal. */
  | { readonly kind: 'not_sealed'; readonly retryAfterSeconds: number }
  /** Another was made, or is being made, less than a minute ago. */
  | { readonly kind: 'too_soon'; readonly retryAfterSeconds: number }
  | { readonly kind: 'too_many' };

const MINUTE_MS = 60_000;
/** The longest call that began in the month has ended by then, and its record has come. */
const CLOSED_AFTER_MS = 15 * MINUTE_MS;
/** The sealer goes round once a minute. */
const SEALED_AFTER_MS = MINUTE_MS;
const NUMBER_MAX = 100;
export const STATEMENTS_PAGE_MAX = 100;
const INVOICE_PROVIDERS = ['openai', 'anthropic'] as const;

const SUMMARY = `id, to_char(month, 'YYYY-MM') AS month, number,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt"`;

/** Monthly statements of what routing saved, signed, for whoever checks them without this installation. */
export class StatementService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly signer: Signer,
  ) {}

  /**
   * Of a month that is over, in UTC, and whose every entry is under a seal. All of it is read in one snapshot, so that
   * sums, counts of calls and the measured difference are of the same calls, and the sums follow from the ledger's
   * export up to the head that the statement names. What is recorded later is in the next statement of the month.
   */
  async create(orgId: string, month: string, actor: Actor): Promise<CreatedStatement> {
    const period = monthPeriod(month);
    if (period === null) return { kind: 'invalid_month' };
    const nowMs = this.clock.nowMs();
    const fromMs = period.toMs + CLOSED_AFTER_MS;
    if (fromMs > nowMs) return { kind: 'month_not_over', from: new Date(fromMs).toISOString() };
    // Read first and stored after: a snapshot of so many calls may not write what others have changed meanwhile.
    const composed = await this.database.tenantSnapshot(orgId, (q) =>
      compose(q, { orgId, month, period, nowMs }),
    );
    if (composed.kind !== 'composed') return composed;
    return this.database.tenant(orgId, (q) => this.#store(q, orgId, composed, nowMs, actor));
  }

  async #store(
    q: Queryable,
    orgId: string,
    { summary, text }: Composed,
    nowMs: number,
    actor: Actor,
  ): Promise<CreatedStatement> {
    const slot = await freeSlot(q, orgId, summary.month, nowMs);
    if (slot.kind !== 'free') return slot;
    const { id, month, number } = summary;
    // Another was made while this one was read.
    if (slot.number !== number) return { kind: 'too_soon', retryAfterSeconds: MINUTE_MS / 1000 };
    const signed = { text, signature: this.signer.sign(text), publicKey: this.signer.publicKey };
    await insert(q, orgId, { ...summary, ...signed });
    await auditWithin(q, orgId, {
      actor,
      action: 'statement.created',
      atMs: nowMs,
      subject: id,
      details: { month, number },
    });
    return { kind: 'created', statement: { ...summary, ...signed } };
  }

  /** Newest first; at most 100. */
  async list(orgId: string): Promise<StatementSummary[]> {
    return this.database.tenant(orgId, (q) =>
      q.query<StatementSummary>(
        `SELECT ${SUMMARY} FROM savings_statements WHERE org_id = $1
          ORDER BY created_at DESC, savings_statements.id LIMIT ${STATEMENTS_PAGE_MAX}`,
        [orgId],
      ),
    );
  }

  /** Null where the organization has no such statement. */
  async find(orgId: string, id: string): Promise<Statement | null> {
    if (!isUuid(id)) return null;
    const [row] = await this.database.tenant(orgId, (q) =>
      q.query<Statement>(
        `SELECT ${SUMMARY}, text, signature, public_key AS "publicKey"
           FROM savings_statements WHERE org_id = $1 AND id = $2`,
        [orgId, id],
      ),
    );
    return row ?? null;
  }
}

/** Null for what is no month such as `2026-11`. */
export function monthPeriod(month: string): ReportPeriod | null {
  const [, year, ofYear] = /^(20\d{2})-(0[1-9]|1[0-2])$/.exec(month) ?? [];
  if (year === undefined || ofYear === undefined) return null;
  const [y, m] = [Number(year), Number(ofYear)];
  return { fromMs: Date.UTC(y, m - 1), toMs: Date.UTC(y, m) };
}

type Slot =
  | { readonly kind: 'free'; readonly number: number; readonly follows: string | null }
  | Extract<CreatedStatement, { kind: 'too_soon' | 'too_many' }>;

/** The next number of the month. Until the transaction ends nobody else is given one. */
async function freeSlot(q: Queryable, orgId: string, month: string, nowMs: number): Promise<Slot> {
  const [lock] = await q.query<{ free: boolean }>(
    `SELECT pg_try_advisory_xact_lock(hashtextextended('shunt.statement:' || $1, 0)) AS free`,
    [orgId],
  );
  if (!lock?.free) return { kind: 'too_soon', retryAfterSeconds: MINUTE_MS / 1000 };
  const [before] = await q.query<{ lastMs: number | null; number: number; id: string | null }>(
    `SELECT extract(epoch FROM max(created_at))::float8 * 1000 AS "lastMs",
            coalesce(max(number) FILTER (WHERE month = $2::date), 0)::int AS number,
            (array_agg(id ORDER BY number DESC) FILTER (WHERE month = $2::date))[1] AS id
       FROM savings_statements WHERE org_id = $1`,
    [orgId, `${month}-01`],
  );
  const waitMs = (before?.lastMs ?? -Infinity) + MINUTE_MS - nowMs;
  if (waitMs > 0) return { kind: 'too_soon', retryAfterSeconds: Math.ceil(waitMs / 1000) };
  const number = (before?.number ?? 0) + 1;
  if (number > NUMBER_MAX) return { kind: 'too_many' };
  return { kind: 'free', number, follows: before?.id ?? null };
}

interface Composed {
  readonly kind: 'composed';
  readonly summary: StatementSummary;
  readonly text: string;
}

interface Composition {
  readonly orgId: string;
  readonly month: string;
  readonly period: ReportPeriod;
  readonly nowMs: number;
}

/** In a transaction of one snapshot, which is the cut that everything in the statement refers to. */
async function compose(
  q: Queryable,
  { orgId, month, period, nowMs }: Composition,
): Promise<Composed | CreatedStatement> {
  const slot = await freeSlot(q, orgId, month, nowMs);
  if (slot.kind !== 'free') return slot;
  const head = await ledgerHeadWithin(q, orgId);
  if (!(await isSealed(q, orgId, period, head))) {
    return { kind: 'not_sealed', retryAfterSeconds: SEALED_AFTER_MS / 1000 };
  }
  const { number, follows } = slot;
  const createdAt = new Date(nowMs).toISOString();
  const summary = { id: randomUUID(), month, number, createdAt };
  const figures = await savingsFigures(q, orgId, { period, includeSynthetic: false });
  const text = statementText({
    id: summary.id,
    organization_id: orgId,
    month,
    number,
    follows,
    created_at: createdAt,
    period: {
      from: new Date(period.fromMs).toISOString(),
      to: new Date(period.toMs).toISOString(),
    },
    ledger_head: head && headJson(head),
    savings: JSON.parse(JSON.stringify(figures)) as Canonical,
    invoices: await invoicesOf(q, orgId, month, period),
  });
  return { kind: 'composed', summary, text };
}

/** Whether every entry of the period, the sandbox's too, is up to the head. */
async function isSealed(
  q: Queryable,
  orgId: string,
  { fromMs, toMs }: ReportPeriod,
  head: SignedLedgerHead | null,
): Promise<boolean> {
  const [found] = await q.query<{ waiting: boolean }>(
    `SELECT EXISTS (SELECT FROM savings_ledger
                     WHERE org_id = $1 AND seq > $2 AND at_ms >= $3 AND at_ms < $4) AS waiting`,
    [orgId, head?.entries ?? 0, fromMs, toMs],
  );
  return found?.waiting === false;
}

async function invoicesOf(
  q: Queryable,
  orgId: string,
  month: string,
  { toMs }: ReportPeriod,
): Promise<Canonical[]> {
  const [fromDay, toDay] = [`${month}-01`, dayOf(toMs - 1)];
  const invoices: Canonical[] = [];
  for (const provider of INVOICE_PROVIDERS) {
    const invoice = invoiceOf(await checkInvoice(q, orgId, { provider, fromDay, toDay }));
    if (invoice !== null) invoices.push(invoice);
  }
  return invoices;
}

function headJson(head: SignedLedgerHead): Canonical {
  const { seal, hash, entries, sealedAt, signature } = head;
  return { seal, hash, entries, sealed_at: sealedAt, signature };
}

/** The residual without its lines, which the dashboard shows. */
function invoiceOf({ provider, cost }: InvoiceCheck): Canonical {
  if (cost === null) return null;
  const { days_covered, sum, explanation } = cost;
  return { provider, days_covered, sum: { ...sum }, explanation: { ...explanation } };
}

function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

async function insert(q: Queryable, orgId: string, statement: Statement): Promise<void> {
  const { id, month, number, createdAt, text, signature, publicKey } = statement;
  await q.query(
    `INSERT INTO savings_statements (org_id, id, month, number, created_at, text, signature, public_key)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [orgId, id, `${month}-01`, number, createdAt, text, signature, publicKey],
  );
}
