import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { RECORD_LIMITS } from '../../../src/modules/records/record-limits.js';
import { recordJson } from '../../../src/modules/records/record-line.js';
import type { QueuedRecord } from '../../../src/modules/records/record-queue.js';
import { RecordStore, type StoreResult } from '../../../src/modules/records/record-store.js';
import { systemSchedule } from '../../../src/modules/records/schedule.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { PostgresRig, written } from '../records/postgres-rig.js';
import { finalOf, startOf } from '../records/record-samples.js';
import { ledgerRig, type LedgerRig } from './ledger-rig.js';
import { routedEntryOf } from './ledger-samples.js';

let rig: LedgerRig;
beforeAll(async () => {
  rig = await ledgerRig();
});
afterAll(() => rig?.close());

const newOrganization = async (): Promise<string> => (await rig.db.createTenant()).orgId;

/** A routed call with its entry, and one for an attempt before it that failed. */
function routedCall(orgId: string, changes: Partial<LedgerEntry> = {}): CallRecord {
  const start = startOf(Date.now(), { org_id: orgId, decision: 'classifier', mode: 'active' });
  const of = { request_id: start.request_id, at_ms: start.started_at_ms };
  const failed = {
    kind: 'failed_attempt',
    decision_source: 'fallback',
    baseline_usage: {},
    baseline_prices: {},
  } as const;
  const ledger = [
    routedEntryOf(orgId, { ...of, ...changes }),
    routedEntryOf(orgId, { ...of, ...failed }),
  ];
  return finalOf(start, { ledger });
}

function queued(record: CallRecord): QueuedRecord {
  return {
    orgId: record.org_id,
    requestId: record.request_id,
    startedAtMs: record.started_at_ms,
    revision: record.revision,
    json: JSON.stringify(record),
    queuedAtMs: 0,
    origin: { settled: () => undefined },
  };
}

async function store(
  orgId: string,
  records: readonly CallRecord[],
  database: Database = rig.db.database,
): Promise<(string | null)[]> {
  const results: StoreResult[] = [];
  await new RecordStore(database, systemSchedule).store(orgId, records.map(queued), (result) =>
    results.push(result),
  );
  return results.map(({ refused }) => refused);
}

async function entriesOf(orgId: string): Promise<string[]> {
  const rows = await rig.db.database.tenant(orgId, (q) =>
    q.query<{ entry: string }>(
      `SELECT request_id || ' ' || kind || ' ' || attempt AS entry FROM savings_ledger ORDER BY seq`,
    ),
  );
  return rows.map(({ entry }) => entry);
}

const keysOf = (records: readonly CallRecord[]): string[] =>
  records.flatMap(({ ledger }) =>
    (ledger ?? []).map((one) => `${one.request_id} ${one.kind} ${one.attempt}`),
  );

async function recordsOf(orgId: string): Promise<number> {
  const rows = await rig.db.database.tenant(orgId, (q) => q.query('SELECT FROM request_log'));
  return rows.length;
}

describe('a record with entries', () => {
  test('is stored with them, once, however often it comes and in whatever revision', async () => {
    const orgId = await newOrganization();
    const call = routedCall(orgId);
    for (const revision of [1, 1, 2, 1] as const) {
      const metering = revision === 2 ? 'estimated' : 'reported';
      expect(await store(orgId, [{ ...call, revision, metering }])).toEqual([null]);
    }
    expect((await entriesOf(orgId)).toSorted()).toEqual(keysOf([call]).toSorted());
    expect(await rig.verifier().verify(orgId)).toMatchObject({ entries: 2, broken: null });
  });

  test('keeps what the router decided, and gives it back as it was', async () => {
    const orgId = await newOrganization();
    const target = { provider: 'openai', model: 'gpt-6-luna' } as const;
    const routing = { inputs: { version: 'rules-1', auto: false }, decision: { target } } as never;
    await store(orgId, [
      { ...routedCall(orgId), routing },
      finalOf(startOf(Date.now(), { org_id: orgId })),
    ]);
    const rows = await rig.db.database.tenant(orgId, (q) =>
      q.query('SELECT routing FROM request_log ORDER BY routing IS NULL'),
    );
    expect(rows).toEqual([{ routing }, { routing: null }]);
  });

  test('that is refused for one of its entries goes alone, and the others are stored whole', async () => {
    const orgId = await newOrganization();
    const good = Array.from({ length: 6 }, () => routedCall(orgId));
    const wrong = [
      routedCall(orgId, { actual_nano_usd: '1' }),
      routedCall(orgId, { served_model: 'not a name' }),
      routedCall(orgId, { org_id: '0193e2b0-0000-7000-8000-00000000000b' }),
      routedCall(orgId, { request_id: '0193e2b0-0000-7000-8000-00000000000c' }),
      routedCall(orgId, { attempt: 0.5 }),
      { ...routedCall(orgId), ledger: [{}] as never },
    ];
    const mixed = good.flatMap((one, at) => [one, wrong[at]!]);
    const refused = await store(orgId, mixed);
    expect(refused.map((state) => state !== null)).toEqual(mixed.map((_, at) => at % 2 === 1));
    expect((await entriesOf(orgId)).toSorted()).toEqual(keysOf(good).toSorted());
    expect(await recordsOf(orgId)).toBe(good.length);
    expect(await rig.verifier().verify(orgId)).toMatchObject({ entries: 12, broken: null });
  });

  test('and one that was written to a spool before there were entries are stored alike', async () => {
    const orgId = await newOrganization();
    const old = { ...finalOf(startOf(Date.now(), { org_id: orgId })), routing: undefined };
    expect(JSON.stringify(old)).not.toMatch(/routing|ledger/);
    const call = routedCall(orgId);
    expect(await store(orgId, [old, call])).toEqual([null, null]);
    expect(await recordsOf(orgId)).toBe(2);
    expect((await entriesOf(orgId)).toSorted()).toEqual(keysOf([call]).toSorted());
  });

  test('that is too long leaves out what describes it, and keeps its entries', () => {
    const call = routedCall('0193e2b0-0000-7000-8000-00000000000a');
    const long = { ...call, tags: ['x'.repeat(9_000)], routing: { inputs: 'x'.repeat(9_000) } };
    const made = recordJson(long as unknown as CallRecord, 8_192)!;
    expect(made.trimmed).toBe(true);
    expect(JSON.parse(made.json)).toMatchObject({ ledger: call.ledger, routing: null, tags: [] });
  });
});

test('replicas that write at the same time number without gaps, and none waits for another for ever', async () => {
  const orgId = await newOrganization();
  const calls = Array.from({ length: 120 }, () => routedCall(orgId));
  const replicas = await Promise.all([1, 2, 3, 4].map(() => rig.db.connect({ poolSize: 2 })));
  try {
    // Each has all of them, as replicas have that replay the same spool, in batches that overlap in every way.
    await Promise.all(
      replicas.map(async (database, n) => {
        for (let at = 0; at < calls.length; at += 17 + n) {
          const batch = calls.slice(at, at + 17 + n);
          const sorted = batch.toSorted((x, y) => (x.request_id < y.request_id ? -1 : 1));
          const refused = await store(orgId, sorted, database);
          expect(refused.every((state) => state === null)).toBe(true);
        }
      }),
    );
  } finally {
    await Promise.all(replicas.map((database) => database.close()));
  }
  expect((await entriesOf(orgId)).toSorted()).toEqual(keysOf(calls).toSorted());
  expect(await rig.verifier().verify(orgId)).toMatchObject({ entries: 240, broken: null });
});

describe('through the spool', () => {
  test('entries of a process that died while the database was away come once, by whoever adopts them', async () => {
    const spool = new PostgresRig();
    const orgId = await newOrganization();
    const calls = Array.from({ length: 30 }, () => routedCall(orgId));
    const away = { tenant: () => Promise.reject(new Error('down')), query: async () => [] };
    const dying = spool.recorder(away as never).recorder;
    await Promise.all(
      calls.map(async (call) => {
        await written((noted) => dying.start(call, noted));
        await written((noted) => dying.finish(call, noted));
      }),
    );
    // As after kill -9: no close, and another process takes it for dead. A third one has the same once more.
    for (let n = 0; n < 2; n += 1) {
      const { recorder } = spool.recorder(rig.db.database, { alive: () => false });
      recorder.lookForOrphans();
      expect(await recorder.flush(20_000)).toBe(true);
      await store(orgId, calls.slice(0, 10));
      await recorder.close(1_000);
    }
    expect((await entriesOf(orgId)).toSorted()).toEqual(keysOf(calls).toSorted());
    expect(await recordsOf(orgId)).toBe(calls.length);
    spool.remove();
  });

  test('one that the database refuses is kept as a dead letter with its record, and blocks nothing', async () => {
    const spool = new PostgresRig();
    const orgId = await newOrganization();
    const { recorder, metric } = spool.recorder(rig.db.database);
    const [good, bad] = [routedCall(orgId), routedCall(orgId, { baseline_nano_usd: '7' })];
    for (const call of [bad, good]) {
      await written((noted) => recorder.start(call, noted));
      await written((noted) => recorder.finish(call, noted));
    }
    expect(await recorder.flush(20_000)).toBe(true);
    expect(await metric('shunt_record_dead_letters_total')).toBe(1);
    await recorder.deadLetters.sync();
    const letters = await recorder.deadLetters.read();
    expect(letters).toMatchObject([
      { reason: '23000', record: { request_id: bad.request_id, ledger: bad.ledger } },
    ]);
    expect((await entriesOf(orgId)).toSorted()).toEqual(keysOf([good]).toSorted());
    await recorder.close(1_000);
    spool.remove();
  });

  test('a batch that is as large as a batch can be is stored within a second or two', async () => {
    const orgId = await newOrganization();
    const calls = Array.from({ length: RECORD_LIMITS.batchRecords }, () => routedCall(orgId));
    const plain = calls.map(() => finalOf(startOf(Date.now(), { org_id: orgId })));
    const timed = async (records: readonly CallRecord[]): Promise<number> => {
      const startMs = performance.now();
      await store(orgId, records);
      return performance.now() - startMs;
    };
    const [withoutMs, withMs, againMs] = [
      await timed(plain),
      await timed(calls),
      await timed(calls),
    ];
    process.stdout.write(
      `batch of ${calls.length}: ${withoutMs.toFixed(0)} ms without entries, ${withMs.toFixed(0)} ms with two each, ` +
        `${againMs.toFixed(0)} ms once more; ${(((withMs - withoutMs) * 1_000) / (2 * calls.length)).toFixed(0)} us per entry\n`,
    );
    expect(withMs).toBeLessThan(10_000);
    expect(await rig.verifier().verify(orgId)).toMatchObject({ entries: 1_000, broken: null });
  });
});
