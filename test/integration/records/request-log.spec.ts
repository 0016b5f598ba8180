import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { QueryRunner } from 'typeorm';
import { RequestLog1763600100000 } from '../../../migrations/1763600100000-request-log.js';
import { PartitionKeeper } from '../../../src/modules/records/partition-keeper.js';
import { INSERT_RECORDS } from '../../../src/modules/records/request-log-columns.js';
import { RequestLog } from '../../../src/modules/records/request-log.js';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { systemClock } from '../../../src/platform/clock.js';
import { sqlStateOf } from '../../../src/platform/postgres/query-error.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { Metrics } from '../../../src/platform/telemetry/metrics.js';
import type { TestDatabase } from '../../support/postgres.js';
import { PROJECT, UNMETERED, finalOf, startOf } from './record-samples.js';
import { requestLogDatabase } from './request-log-database.js';

let test: TestDatabase;
let orgId: string;

beforeAll(async () => {
  test = await requestLogDatabase();
});
afterAll(() => test.close());
beforeEach(() => {
  orgId = randomUUID();
});

async function insert(...records: readonly CallRecord[]): Promise<void> {
  await test.database.tenant(records[0]!.org_id, (q) =>
    q.query(INSERT_RECORDS, [JSON.stringify(records)]),
  );
}

async function refusalOf(work: Promise<unknown>): Promise<string | null> {
  return work.then(
    () => null,
    (error: unknown) => sqlStateOf(error) ?? 'no state',
  );
}

const call = (atMs = Date.now(), changes = {}) =>
  finalOf(startOf(atMs, { org_id: orgId, ...changes }));
const month = (offset: number): Date => {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + offset, 15));
};
const named = (offset: number): string => month(offset).toISOString().slice(0, 7).replace('-', '_');

async function partitions(): Promise<string[]> {
  const rows = await test.owner.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relname LIKE 'request_log_%'`,
  );
  return rows.map((row) => row.name).toSorted();
}

describe('tenants of request_log', () => {
  it('see their own rows and nobody else’s, and none without an organization', async () => {
    await insert(call());
    const other = randomUUID();
    const count = 'SELECT count(*)::int AS n FROM request_log WHERE org_id = $1';
    const asTenant = (id: string) => test.database.tenant(id, (q) => q.query(count, [orgId]));
    expect(await asTenant(orgId)).toEqual([{ n: 1 }]);
    expect(await asTenant(other)).toEqual([{ n: 0 }]);
    expect(await test.database.query(count, [orgId])).toEqual([{ n: 0 }]);
  });

  it('cannot write a row of another, nor turn one into it', async () => {
    const foreign = call(Date.now(), { org_id: randomUUID() });
    const work = (q: Queryable) => q.query(INSERT_RECORDS, [JSON.stringify([foreign])]);
    expect(await refusalOf(test.database.tenant(orgId, work))).toBe('42501');
    const move = test.database.tenant(orgId, (q) =>
      q.query('UPDATE request_log SET org_id = $1', [randomUUID()]),
    );
    expect(await refusalOf(move)).toBe('42501');
  });

  it('cannot delete, truncate, or reach a partition past the parent', async () => {
    const name = `request_log_d90_${named(0)}`;
    for (const sql of [
      'DELETE FROM request_log',
      'TRUNCATE request_log',
      `SELECT * FROM ${name}`,
      `INSERT INTO ${name} SELECT * FROM request_log`,
      'SELECT * FROM request_log_d90',
      `DROP TABLE ${name}`,
    ]) {
      expect([sql, await refusalOf(test.database.tenant(orgId, (q) => q.query(sql)))]).toEqual([
        sql,
        '42501',
      ]);
    }
  });

  it('are kept apart on every partition by row security of its own', async () => {
    const open = await test.owner.query(
      `SELECT relname FROM pg_class WHERE relname LIKE 'request_log%' AND relkind IN ('r', 'p') AND NOT relrowsecurity`,
    );
    expect(open).toEqual([]);
  });
});

describe('partitions of request_log', () => {
  const keeperOf = (database: Queryable) => {
    const metrics = new Metrics();
    const keeper = new PartitionKeeper(database, systemClock, metrics, createLogger('silent'));
    const failures = async (): Promise<number | undefined> => {
      const name = 'shunt_partition_keeper_failures_total';
      return (await metrics.registry.getSingleMetric(name)?.get())?.values[0]?.value;
    };
    return { keeper, failures };
  };

  it('exist from the previous month to three months ahead, of each class', async () => {
    const present = await partitions();
    for (const name of ['d30', 'd90', 'd400']) {
      for (const offset of [-1, 0, 1, 2, 3]) {
        expect(present).toContain(`request_log_${name}_${named(offset)}`);
      }
    }
  });

  it('are made once, however often and by however many it is asked', async () => {
    const ensure = (q: Queryable) =>
      q.query<{ made: number }>('SELECT ensure_request_log_partitions($1::date, 2) AS made', [
        month(5).toISOString(),
      ]);
    const made = await Promise.all([ensure(test.database), ensure(test.database)]);
    expect(
      made
        .flat()
        .map((row) => row.made)
        .toSorted(),
    ).toEqual([0, 6]);
  });

  it('cannot be asked for without bound', async () => {
    const ensure = (from: Date, months: number) =>
      refusalOf(
        test.database.query('SELECT ensure_request_log_partitions($1::date, $2)', [
          from.toISOString(),
          months,
        ]),
      );
    expect(await ensure(month(0), 25)).toBe('22023');
    expect(await ensure(month(0), 0)).toBe('22023');
    expect(await ensure(month(13), 1)).toBe('22023');
    expect(await ensure(month(-16), 1)).toBe('22023');
    expect(await ensure(month(0), 14)).toBe('22023');
    expect(await ensure(month(11), 2)).toBeNull();
  });

  it('are dropped when the retention of their class is over, and not before', async () => {
    await test.database.query('SELECT ensure_request_log_partitions($1::date, 15)', [
      month(-15).toISOString(),
    ]);
    const { keeper, failures } = keeperOf(test.database);
    expect(await keeper.run()).toBe(true);
    expect(await failures()).toBe(0);
    const present = await partitions();
    expect(present).not.toContain(`request_log_d30_${named(-3)}`);
    expect(present).not.toContain(`request_log_d90_${named(-5)}`);
    expect(present).not.toContain(`request_log_d400_${named(-15)}`);
    expect(present).toContain(`request_log_d30_${named(-1)}`);
    expect(present).toContain(`request_log_d90_${named(-3)}`);
    expect(present).toContain(`request_log_d400_${named(-13)}`);
  });

  it('are not dropped early by a wrong clock', async () => {
    await insert(call());
    await test.database.query('SELECT drop_expired_request_log_partitions($1)', ['2999-01-01']);
    expect(await partitions()).toContain(`request_log_d30_${named(0)}`);
  });

  it('that cannot be kept up are counted, and nothing else happens', async () => {
    const { keeper, failures } = keeperOf({ query: () => Promise.reject(new Error('down')) });
    expect(await keeper.run()).toBe(false);
    expect(await failures()).toBe(1);
  });

  it('serve one request from one partition of its class and month', async () => {
    const rows = await test.database.tenant(orgId, (q) =>
      q.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN SELECT * FROM request_log WHERE org_id = '${orgId}' AND request_id = '${orgId}'
           AND started_at BETWEEN '${month(0).toISOString()}' AND '${month(0).toISOString()}'`,
      ),
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    // One month of each class.
    expect(plan.match(/ on request_log_d\d+_\d{4}_\d\d/g)).toHaveLength(3);
  });
});

describe('the migration', () => {
  it('can be taken back, and made again', async () => {
    const fresh = await requestLogDatabase();
    const runner = { query: (sql: string) => fresh.owner.query(sql) } as unknown as QueryRunner;
    const migration = new RequestLog1763600100000();
    await migration.down(runner);
    const left = await fresh.owner.query(
      `SELECT relname FROM pg_class WHERE relname LIKE 'request_log%'
        UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE '%request_log%'`,
    );
    expect(left).toEqual([]);
    await migration.up(runner);
    await fresh.close();
  });
});

describe('reading request_log', () => {
  it('finds a request only within its project and organization', async () => {
    const record = call();
    await insert(record);
    const log = new RequestLog(test.database);
    expect(await log.find(orgId, PROJECT, record.request_id)).toEqual(record);
    expect(await log.find(orgId, randomUUID(), record.request_id)).toBeNull();
    expect(await log.find(randomUUID(), PROJECT, record.request_id)).toBeNull();
    expect(await log.find(orgId, PROJECT, 'no uuid')).toBeNull();
  });

  it('pages through a project newest first, without gap or repetition', async () => {
    const nowMs = Date.now();
    // Several in the same millisecond: the id decides.
    const records = Array.from({ length: 25 }, (_, n) => call(nowMs - Math.floor(n / 3)));
    await insert(...records);
    await insert(call(nowMs, { project_id: randomUUID() }));
    const log = new RequestLog(test.database);
    const seen: string[] = [];
    for (let page = await log.recent(orgId, PROJECT, 10); page.length > 0;) {
      seen.push(...page.map((record) => record.request_id));
      page = await log.recent(orgId, PROJECT, 10, seen.at(-1));
    }
    expect(seen).toEqual(
      records
        .map((record) => record.request_id)
        .toSorted()
        .toReversed(),
    );
    expect(await log.recent(orgId, PROJECT, 1_000_000)).toHaveLength(25);
  });

  it('sums what is priced, counts what is not, and leaves synthetic calls out unless asked', async () => {
    const nowMs = Date.now();
    await insert(
      call(nowMs),
      finalOf(call(nowMs), { cost_nano_usd: '9007199254740993', served_model: 'gpt-6' }),
      finalOf(call(nowMs), { revision: 2, metering: 'estimated', cost_nano_usd: '10' }),
      finalOf(call(nowMs), UNMETERED),
      finalOf(call(nowMs), {
        pricing: 'unpriceable',
        unpriceable_reason: 'unknown_model',
        cost_nano_usd: null,
        baseline_cost_nano_usd: null,
      }),
      finalOf(call(nowMs, { synthetic: true })),
      call(nowMs - 3_600_000),
    );
    const log = new RequestLog(test.database);
    const query = { fromMs: nowMs - 1_000, toMs: nowMs + 1, includeSynthetic: false };
    const totals = await log.totals(orgId, query);
    expect(totals).toMatchObject({
      calls: 5,
      priced: 3,
      unmetered: 1,
      unpriceable: 1,
      estimated: 1,
      interrupted: 0,
      synthetic: 1,
      costNanoUsd: String(9007199254740993n + 4542500n + 10n),
      estimatedCostNanoUsd: '10',
    });
    expect(totals.models.map((model) => [model.model, model.calls])).toEqual([
      ['gpt-5.1-2025-11-13', 4],
      ['gpt-6', 1],
    ]);
    const all = await log.totals(orgId, { ...query, includeSynthetic: true, projectId: PROJECT });
    expect(all).toMatchObject({ calls: 6, synthetic: 1 });
    const none = await log.totals(orgId, { ...query, projectId: randomUUID() });
    expect(none).toMatchObject({ calls: 0, costNanoUsd: '0', models: [] });
  });
});
