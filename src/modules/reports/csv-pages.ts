import type { Queryable } from '../../platform/postgres/queryable.js';
import { AUDIT_COLUMNS } from '../audit/audit-trail.js';
import type { AuditEntry } from '../audit/audit-entry.js';

/** Rows of one page, read in a transaction of its own. */
export const ROWS_PER_PAGE = 1_000;

export interface DownloadQuery {
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
}

export interface CsvShape {
  readonly columns: readonly string[];
  /** Those that hold numbers; all others are text. */
  readonly numbers: ReadonlySet<string>;
}

const TIME = `to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Each column as the text that is written. */
const REQUEST_COLUMNS: Readonly<Record<string, string>> = {
  request_id: 'request_id::text',
  started_at: TIME,
  project_id: 'project_id::text',
  api_key_id: 'api_key_id::text',
  provider: 'provider',
  operation: 'operation',
  requested_model: 'requested_model',
  served_model: 'served_model',
  decision: 'decision',
  mode: 'mode',
  synthetic: 'synthetic::text',
  outcome: 'outcome',
  status_code: 'status_code::text',
  error_code: 'error_code',
  failure_class: 'failure_class',
  metering: 'metering',
  unmetered_reason: 'unmetered_reason',
  usage: 'usage::text',
  service_tier: 'service_tier',
  speed: 'speed',
  region: 'region',
  pricing: 'pricing',
  unpriceable_reason: 'unpriceable_reason',
  price_version: 'price_version',
  frozen_prices: 'frozen_prices::text',
  cost_nano_usd: 'cost_nano_usd::text',
  baseline_cost_nano_usd: 'baseline_cost_nano_usd::text',
  projected_model: 'projected_model',
  projected_cost_nano_usd: 'projected_cost_nano_usd::text',
  session_key: 'session_key',
  route_class: 'route_class',
  customer_id: 'customer_id',
  tags: `array_to_string(tags, ',')`,
  latency_ms: 'latency_ms::text',
  time_to_first_byte_ms: 'time_to_first_byte_ms::text',
  tokens_per_second: 'tokens_per_second::text',
  request_bytes: 'request_bytes::text',
  response_bytes: 'response_bytes::text',
  client_retry: 'client_retry::text',
  upstream_request_id: 'upstream_request_id',
};

export const REQUESTS_CSV: CsvShape = {
  columns: Object.keys(REQUEST_COLUMNS),
  numbers: new Set([
    'status_code',
    'cost_nano_usd',
    'baseline_cost_nano_usd',
    'projected_cost_nano_usd',
    'latency_ms',
    'time_to_first_byte_ms',
    'tokens_per_second',
    'request_bytes',
    'response_bytes',
    'client_retry',
  ]),
};

const REQUESTS = `
  SELECT ARRAY[${Object.values(REQUEST_COLUMNS).join(', ')}]::text[] AS cells,
         (extract(epoch FROM started_at) * 1000)::text AS "atMs", request_id::text AS id
    FROM request_log
   WHERE org_id = $1 AND started_at >= to_timestamp($2::float8 / 1000) AND started_at < to_timestamp($3::float8 / 1000)
     AND ($4::float8 IS NULL OR (started_at, request_id) > (to_timestamp($4::float8 / 1000), $5::uuid))
   ORDER BY started_at, request_id LIMIT ${ROWS_PER_PAGE}`;

/** Oldest first. */
export async function requestPage(
  q: Queryable,
  orgId: string,
  { fromMs, toMs }: DownloadQuery,
  after: readonly string[] | null,
) {
  const [afterMs = null, afterId = null] = after ?? [];
  // The bound moves along, so that no page looks at those before it.
  const lowestMs = afterMs === null ? fromMs : Number(afterMs);
  const rows = await q.query<{ cells: (string | null)[]; atMs: string; id: string }>(REQUESTS, [
    orgId,
    lowestMs,
    toMs,
    afterMs,
    afterId,
  ]);
  const last = rows.length < ROWS_PER_PAGE ? undefined : rows.at(-1);
  return {
    rows: rows.map(({ cells }) => cells),
    after: last === undefined ? null : [last.atMs, last.id],
  };
}

const AUDIT_FIELDS = {
  seq: ({ seq }) => String(seq),
  at: ({ at }) => at,
  actor_kind: ({ actorKind }) => actorKind,
  actor: ({ actor }) => actor,
  action: ({ action }) => action,
  subject: ({ subject }) => subject,
  old_value: ({ oldValue }) => oldValue,
  new_value: ({ newValue }) => newValue,
  reason: ({ reason }) => reason,
  details: ({ details }) => details,
  prev_hash: ({ prevHash }) => prevHash,
  hash: ({ hash }) => hash,
} as const satisfies Record<string, (entry: AuditEntry) => string | null>;

export const AUDIT_CSV: CsvShape = {
  columns: Object.keys(AUDIT_FIELDS),
  numbers: new Set(['seq']),
};

/** By their numbers; the time of an entry is its writer's, and may be out of order. */
export async function auditPage(
  q: Queryable,
  orgId: string,
  { fromMs, toMs }: DownloadQuery,
  after: readonly string[] | null,
) {
  const rows = await q.query<AuditEntry>(
    `SELECT ${AUDIT_COLUMNS} FROM audit_log
      WHERE org_id = $1 AND audit_log.seq > $2::bigint
        AND audit_log.at >= to_timestamp($3::float8 / 1000) AND audit_log.at < to_timestamp($4::float8 / 1000)
      ORDER BY audit_log.seq LIMIT ${ROWS_PER_PAGE}`,
    [orgId, after?.[0] ?? '0', fromMs, toMs],
  );
  const last = rows.length < ROWS_PER_PAGE ? undefined : rows.at(-1);
  const fields = Object.values(AUDIT_FIELDS);
  return {
    rows: rows.map((entry) => fields.map((field) => field(entry))),
    after: last === undefined ? null : [String(last.seq)],
  };
}
