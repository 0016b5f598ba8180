import { sqlStateOf } from '../../platform/postgres/query-error.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { INSERT_ENTRIES } from '../ledger/ledger-columns.js';
import { INSERT_UNPRICED } from '../ledger/unpriced-calls.js';
import type { QueuedRecord } from './record-queue.js';
import { INSERT_RECORDS } from './request-log-columns.js';
import { storableJson } from './storable-json.js';
import { withDeadline, type Schedule } from './schedule.js';

/** What the record pipeline needs of the database. */
export interface RecordDatabase extends Queryable {
  tenant<T>(orgId: string, work: (q: Queryable) => Promise<T>): Promise<T>;
}

/** A batch that has not come back by then counts as failed; writing it again is harmless. */
const BATCH_TIMEOUT_MS = 30_000;
/** Months of one batch whose partitions are asked for; a record of yet another month is a bad record. */
const MONTHS_PER_BATCH = 24;

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
/** `no partition of relation found for row` shares this state with a failed CHECK. */
const CHECK_VIOLATION = '23514';

/** Refusals that the record brought on itself: data exceptions, integrity violations, a row too large for its index. */
const RECORD_FAULT = /^(?:22|23|54000)/;

/** What a record with entries of the savings ledger has in its JSON; within a text the quotes would be escaped. */
const ENTRIES = '"ledger":[{';
/** What one has in it of a routed call without a price. */
const UNPRICED = '"unpriced":{';

export interface StoreResult {
  readonly record: QueuedRecord;
  /** Null: written. Else the SQLSTATE, or `invalid_org_id`, with which this very record is refused. */
  readonly refused: string | null;
}

/** Writes one organization's records, and finds out which of them Postgres refuses. */
export class RecordStore {
  constructor(
    private readonly database: RecordDatabase,
    private readonly schedule: Schedule,
  ) {}

  /**
   * Reports each record once it is written or refused. Throws what the database threw when it is not the
   * records' fault; records not reported by then are unwritten.
   */
  async store(
    orgId: string,
    records: readonly QueuedRecord[],
    report: (result: StoreResult) => void,
  ): Promise<void> {
    if (!UUID.test(orgId)) {
      for (const record of records) report({ record, refused: 'invalid_org_id' });
      return;
    }
    await this.#storePart(orgId, records, report, false);
  }

  /** Halves a refused batch until the bad record stands alone: at most log2(batch) deep. */
  async #storePart(
    orgId: string,
    records: readonly QueuedRecord[],
    report: (result: StoreResult) => void,
    partitionsEnsured: boolean,
  ): Promise<void> {
    const state = await this.#insert(orgId, records);
    if (state === null) {
      for (const record of records) report({ record, refused: null });
      return;
    }
    const [first] = records;
    if (first === undefined) return;
    if (state === CHECK_VIOLATION && !partitionsEnsured) {
      await this.#ensurePartitions(records);
      return this.#storePart(orgId, records, report, true);
    }
    if (records.length === 1) {
      report({ record: first, refused: state });
      return;
    }
    const middle = Math.ceil(records.length / 2);
    await this.#storePart(orgId, records.slice(0, middle), report, partitionsEnsured);
    await this.#storePart(orgId, records.slice(middle), report, partitionsEnsured);
  }

  /** Null when written, else the SQLSTATE of a refusal that is some record's fault. */
  async #insert(orgId: string, records: readonly QueuedRecord[]): Promise<string | null> {
    const jsons = records.map((record) => storableJson(record.json));
    const withEntries = jsons.filter((json) => json.includes(ENTRIES));
    const unpriced = jsons.filter((json) => json.includes(UNPRICED));
    const work = this.database.tenant(orgId, async (q) => {
      await q.query(INSERT_RECORDS, [`[${jsons.join(',')}]`]);
      if (unpriced.length > 0) await q.query(INSERT_UNPRICED, [`[${unpriced.join(',')}]`]);
      // Last: whoever else adds to this ledger waits from here to the end of the transaction.
      if (withEntries.length > 0) await q.query(INSERT_ENTRIES, [`[${withEntries.join(',')}]`]);
    });
    return this.#refusal(work);
  }

  async #ensurePartitions(records: readonly QueuedRecord[]): Promise<void> {
    const months = new Set(records.map((record) => monthOf(record.startedAtMs)));
    for (const month of [...months].slice(0, MONTHS_PER_BATCH)) {
      if (month === null) continue;
      // A month that is refused for being out of range leaves its records without a partition: bad records.
      await this.#refusal(
        this.database.query('SELECT ensure_request_log_partitions($1::date, 1)', [month]),
      );
    }
  }

  async #refusal(work: Promise<unknown>): Promise<string | null> {
    try {
      await withDeadline(this.schedule, BATCH_TIMEOUT_MS, work);
      return null;
    } catch (error) {
      const state = sqlStateOf(error);
      if (state !== null && RECORD_FAULT.test(state)) return state;
      throw error;
    }
  }
}

/** Null for what is no time at all. */
function monthOf(timeMs: number): string | null {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? null : `${date.toISOString().slice(0, 7)}-01`;
}
