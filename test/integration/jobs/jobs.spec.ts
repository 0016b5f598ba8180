import 'reflect-metadata';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../../../src/jobs/job-table.js';
import { migrateQueue } from '../../../src/platform/queue/migrate-queue.js';
import type { QueueServer } from '../../../src/platform/queue/queue-backend.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { RedisServer, hasRedisServer } from '../../support/redis-server.js';
import { every, startJobs, until, type RunningJobs } from './job-rig.js';

const SECRET = 'what a customer wrote';
/** A worker's lock (10 s), the time until somebody has looked twice (10 s), and some. */
const TAKEN_OVER_MS_MAX = 25_000;

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await migrateQueue(db.ownerUrl);
});
afterAll(() => db?.close());

const started: RunningJobs[] = [];
afterEach(async () => {
  for (const jobs of started.splice(0)) await jobs.stop();
});
function start(server: QueueServer, jobs: readonly Job[]): RunningJobs {
  const running = startJobs(server, jobs);
  started.push(running);
  return running;
}

interface Place {
  readonly server: () => QueueServer;
  readonly clear: () => Promise<void>;
}

const postgres: Place = {
  server: () => ({ redisUrl: null, runtimeUrl: db.runtimeUrl }),
  async clear() {
    for (const table of ['scheduler', 'job', 'event']) {
      await db.owner.query(`DELETE FROM bullmq.${table}`);
    }
  },
};

let redisServer: RedisServer;
const redis: Place = {
  server: () => ({ redisUrl: redisServer.url, runtimeUrl: db.runtimeUrl }),
  async clear() {
    await redisServer.kill();
    await redisServer.start();
  },
};

function promises({ server, clear }: Place): void {
  afterEach(async () => {
    for (const jobs of started.splice(0)) await jobs.stop();
    await clear();
  });

  test('every job comes in its turn, again and again', async () => {
    const runs = { often: 0, cron: 0 };
    start(server(), [
      every(100, 'often', async () => (runs.often += 1)),
      {
        name: 'cron',
        schedule: { pattern: '* * * * * *' },
        limitMs: 1_000,
        run: async () => (runs.cron += 1),
      },
    ]);
    await until('both ran', 15_000, () => runs.often >= 5 && runs.cron >= 2);
  });

  test('two processes share the turns, and a job that is not in the table any more is gone', async () => {
    let runs = 0;
    const old = startJobs(server(), [
      every(60_000, 'kept', async () => undefined),
      every(100, 'left', async () => undefined),
    ]);
    await until('it is open', 15_000, async () => (await old.metric('shunt_job_queue_open')) === 1);
    await old.stop();
    const jobs = [every(500, 'kept', async () => (runs += 1))];
    const [a, b] = [start(server(), jobs), start(server(), jobs)];
    await until('it runs', 15_000, () => runs >= 4);
    const total = async (result: string) =>
      (await a.metric('shunt_job_runs_total', `{job="kept",result="${result}"}`)) +
      (await b.metric('shunt_job_runs_total', `{job="kept",result="${result}"}`));
    expect(await total('done')).toBe(runs);
    expect(a.logs() + b.logs()).not.toContain('left');
  });

  test('a failed run is tried again, counted, and told by its class alone', async () => {
    let attempts = 0;
    const jobs = start(server(), [
      every(60_000, 'failing', async () => {
        attempts += 1;
        if (attempts < 3) throw Object.assign(new Error(SECRET), { code: 'E_TEST' });
      }),
    ]);
    await until('the third attempt', 20_000, () => attempts === 3);
    const failed = '{job="failing",result="failed"}';
    expect(await jobs.metric('shunt_job_runs_total', failed)).toBe(2);
    expect(jobs.logs()).toContain('E_TEST');
    expect(jobs.logs()).not.toContain(SECRET);
  });

  test('a run that never ends counts as failed, and keeps no other job', async () => {
    let other = 0;
    const jobs = start(server(), [
      every(60_000, 'endless', () => new Promise(() => undefined), 200),
      every(100, 'other', async () => (other += 1)),
    ]);
    const failed = '{job="endless",result="failed"}';
    await until(
      'the limit',
      15_000,
      async () => (await jobs.metric('shunt_job_runs_total', failed)) === 1,
    );
    const before = other;
    await until('the other goes on', 5_000, () => other > before + 3);
  });

  test('a job whose process was killed in the middle of it is taken over', async () => {
    const child = fork(path.join(import.meta.dirname, 'job-child.ts'), [JSON.stringify(server())], {
      execArgv: ['--import', path.join(import.meta.dirname, 'typescript-hooks.mjs')],
    });
    try {
      await once(child, 'message', { signal: AbortSignal.timeout(20_000) });
      let runs = 0;
      start(server(), [every(60_000, 'slow', async () => (runs += 1))]);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await until('it is taken over', TAKEN_OVER_MS_MAX, () => runs > 0);
    } finally {
      child.kill('SIGKILL');
    }
  });
}

describe('on Postgres', () => {
  promises(postgres);

  test('what the queue keeps of jobs is names, and of failures their class', async () => {
    let failed = 0;
    const jobs = start(postgres.server(), [
      every(60_000, 'telling', async () => {
        failed += 1;
        throw new Error(SECRET);
      }),
    ]);
    await until('all attempts', 20_000, () => failed === 3);
    const state = (): Promise<{ data: string; reason: string; everything: string }[]> =>
      db.owner.query(
        `SELECT data::text AS data, failed_reason AS reason, job::text AS everything
           FROM bullmq.job WHERE state = 'failed'`,
      );
    await until('it is kept', 5_000, async () => (await state()).length === 1);
    const [row] = await state();
    expect(row).toMatchObject({ data: '{}', reason: 'Error' });
    expect(row?.everything).not.toContain(SECRET);
    expect(row?.everything).not.toContain('at ');
    expect(jobs.logs()).not.toContain(SECRET);
  });

  test('the runtime owns nothing of the queue, and takes few connections', async () => {
    let runs = 0;
    start(postgres.server(), [every(50, 'often', async () => (runs += 1))]);
    await until('it runs', 15_000, () => runs > 5);
    await expect(db.database.assertSafeRuntimeLogin()).resolves.toBeUndefined();
    const [found] = await db.owner.query<{ owned: number }>(
      `SELECT count(*)::int AS owned FROM pg_class c
        WHERE c.relnamespace = 'bullmq'::regnamespace AND pg_has_role('shunt_app', c.relowner, 'MEMBER')`,
    );
    expect(found).toEqual({ owned: 0 });
    // As the login itself, which is told of its own sessions.
    const login = await db.connect({ role: null, poolSize: 1 });
    const [sessions] = await login.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'shunt-jobs'`,
    );
    await login.close();
    expect(sessions?.count).toBeGreaterThanOrEqual(2);
    expect(sessions?.count).toBeLessThanOrEqual(5);
    for (const sql of [
      'CREATE TABLE bullmq.mine ()',
      'DROP TABLE bullmq.job',
      'DELETE FROM bullmq.migration',
    ]) {
      await expect(db.database.query(sql), sql).rejects.toMatchObject({ code: '42501' });
    }
  });

  test('migrating again changes nothing, also by several at once', async () => {
    await Promise.all([
      migrateQueue(db.ownerUrl),
      migrateQueue(db.ownerUrl),
      migrateQueue(db.ownerUrl),
    ]);
  });

  test('a nightly turn that came while nothing ran is taken at the start, once', async () => {
    let runs = 0;
    const nightly: Job = {
      name: 'nightly',
      schedule: { pattern: '0 0 3 1 1 *' },
      limitMs: 1_000,
      run: async () => (runs += 1),
    };
    const before = startJobs(postgres.server(), [nightly]);
    await until(
      'it is open',
      15_000,
      async () => (await before.metric('shunt_job_queue_open')) === 1,
    );
    await before.stop();
    expect(runs).toBe(0);
    // As if three days had gone by.
    const missed = Date.now() - 3 * 24 * 60 * 60 * 1000;
    await db.owner.query(
      `UPDATE bullmq.job SET process_at_ms = $1, id = 'repeat:nightly:' || $1::bigint`,
      [missed],
    );
    await db.owner.query('UPDATE bullmq.scheduler SET next_run_ms = $1', [missed]);
    start(postgres.server(), [nightly]);
    await until('it ran', 15_000, () => runs === 1);
    const [next] = await db.owner.query<{ ahead: boolean }>(
      'SELECT next_run_ms > $1 AS ahead FROM bullmq.scheduler',
      [Date.now()],
    );
    expect(next).toEqual({ ahead: true });
    expect(runs).toBe(1);
  });
});

describe.skipIf(!hasRedisServer)('on Redis (needs redis-server)', () => {
  beforeAll(async () => {
    redisServer = await RedisServer.start();
  });
  afterAll(() => redisServer?.kill());
  promises(redis);

  test('jobs start without Redis, go on when it comes, and survive its loss', async () => {
    await redisServer.kill();
    let runs = 0;
    const jobs = start(redis.server(), [every(200, 'often', async () => (runs += 1))]);
    await until('it says so', 20_000, () => jobs.logs().includes('the queue of jobs is away'));
    await redisServer.start();
    await until('it runs', 30_000, () => runs > 2);
    await redisServer.kill();
    await until(
      'it is noticed',
      10_000,
      async () => (await jobs.metric('shunt_job_queue_open')) === 0,
    );
    const before = runs;
    await redisServer.start();
    await until('it runs again', 30_000, () => runs > before + 2);
    expect(jobs.logs().split('\n').length).toBeLessThan(20);
  });
});
