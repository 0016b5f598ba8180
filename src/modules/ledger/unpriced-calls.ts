import type { LedgerEntry } from '../../domain/savings/ledger-entry.js';
import { NO_BASELINE } from '../../domain/savings/ledger-entries.js';
import { standingEntries } from '../../domain/savings/standing-entries.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { loadNegotiatedPrices } from '../catalog/negotiated-prices.store.js';
import type { PriceBook } from '../catalog/price-book.js';
import { latePriced, type StoredUnpriced } from './late-rating.js';
import { appendEntriesWithin, entriesOfRequests } from './ledger-columns.js';

/** Calls that are tried in one transaction. */
const CALLS_PER_BATCH = 500;
/** Calls that are dropped in one transaction. */
const EXPIRED_PER_BATCH = 10_000;

/**
 * Takes a JSON array of records, in a transaction that is scoped to their organization: of those that were routed and
 * had no price, it keeps what an entry needs beside one, for as long as the record at most. Before the entries.
 */
export const INSERT_UNPRICED = `
  INSERT INTO unpriced_calls (org_id, request_id, call, kept_until)
  SELECT (r ->> 'org_id')::uuid, (r ->> 'request_id')::uuid, r -> 'unpriced',
         timestamptz 'epoch' + (r ->> 'started_at_ms')::bigint * interval '1 millisecond'
           + substr(r ->> 'retention_class', 2)::integer * interval '1 day'
    FROM jsonb_array_elements($1::jsonb) AS r
   WHERE jsonb_typeof(r -> 'unpriced') = 'object'
   ORDER BY 2
  ON CONFLICT (org_id, request_id) DO NOTHING`;

interface Waiting {
  readonly requestId: string;
  readonly call: StoredUnpriced;
}

/** Some of those whose records may be gone by now. False where that were all of them. */
export async function dropExpiredWithin(
  q: Queryable,
  orgId: string,
  nowMs: number,
  atMost = EXPIRED_PER_BATCH,
): Promise<boolean> {
  const [dropped] = await q.query<{ calls: number }>(
    `WITH dropped AS (
       DELETE FROM unpriced_calls WHERE org_id = $1 AND request_id IN (
         SELECT request_id FROM unpriced_calls
          WHERE org_id = $1 AND kept_until < to_timestamp($2::float8 / 1000) LIMIT $3)
       RETURNING 1)
     SELECT count(*)::int AS calls FROM dropped`,
    [orgId, nowMs, atMost],
  );
  return dropped?.calls === atMost;
}

/**
 * Tries the next calls that were not tried with what is known by now, in the caller's transaction, which alone writes
 * adjustments of the organization. Returns how many got their entry; null where none is left to be tried.
 */
export async function priceNextWithin(
  q: Queryable,
  orgId: string,
  list: PriceBook,
  nowMs: number,
): Promise<number | null> {
  const known = await knownPrices(q, orgId, list.version);
  const waiting = await q.query<Waiting>(
    `SELECT request_id AS "requestId", call FROM unpriced_calls
      WHERE org_id = $1 AND (tried < $2 OR tried > $2)
        AND kept_until >= to_timestamp($3::float8 / 1000) LIMIT ${CALLS_PER_BATCH}`,
    [orgId, known, nowMs],
  );
  if (waiting.length === 0) return null;
  const ids = waiting.map(({ requestId }) => requestId);
  const agreements = await loadNegotiatedPrices(q, orgId);
  const byRequest = Map.groupBy(
    await entriesOfRequests(q, orgId, ids),
    ({ request_id }) => request_id,
  );
  const priced: LedgerEntry[] = [];
  const done: string[] = [];
  for (const { requestId, call } of waiting) {
    const standing = standingEntries(byRequest.get(requestId) ?? []);
    if (standing === null) continue;
    const { entries, nextAttempt } = standing;
    // Its record came a second time, after the first was priced.
    const isSaid = entries.some((entry) => entry.baseline_method !== NO_BASELINE);
    const late = { atMs: nowMs, attempt: nextAttempt + 1 };
    const entry = isSaid ? null : latePriced(call, list, agreements, late);
    if (entry !== null) priced.push(entry);
    if (isSaid || entry !== null) done.push(requestId);
  }
  await q.query(
    'UPDATE unpriced_calls SET tried = $3 WHERE org_id = $1 AND request_id = ANY($2::uuid[])',
    [orgId, ids, known],
  );
  await q.query('DELETE FROM unpriced_calls WHERE org_id = $1 AND request_id = ANY($2::uuid[])', [
    orgId,
    done,
  ]);
  if (priced.length > 0) await appendEntriesWithin(q, priced);
  return priced.length;
}

/** Changes with the list and with every agreement: these are only ever added. */
async function knownPrices(q: Queryable, orgId: string, list: string): Promise<string> {
  const [row] = await q.query<{ agreements: string }>(
    'SELECT count(*)::text AS agreements FROM negotiated_prices WHERE org_id = $1',
    [orgId],
  );
  return `${list}/${row?.agreements ?? 0}`;
}
