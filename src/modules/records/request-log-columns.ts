import type { RecordColumn } from './call-record.js';

/**
 * How each field of a record is read from its JSON. Amounts are read without a scale, so that a fraction is
 * refused by the table's checks instead of being rounded here; counts and times likewise as they came.
 */
export const RECORD_FIELDS = {
  request_id: 'uuid',
  started_at_ms: 'bigint',
  org_id: 'uuid',
  project_id: 'uuid',
  api_key_id: 'uuid',
  retention_class: 'text',
  provider: 'text',
  operation: 'text',
  requested_model: 'text',
  streamed: 'boolean',
  decision: 'text',
  mode: 'text',
  synthetic: 'boolean',
  revision: 'smallint',
  outcome: 'text',
  status_code: 'smallint',
  error_code: 'text',
  failure_class: 'text',
  served_model: 'text',
  metering: 'text',
  unmetered_reason: 'text',
  usage: 'jsonb',
  service_tier: 'text',
  speed: 'text',
  region: 'text',
  pricing: 'text',
  unpriceable_reason: 'text',
  price_version: 'text',
  frozen_prices: 'jsonb',
  cost_nano_usd: 'numeric',
  baseline_cost_nano_usd: 'numeric',
  projected_model: 'text',
  projected_cost_nano_usd: 'numeric',
  session_key: 'text',
  route_class: 'text',
  classification: 'jsonb',
  customer_id: 'text',
  tags: 'text[]',
  latency_ms: 'numeric',
  time_to_first_byte_ms: 'numeric',
  tokens_per_second: 'double precision',
  request_bytes: 'numeric',
  response_bytes: 'numeric',
  client_retry: 'numeric',
  upstream_request_id: 'text',
  routing: 'jsonb',
} as const satisfies Record<RecordColumn, string>;

const FIELDS = Object.keys(RECORD_FIELDS) as RecordColumn[];
const KEY = ['org_id', 'started_at', 'request_id', 'retention_class'];

const column = (field: RecordColumn): string => (field === 'started_at_ms' ? 'started_at' : field);

const valueOf = (field: RecordColumn): string =>
  field === 'started_at_ms'
    ? `timestamptz 'epoch' + r.started_at_ms * interval '1 millisecond'`
    : `r.${field}`;

/** Takes a JSON array of records. Writing one twice, or an older revision after a newer one, changes nothing. */
export const INSERT_RECORDS = `
  INSERT INTO request_log (${FIELDS.map(column).join(', ')})
  SELECT ${FIELDS.map(valueOf).join(', ')}
    FROM jsonb_to_recordset($1::jsonb) AS r(${FIELDS.map((field) => `${field} ${RECORD_FIELDS[field]}`).join(', ')})
  ON CONFLICT (${KEY.join(', ')}) DO UPDATE SET
    ${FIELDS.map(column)
      .filter((name) => !KEY.includes(name))
      .map((name) => `${name} = excluded.${name}`)
      .join(', ')}
  WHERE excluded.revision > request_log.revision`;
