import { NO_BASELINE } from '../../domain/savings/ledger-entries.js';
import type { LedgerEntry } from '../../domain/savings/ledger-entry.js';
import { standingEntries } from '../../domain/savings/standing-entries.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { loadNegotiatedPrices } from '../catalog/negotiated-prices.store.js';
import { timeOfRequestId } from '../records/request-id-time.js';
import {
  listVersionOf,
  revalued,
  type LeftBecause,
  type Prices,
  type RecordedTerms,
} from './late-rating.js';
import { appendEntriesWithin, entriesOfRequests } from './ledger-columns.js';
import type { PriceLists } from './price-lists.js';

/** Entries that are compared in one transaction. */
const ENTRIES_PER_BATCH = 500;
/** Where more entries than these may be concerned, the ledger is gone through from its beginning. */
const SEARCHED_ENTRIES_MAX = 100_000;
/** The id's time is the record's; a clock read twice may differ by this much. */
const ID_TIME_SLACK_MS = 1_000;
/** What a column of the ledger takes as a number of an adjustment. */
const ATTEMPT_MAX = 32_767;

export interface Corrections {
  /** Entries that were taken back and said anew. */
  readonly corrected: number;
  readonly left: readonly LeftBecause[];
}

interface Cursor {
  readonly seq: number;
  readonly fromMs: number | null;
}

interface PageRow {
  readonly seq: number;
  readonly request_id: string;
  /** False for what corrects another entry, which is looked at with that one. */
  readonly isFirst: boolean;
}

/**
 * Compares the next entries with the agreements as they stand, and corrects those that say something else, in the
 * caller's transaction, which alone writes adjustments of the organization. Null where all of them are compared. What is
 * appended follows from what is in the ledger: the same again finds nothing to do.
 */
export async function correctNextWithin(
  q: Queryable,
  orgId: string,
  lists: PriceLists,
  nowMs: number,
): Promise<Corrections | null> {
  // An agreement that is entered meanwhile waits here, and is then noted behind what this transaction has seen.
  const [cursor] = await q.query<Cursor>(
    `SELECT seq::float8 AS seq, from_ms::float8 AS "fromMs"
       FROM ledger_price_cursors WHERE org_id = $1 FOR UPDATE`,
    [orgId],
  );
  if (cursor === undefined) return null;
  const after = await startOf(q, orgId, cursor);
  const page = await pageAfter(q, orgId, after);
  const last = page.at(-1)?.seq;
  await q.query('UPDATE ledger_price_cursors SET seq = $2, from_ms = NULL WHERE org_id = $1', [
    orgId,
    last ?? after,
  ]);
  if (last === undefined) return null;
  const firsts = page.filter(({ isFirst }) => isFirst).map(({ request_id }) => request_id);
  const found = await correctionsOf(q, orgId, [...new Set(firsts)], lists, nowMs);
  // Last: whoever else adds to this ledger waits from here to the end of the transaction.
  if (found.pairs.length > 0) await appendEntriesWithin(q, found.pairs.flat());
  return { corrected: found.pairs.length, left: found.left };
}

/** The number of the entry after which calls may be that the new agreements price. */
async function startOf(q: Queryable, orgId: string, { seq, fromMs }: Cursor): Promise<number> {
  if (fromMs === null) return seq;
  const [found] = await q.query<{ entries: number; first: number | null }>(
    `SELECT count(*)::float8 AS entries, min(found.seq)::float8 AS first
       FROM (SELECT l.seq FROM savings_ledger l WHERE l.org_id = $1 AND l.at_ms >= $2
              LIMIT ${SEARCHED_ENTRIES_MAX + 1}) AS found`,
    [orgId, fromMs],
  );
  if ((found?.entries ?? 0) > SEARCHED_ENTRIES_MAX) return 0;
  return Math.min(seq, (found?.first ?? Infinity) - 1);
}

function pageAfter(q: Queryable, orgId: string, after: number): Promise<PageRow[]> {
  return q.query<PageRow>(
    `SELECT l.seq::float8 AS seq, l.request_id,
            l.kind <> 'adjustment' OR (l.attempt % 2 = 1 AND NOT EXISTS (
              SELECT FROM savings_ledger b WHERE b.org_id = l.org_id AND b.request_id = l.request_id
                 AND b.kind = 'adjustment' AND b.attempt = l.attempt - 1)) AS "isFirst"
       FROM savings_ledger l
      WHERE l.org_id = $1 AND l.seq > $2 ORDER BY l.seq LIMIT ${ENTRIES_PER_BATCH}`,
    [orgId, after],
  );
}

async function correctionsOf(
  q: Queryable,
  orgId: string,
  requestIds: readonly string[],
  lists: PriceLists,
  nowMs: number,
): Promise<{ pairs: (readonly [LedgerEntry, LedgerEntry])[]; left: LeftBecause[] }> {
  const pairs: (readonly [LedgerEntry, LedgerEntry])[] = [];
  const left: LeftBecause[] = [];
  const entries = await entriesOfRequests(q, orgId, requestIds);
  await lists.load(q, new Set(entries.flatMap(listsNamed)));
  const agreements = await loadNegotiatedPrices(q, orgId);
  const prices: Prices = { listOf: (version) => lists.of(version), agreements };
  const byRequest = Map.groupBy(entries, ({ request_id }) => request_id);
  const times = new Map([...byRequest].map(([id, own]) => [id, callAtMs(own)]));
  const records = await recordedTerms(q, orgId, times);
  for (const [id, own] of byRequest) {
    const standing = standingEntries(own);
    if (standing === null) left.push('not_reproduced');
    let attempt = standing?.nextAttempt ?? 0;
    for (const entry of standing?.entries ?? []) {
      const correction = { atMs: nowMs, attempt };
      const result =
        attempt < ATTEMPT_MAX
          ? revalued(entry, times.get(id) ?? 0, records.get(id), prices, correction)
          : ({ kind: 'left', why: 'not_reproduced' } as const);
      if (result.kind === 'left') left.push(result.why);
      if (result.kind !== 'corrected') continue;
      pairs.push(result.pair);
      attempt += 2;
    }
  }
  return { pairs, left };
}

function listsNamed(entry: LedgerEntry): string[] {
  return [entry.served_price_version, entry.baseline_price_version]
    .filter((version) => version !== NO_BASELINE)
    .map(listVersionOf);
}

/** An adjustment is dated when it was learned: of a request that has nothing else, the id tells when the call was made. */
function callAtMs(entries: readonly LedgerEntry[]): number {
  const own = entries.find(({ kind }) => kind !== 'adjustment');
  return own?.at_ms ?? timeOfRequestId(entries[0]?.request_id ?? '') ?? 0;
}

/** Looked up one by one: joined, all records of the organization would be read for the few that were routed. */
async function recordedTerms(
  q: Queryable,
  orgId: string,
  times: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, RecordedTerms>> {
  const rows = await q.query<RecordedTerms & { readonly id: string }>(
    `SELECT c.id, r.provider, r.service_tier AS "serviceTier", r.speed, r.region
       FROM unnest($2::uuid[], $3::float8[]) AS c(id, at_ms)
      CROSS JOIN LATERAL (
        SELECT * FROM request_log l
         WHERE l.org_id = $1 AND l.request_id = c.id
           AND l.started_at BETWEEN to_timestamp((c.at_ms - ${ID_TIME_SLACK_MS}) / 1000)
                                AND to_timestamp((c.at_ms + ${ID_TIME_SLACK_MS}) / 1000)
         ORDER BY l.revision DESC LIMIT 1) AS r`,
    [orgId, [...times.keys()], [...times.values()]],
  );
  return new Map(rows.map(({ id, ...terms }) => [id, terms]));
}
