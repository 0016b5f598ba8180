import type { Database } from '../../platform/postgres/database.js';
import {
  LEDGER_ROW_COLUMNS,
  SEAL_ROW_COLUMNS,
  type LedgerRow,
  type SealRow,
} from './ledger-encoding.js';

/** Where a ledger ended in one snapshot. */
export interface LedgerState {
  /** What the head says; null where there is none. */
  readonly headSeq: number | null;
  /** The largest numbers that there are; 0 where there are none. */
  readonly lastEntry: number;
  readonly lastSeal: number;
}

export type LedgerItem =
  | { readonly kind: 'entry'; readonly entry: LedgerRow }
  | { readonly kind: 'seal'; readonly seal: SealRow };

const ENTRIES_PER_PAGE = 500;
const SEALS_PER_PAGE = 200;
/** Below every number that a tampered row could have. */
const BEFORE_ALL = Number.MIN_SAFE_INTEGER;

/** One statement, hence one snapshot: entries, seals and head are compared as they were committed. */
export async function ledgerStateOf(database: Database, orgId: string): Promise<LedgerState> {
  const [row] = await database.tenant(orgId, (q) =>
    q.query<LedgerState>(
      `SELECT (SELECT h.seq::float8 FROM ledger_heads h WHERE h.org_id = $1) AS "headSeq",
              coalesce((SELECT max(l.seq)::float8 FROM savings_ledger l WHERE l.org_id = $1), 0) AS "lastEntry",
              coalesce((SELECT max(s.seq)::float8 FROM seals s WHERE s.org_id = $1), 0) AS "lastSeal"`,
      [orgId],
    ),
  );
  if (row === undefined) throw new Error('A query without FROM gave no row');
  return row;
}

/**
 * A ledger up to a state of it: entries in the order of their numbers, each seal after the last entry that it says to be
 * over. In pages of a fixed size, so that its length costs time and no memory.
 */
export async function* readLedger(
  database: Database,
  orgId: string,
  upTo: LedgerState,
): AsyncGenerator<LedgerItem, void, void> {
  const seals = paged(SEALS_PER_PAGE, (after) => sealsAfter(database, orgId, after, upTo.lastSeal));
  const entries = paged(ENTRIES_PER_PAGE, (after) =>
    entriesAfter(database, orgId, after, upTo.lastEntry),
  );
  let seal = await seals.next();
  for await (const entry of entries) {
    while (seal.done !== true && seal.value.last < Number(entry.seq)) {
      yield { kind: 'seal', seal: seal.value };
      seal = await seals.next();
    }
    yield { kind: 'entry', entry };
  }
  while (seal.done !== true) {
    yield { kind: 'seal', seal: seal.value };
    seal = await seals.next();
  }
}

async function* paged<Row extends { readonly seq: number | string }>(
  pageSize: number,
  read: (after: number) => Promise<Row[]>,
): AsyncGenerator<Row, void, void> {
  for (let after = BEFORE_ALL; ;) {
    const page = await read(after);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) return;
    after = Number(last.seq);
  }
}

async function entriesAfter(
  database: Database,
  orgId: string,
  after: number,
  last: number,
): Promise<LedgerRow[]> {
  return database.tenant(orgId, (q) =>
    q.query<LedgerRow>(
      `SELECT ${LEDGER_ROW_COLUMNS} FROM savings_ledger
        WHERE org_id = $1 AND savings_ledger.seq > $2 AND savings_ledger.seq <= $3
        ORDER BY savings_ledger.seq LIMIT ${ENTRIES_PER_PAGE}`,
      [orgId, after, last],
    ),
  );
}

async function sealsAfter(
  database: Database,
  orgId: string,
  after: number,
  last: number,
): Promise<SealRow[]> {
  return database.tenant(orgId, (q) =>
    q.query<SealRow>(
      `SELECT ${SEAL_ROW_COLUMNS} FROM seals
        WHERE org_id = $1 AND seals.seq > $2 AND seals.seq <= $3 ORDER BY seals.seq LIMIT ${SEALS_PER_PAGE}`,
      [orgId, after, last],
    ),
  );
}
