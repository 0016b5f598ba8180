import {
  residualsOf,
  type DayAmount,
  type Residual,
  type Residuals,
} from '../../domain/reports/invoice-residual.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { ExportKind, InvoiceProvider } from './provider-export.js';

/** Amounts and token counts are decimal strings. */
export interface ResidualJson {
  readonly invoiced: string;
  readonly logged: string;
  /** Invoiced minus logged. */
  readonly residual: string;
  /** Of what was invoiced, two decimals; null where nothing was. */
  readonly percent: string | null;
}

export interface ResidualLineJson extends ResidualJson {
  readonly day: string;
  readonly model: string;
  readonly seen: Residual['seen'];
}

/** What the residual can come from, of the days that are covered. */
export interface Explanation {
  /** Invoiced for another key of the provider than the one that was named at the import: never went through Shunt. */
  readonly other_key: string;
  /** Invoiced on days for models of which the log has no call at all. */
  readonly invoice_only: string;
  readonly log_only: string;
  /** What is left of the residual after these three. */
  readonly remainder: string;
  /** Calls that were sent to the provider and have no cost here, or one that is estimated. */
  readonly unmetered_calls: number;
  readonly unpriceable_calls: number;
  readonly estimated_calls: number;
}

export interface InvoiceComparison {
  /** `nano_usd`, `input_tokens` or `output_tokens`. */
  readonly of: 'nano_usd' | 'input_tokens' | 'output_tokens';
  readonly days_covered: number;
  /** The part of the whole that is the key's own, and what was logged. */
  readonly sum: ResidualJson;
  readonly lines: readonly ResidualLineJson[];
  /** Lines beyond those that are listed; the sums include them. */
  readonly lines_left_out: number;
  readonly explanation: Explanation;
}

export interface InvoiceCheck {
  readonly provider: InvoiceProvider;
  readonly from_day: string;
  readonly to_day: string;
  /** Null where no import covers a day of the period. */
  readonly cost: InvoiceComparison | null;
  readonly input_tokens: InvoiceComparison | null;
  readonly output_tokens: InvoiceComparison | null;
}

export interface CheckQuery {
  readonly provider: InvoiceProvider;
  /** UTC, both included. */
  readonly fromDay: string;
  readonly toDay: string;
}

export const CHECK_DAYS_MAX = 100;
const LINES_SHOWN_MAX = 2_000;
const INVOICED_MAX = 100_000;
const DAY_MS = 24 * 60 * 60 * 1000;

interface Invoiced {
  readonly day: string;
  readonly model: string;
  readonly other_key: boolean;
  readonly input_tokens: string;
  readonly output_tokens: string;
  readonly amount: string | null;
}

interface Logged {
  readonly model: string;
  readonly cost: string;
  readonly input_tokens: string;
  readonly output_tokens: string;
  readonly unmetered: number;
  readonly unpriceable: number;
  readonly estimated: number;
}

type LoggedOfDay = Logged & { readonly day: string };

/** Of two imports that speak of a day, the newer one counts for it. */
const INVOICED = `
  WITH days AS (
    SELECT d::date AS day, (
      SELECT i.id FROM invoice_imports i
       WHERE i.org_id = $1 AND i.provider = $2 AND i.kind = $3 AND d::date BETWEEN i.from_day AND i.to_day
       ORDER BY i.number DESC LIMIT 1) AS import_id
      FROM generate_series($4::date, $5::date, interval '1 day') AS d
  )
  SELECT day::text, l.model, l.other_key, l.input_tokens::text, l.output_tokens::text, l.amount_nano_usd::text AS amount
    FROM days LEFT JOIN invoice_lines l USING (day, import_id)
   WHERE import_id IS NOT NULL AND (l.org_id = $1 OR l.org_id IS NULL)
   ORDER BY day LIMIT ${INVOICED_MAX}`;

const units = (...fields: string[]): string =>
  fields.map((field) => `coalesce((usage ->> '${field}')::numeric, 0)`).join(' + ');
const INPUT = units(
  'inputTokens', 'cacheReadTokens', 'cacheReadAudioTokens', 'cacheWrite5mTokens', 'cacheWrite30mTokens',
  'cacheWrite1hTokens', 'cacheWrite12hTokens', 'audioInputTokens', 'imageInputTokens',
); // prettier-ignore
const OUTPUT = units('outputTokens', 'audioOutputTokens', 'imageOutputTokens');

/** Calls by the provider and model that served them, and what attempts and evaluations beside them cost. */
const LOGGED = `
  WITH served AS (
    SELECT r.provider, coalesce(r.served_model, r.requested_model, 'unknown') AS model, r.cost_nano_usd AS cost, r.usage,
           r.metering = 'unmetered' AS unmetered, r.pricing = 'unpriceable' AS unpriceable,
           r.metering = 'estimated' AS estimated
      FROM request_log r
     WHERE r.org_id = $1 AND r.started_at >= $3::date AND r.started_at < $3::date + 1
       AND NOT r.synthetic AND r.outcome <> 'refused'
     UNION ALL
    SELECT served_provider, served_model, actual_nano_usd, usage, false, false, false
      FROM savings_ledger
     WHERE org_id = $1 AND kind IN ('failed_attempt', 'evaluation') AND NOT synthetic
       AND at_ms >= extract(epoch FROM $3::date) * 1000 AND at_ms < extract(epoch FROM $3::date + 1) * 1000
  )
  SELECT model, trunc(coalesce(sum(cost), 0))::text AS cost,
         sum(${INPUT})::text AS input_tokens, sum(${OUTPUT})::text AS output_tokens,
         count(*) FILTER (WHERE unmetered)::float8 AS unmetered,
         count(*) FILTER (WHERE unpriceable)::float8 AS unpriceable,
         count(*) FILTER (WHERE estimated)::float8 AS estimated
    FROM served WHERE provider = $2 GROUP BY model`;

/** Holds what a provider says against what was recorded, by day (UTC) and model. */
export class InvoiceCheckService {
  constructor(private readonly database: Database) {}

  async check(orgId: string, query: CheckQuery): Promise<InvoiceCheck> {
    return this.database.tenant(orgId, (q) => checkInvoice(q, orgId, query));
  }
}

/** In a transaction that is scoped to the organization. Throws `RangeError` for more than 100 days. */
export async function checkInvoice(
  q: Queryable,
  orgId: string,
  query: CheckQuery,
): Promise<InvoiceCheck> {
  const days = (Date.parse(query.toDay) - Date.parse(query.fromDay)) / DAY_MS + 1;
  if (!(days >= 1 && days <= CHECK_DAYS_MAX)) throw new RangeError('from 1 to 100 days');
  const logged = new Map<string, Promise<LoggedOfDay[]>>();
  const logOf = (day: string): Promise<LoggedOfDay[]> => {
    const known = logged.get(day) ?? loggedOn(q, orgId, query.provider, day);
    logged.set(day, known);
    return known;
  };
  const cost = await coveredBy(q, orgId, query, 'cost', logOf);
  const usage = await coveredBy(q, orgId, query, 'usage', logOf);
  return {
    provider: query.provider,
    from_day: query.fromDay,
    to_day: query.toDay,
    cost:
      cost &&
      compare(
        'nano_usd',
        cost,
        (line) => line.amount ?? '0',
        (line) => line.cost,
      ),
    input_tokens:
      usage &&
      compare(
        'input_tokens',
        usage,
        (l) => l.input_tokens,
        (l) => l.input_tokens,
      ),
    output_tokens:
      usage &&
      compare(
        'output_tokens',
        usage,
        (l) => l.output_tokens,
        (l) => l.output_tokens,
      ),
  };
}

interface Covered {
  readonly days: number;
  readonly invoiced: readonly Invoiced[];
  readonly logged: readonly LoggedOfDay[];
}

async function coveredBy(
  q: Queryable,
  orgId: string,
  { provider, fromDay, toDay }: CheckQuery,
  kind: ExportKind,
  logOf: (day: string) => Promise<LoggedOfDay[]>,
): Promise<Covered | null> {
  const rows = await q.query<Omit<Invoiced, 'model'> & { readonly model: string | null }>(INVOICED, [
    orgId, provider, kind, fromDay, toDay,
  ]); // prettier-ignore
  const days = [...new Set(rows.map(({ day }) => day))];
  if (days.length === 0) return null;
  if (rows.length === INVOICED_MAX) throw new RangeError('the invoices of the period are too long');
  const logged: LoggedOfDay[] = [];
  for (const day of days) logged.push(...(await logOf(day)));
  // A day that is covered, and on which nothing was charged, has a row without a model.
  const invoiced = rows.flatMap((row) =>
    row.model === null ? [] : [{ ...row, model: row.model }],
  );
  return { days: days.length, invoiced, logged };
}

async function loggedOn(
  q: Queryable,
  orgId: string,
  provider: InvoiceProvider,
  day: string,
): Promise<LoggedOfDay[]> {
  const rows = await q.query<Logged>(LOGGED, [orgId, provider, day]);
  return rows.map((row) => ({ ...row, day }));
}

function compare(
  of: InvoiceComparison['of'],
  { days, invoiced, logged }: Covered,
  invoicedAmount: (line: Invoiced) => string,
  loggedAmount: (line: LoggedOfDay) => string,
): InvoiceComparison {
  const amounts = invoiced.map((line) => ({ ...line, amount: BigInt(invoicedAmount(line)) }));
  const own: DayAmount[] = amounts.filter((line) => !line.other_key);
  const other = amounts.filter((line) => line.other_key).reduce((sum, l) => sum + l.amount, 0n);
  const found = residualsOf(
    own,
    logged.map((line) => ({ ...line, amount: BigInt(loggedAmount(line)) })),
  );
  const count = (name: 'unmetered' | 'unpriceable' | 'estimated'): number =>
    logged.reduce((sum, line) => sum + line[name], 0);
  const shown = found.lines.slice(0, LINES_SHOWN_MAX);
  return {
    of,
    days_covered: days,
    sum: residualJson(found.sum),
    lines: shown.map(({ day, model, seen, ...rest }) => ({
      day,
      model,
      seen,
      ...residualJson(rest),
    })),
    lines_left_out: found.lines.length - shown.length,
    explanation: {
      other_key: String(other),
      invoice_only: String(found.invoiceOnly),
      log_only: String(found.logOnly),
      remainder: String(found.sum.residual - found.invoiceOnly - found.logOnly),
      unmetered_calls: count('unmetered'),
      unpriceable_calls: count('unpriceable'),
      estimated_calls: count('estimated'),
    },
  };
}

function residualJson({ invoiced, logged, residual, percent }: Residuals['sum']): ResidualJson {
  return {
    invoiced: String(invoiced),
    logged: String(logged),
    residual: String(residual),
    percent,
  };
}
