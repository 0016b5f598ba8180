import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { interruptedRecord } from '../../../src/modules/records/record-line.js';
import type { RecordDatabase } from '../../../src/modules/records/record-store.js';
import { currentIdentity } from '../../../src/modules/records/spool/process-identity.js';
import { RequestLog } from '../../../src/modules/records/request-log.js';
import type { TestDatabase } from '../../support/postgres.js';
import { PostgresRig } from './postgres-rig.js';
import { PROJECT, UNMETERED, finalOf, startOf } from './record-samples.js';
import { requestLogDatabase } from './request-log-database.js';

const noted = (): void => undefined;
const FLUSH_MS = 30_000;

let test: TestDatabase;
let rig: PostgresRig;
let orgId: string;

beforeAll(async () => {
  test = await requestLogDatabase();
});
afterAll(() => test.close());
beforeEach(() => {
  rig = new PostgresRig();
  orgId = randomUUID();
});
afterEach(() => rig.remove());

const start = (changes = {}) => startOf(Date.now(), { org_id: orgId, ...changes });

async function rows(organization = orgId): Promise<Record<string, unknown>[]> {
  return test.database.tenant(organization, (q) =>
    q.query('SELECT * FROM request_log ORDER BY started_at, request_id'),
  );
}

async function write(records: readonly CallRecord[], database: RecordDatabase = test.database) {
  const { recorder, metric } = rig.recorder(database);
  for (const record of records) recorder.finish(record, noted);
  await recorder.flush(FLUSH_MS);
  const deadLetters = await recorder.deadLetters.read();
  await recorder.close(FLUSH_MS);
  return { deadLetters, metric };
}

describe('writing to request_log', () => {
  it('reads back as it was recorded, field by field', async () => {
    const full = finalOf(start());
    const bare = finalOf(start(), {
      ...UNMETERED,
      requested_model: null,
      served_model: null,
      classification: null,
      tags: [],
      projected_model: null,
      projected_cost_nano_usd: null,
      tokens_per_second: null,
    });
    const interrupted = interruptedRecord(start());
    await write([full, bare, interrupted]);
    const log = new RequestLog(test.database);
    for (const record of [full, bare, interrupted]) {
      expect(await log.find(orgId, PROJECT, record.request_id)).toEqual(record);
    }
  });

  it('keeps amounts beyond what a float could hold', async () => {
    const amount = '12345678901234567890123456789';
    const record = finalOf(start(), { cost_nano_usd: amount });
    await write([record]);
    expect((await rows())[0]).toMatchObject({ cost_nano_usd: amount });
  });

  it('twice, or with an older revision later, changes nothing', async () => {
    const call = start();
    const estimate = finalOf(call, { revision: 2, metering: 'estimated', cost_nano_usd: '7' });
    await write([estimate]);
    await write([estimate]);
    await write([finalOf(call)]);
    await write([interruptedRecord(call)]);
    expect(await rows()).toHaveLength(1);
    expect((await rows())[0]).toMatchObject({ revision: 2, cost_nano_usd: '7' });
  });

  it('replaces an interruption by the final that turns up after all', async () => {
    const call = start();
    await write([interruptedRecord(call)]);
    await write([finalOf(call)]);
    expect((await rows())[0]).toMatchObject({ revision: 1, outcome: 'completed' });
  });

  it('takes several revisions of one request in one batch', async () => {
    const call = start();
    await write([
      finalOf(call),
      finalOf(call, { revision: 2, metering: 'estimated' }),
      interruptedRecord(call),
    ]);
    expect((await rows()).map((row) => row['revision'])).toEqual([2]);
  });

  it('replaces characters that Postgres cannot store, and loses no record to them', async () => {
    const record = finalOf(start(), { tags: ['a\u0000b', '\ud800'], customer_id: 'c\u0000' });
    const { deadLetters } = await write([record, finalOf(start())]);
    expect(deadLetters).toEqual([]);
    const found = await new RequestLog(test.database).find(orgId, PROJECT, record.request_id);
    expect(found?.tags).toEqual(['a\ufffdb', '\ufffd']);
  });

  it('puts each kind of bad record into the dead letters and writes the rest', async () => {
    const good = Array.from({ length: 40 }, () => finalOf(start()));
    const bad = [
      finalOf(start(), { cost_nano_usd: null }),
      finalOf(start(), { cost_nano_usd: '1.5' }),
      finalOf(start(), { cost_nano_usd: '-1' }),
      finalOf(start(), { cost_nano_usd: 'NaN' }),
      finalOf(start(), { usage: { inputTokens: -1 } }),
      finalOf(start(), { usage: { inputTokens: 0.5 } }),
      finalOf(start(), { pricing: 'unpriceable', cost_nano_usd: null }),
      finalOf(start(), { metering: 'unmetered' }),
      finalOf(start(), { revision: 2, metering: 'reported' }),
      finalOf(start({ project_id: 'not a uuid' })),
      finalOf(start({ decision: 'unheard of' })),
      finalOf(start({ retention_class: 'd1' })),
    ];
    const { deadLetters, metric } = await write([...good, ...bad]);
    expect(await rows()).toHaveLength(good.length);
    expect(deadLetters).toHaveLength(bad.length);
    expect(await metric('shunt_record_dead_letters_total')).toBe(bad.length);
    expect(await metric('shunt_spool_lost_records_total')).toBe(0);
  });

  it('makes a partition that is missing, for any month that may still come', async () => {
    const longAgo = new Date();
    longAgo.setUTCMonth(longAgo.getUTCMonth() - 7);
    const record = finalOf(startOf(longAgo.getTime(), { org_id: orgId }));
    const { deadLetters } = await write([record, finalOf(start())]);
    expect(deadLetters).toEqual([]);
    expect(await rows()).toHaveLength(2);
  });

  it('puts a record of an impossible time into the dead letters', async () => {
    const { deadLetters } = await write([finalOf(startOf(0, { org_id: orgId })), finalOf(start())]);
    expect(deadLetters).toMatchObject([{ reason: '23514' }]);
    expect(await rows()).toHaveLength(1);
  });

  it('waits for a database that is away and goes on when it is back', async () => {
    const away = await test.connect();
    await away.close();
    let current: RecordDatabase = away;
    const { recorder, metric } = rig.recorder({
      tenant: (id, work) => current.tenant(id, work),
      query: (sql, parameters) => current.query(sql, parameters),
    });
    recorder.finish(finalOf(start()), noted);
    recorder.spool.turn();
    expect(await recorder.writer.pass()).toBe('failed');
    expect(await recorder.deadLetters.read()).toEqual([]);
    current = test.database;
    await recorder.flush(FLUSH_MS);
    expect(await rows()).toHaveLength(1);
    expect(await metric('shunt_record_write_errors_total')).toBeGreaterThan(0);
    await recorder.close(FLUSH_MS);
  });

  it('survives the loss of its connections in the middle of its work', async () => {
    const own = await test.connect();
    const { recorder } = rig.recorder(own);
    for (let n = 0; n < 3_000; n++) recorder.finish(finalOf(start()), noted);
    const flushed = recorder.flush(FLUSH_MS);
    const login = await test.connect({ role: null });
    await login.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = session_user AND pid <> pg_backend_pid()`,
    );
    await login.close();
    expect(await flushed).toBe(true);
    expect(await rows()).toHaveLength(3_000);
    expect(await recorder.deadLetters.read()).toEqual([]);
    await recorder.close(FLUSH_MS);
    await own.close();
  });

  it('brings 20,000 records of 40 organizations there within 30 s', async () => {
    const organizations = Array.from({ length: 40 }, () => randomUUID());
    const { recorder } = rig.recorder(test.database);
    for (let n = 0; n < 20_000; n++) {
      recorder.finish(finalOf(start({ org_id: organizations[n % 40] })), noted);
    }
    const startedMs = performance.now();
    expect(await recorder.flush(30_000)).toBe(true);
    const seconds = (performance.now() - startedMs) / 1000;
    process.stdout.write(`wrote ${Math.round(20_000 / seconds)} records/s\n`);
    const counts = await Promise.all(organizations.map(async (id) => (await rows(id)).length));
    expect(new Set(counts)).toEqual(new Set([500]));
    await recorder.close(FLUSH_MS);
  });
});

describe('two adopters of one spool', () => {
  it('race, and each record arrives once', async () => {
    const dead = rig.recorder(
      { tenant: () => Promise.reject(new Error('down')), query: async () => [] },
      // All recorders of this spec are one process; this one is to be taken for dead.
      { identity: { ...currentIdentity(), pid: 0 } },
    );
    const calls = Array.from({ length: 500 }, () => start());
    for (const [index, call] of calls.entries()) {
      dead.recorder.start(call, noted);
      if (index % 2 === 0) dead.recorder.finish(finalOf(call), noted);
    }
    dead.recorder.spool.turn();
    dead.recorder.writer.stop();

    const survivors = [rig.recorder(test.database), rig.recorder(test.database)];
    for (const { recorder } of survivors) recorder.lookForOrphans();
    for (const { recorder } of survivors) expect(await recorder.flush(FLUSH_MS)).toBe(true);
    const adopted = await Promise.all(
      survivors.map(({ metric }) => metric('shunt_spool_adopted_total')),
    );
    expect(adopted.toSorted()).toEqual([0, 1]);
    const outcomes = (await rows()).map((row) => row['outcome']);
    expect(outcomes).toHaveLength(500);
    expect(outcomes.filter((outcome) => outcome === 'interrupted')).toHaveLength(250);
    for (const { recorder } of survivors) await recorder.close(FLUSH_MS);
  });
});
