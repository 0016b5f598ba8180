import type { LedgerEntry } from '../../domain/savings/ledger-entry.js';
import type { Queryable } from '../../platform/postgres/queryable.js';

/** How each field of an entry is read from its JSON; amounts without a scale, so that a fraction is refused. */
const ENTRY_FIELDS = {
  org_id: 'uuid',
  request_id: 'uuid',
  kind: 'text',
  attempt: 'smallint',
  at_ms: 'bigint',
  project_id: 'uuid',
  synthetic: 'boolean',
  auto: 'boolean',
  decision_source: 'text',
  decision_id: 'text',
  baseline_provider: 'text',
  baseline_model: 'text',
  served_provider: 'text',
  served_model: 'text',
  usage: 'jsonb',
  served_prices: 'jsonb',
  served_price_version: 'text',
  actual_nano_usd: 'numeric',
  baseline_usage: 'jsonb',
  baseline_method: 'text',
  baseline_prices: 'jsonb',
  baseline_price_version: 'text',
  baseline_nano_usd: 'numeric',
  savings_nano_usd: 'numeric',
} as const satisfies Record<keyof LedgerEntry, string>;

const FIELDS = Object.keys(ENTRY_FIELDS) as (keyof LedgerEntry)[];

/** An entry as its writer gave it: amounts as text, JSON as it is. */
const ENTRY_COLUMNS = FIELDS.map((field) => {
  if (ENTRY_FIELDS[field] === 'numeric') return `${field}::text`;
  return ENTRY_FIELDS[field] === 'bigint' ? `${field}::float8 AS ${field}` : field;
}).join(', ');

/** Every entry of these requests, in a transaction that is scoped to their organization. */
export function entriesOfRequests(
  q: Queryable,
  orgId: string,
  requestIds: readonly string[],
): Promise<LedgerEntry[]> {
  return q.query<LedgerEntry>(
    `SELECT ${ENTRY_COLUMNS} FROM savings_ledger
      WHERE org_id = $1 AND request_id = ANY($2::uuid[]) ORDER BY request_id, kind, attempt`,
    [orgId, requestIds],
  );
}

/** An entry of another call than that of its record is nobody's: refused as an incomplete one. */
const valueOf = (field: keyof LedgerEntry): string =>
  field === 'org_id'
    ? `CASE WHEN e.org_id = (r ->> 'org_id')::uuid AND e.request_id = (r ->> 'request_id')::uuid THEN e.org_id END`
    : `e.${field}`;

/**
 * Takes a JSON array of records with their entries in `ledger`, all of one organization, in a transaction that is
 * scoped to it. In one order everywhere; one that is there already changes nothing.
 */
export const INSERT_ENTRIES = `
  INSERT INTO savings_ledger (${FIELDS.join(', ')})
  SELECT ${FIELDS.map(valueOf).join(', ')}
    FROM jsonb_array_elements($1::jsonb) AS r
   CROSS JOIN LATERAL jsonb_to_recordset(r -> 'ledger')
      AS e(${FIELDS.map((field) => `${field} ${ENTRY_FIELDS[field]}`).join(', ')})
   ORDER BY e.request_id, e.kind, e.attempt
  ON CONFLICT ON CONSTRAINT savings_ledger_once DO NOTHING`;

/** For entries that come without a record, such as adjustments; as the last part of a transaction. */
export async function appendEntriesWithin(
  q: Queryable,
  entries: readonly LedgerEntry[],
): Promise<void> {
  const records = entries.map((entry) => ({
    org_id: entry.org_id,
    request_id: entry.request_id,
    ledger: [entry],
  }));
  await q.query(INSERT_ENTRIES, [JSON.stringify(records)]);
}
