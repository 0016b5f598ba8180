import type { CallRecord } from '../../../src/modules/records/call-record.js';
import type { RecordDatabase } from '../../../src/modules/records/record-store.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';

/** `request_log` as a map: the same rules for revisions, refusals and outages, without a server. */
export class FakeDatabase implements RecordDatabase {
  readonly rows = new Map<string, CallRecord>();
  /** Every record that reached it, repeats included. */
  readonly received: CallRecord[] = [];
  down = false;
  /** The SQLSTATE with which a batch holding this record is refused; null to take it. */
  refuse: (record: CallRecord) => string | null = () => null;
  batches = 0;

  async tenant<T>(_orgId: string, work: (q: Queryable) => Promise<T>): Promise<T> {
    if (this.down) throw Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
    return work({ query: (_sql, parameters) => this.#insert(String(parameters?.[0])) });
  }

  async query<Row>(): Promise<Row[]> {
    return [];
  }

  async #insert<Row>(json: string): Promise<Row[]> {
    this.batches += 1;
    const records = JSON.parse(json) as CallRecord[];
    for (const record of records) {
      const state = this.refuse(record);
      if (state !== null) throw Object.assign(new Error('refused'), { code: state });
    }
    for (const record of records) {
      this.received.push(record);
      const present = this.rows.get(record.request_id);
      if (present === undefined || record.revision > present.revision) {
        this.rows.set(record.request_id, record);
      }
    }
    return [];
  }
}
