import 'reflect-metadata';
import type { EventEmitter } from 'node:events';
import { Worker } from 'bullmq';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { migrateQueue } from '../../../src/platform/queue/migrate-queue.js';
import { queueConnection } from '../../../src/platform/queue/queue-backend.js';
import { migrate } from '../../../src/platform/postgres/migrate.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { PausablePostgres } from '../../e2e/reliability/pausable-postgres.js';
import { TcpGate } from '../tenancy/tcp-gate.js';
import { every, startJobs, until, type RunningJobs } from './job-rig.js';

const REOPENED_MS_MAX = 45_000;
const LINES_MAX = 30;
const RESTARTS = 3;

let postgres: PausablePostgres;
let gate: TcpGate;
beforeAll(async () => {
  postgres = await PausablePostgres.start();
  const ownerUrl = postgres.env['DATABASE_MIGRATION_URL'] ?? '';
  const { runtimeUrl } = postgres;
  await migrate({ ownerUrl, runtimeUrl, logger: createLogger('silent') });
  await migrateQueue(ownerUrl);
  gate = await TcpGate.to(runtimeUrl);
});
afterAll(async () => {
  await gate?.close();
  await postgres?.remove();
});

let jobs: RunningJobs | null = null;
const rejections: unknown[] = [];
const onRejection = (reason: unknown): unknown => rejections.push(reason);
process.on('unhandledRejection', onRejection);
afterAll(() => process.off('unhandledRejection', onRejection));
afterEach(async () => {
  await jobs?.stop();
  jobs = null;
  expect(rejections).toEqual([]);
});

function startCounting(url: string): { runs: number } {
  const count = { runs: 0 };
  jobs = startJobs({ redisUrl: null, runtimeUrl: url }, [
    every(200, 'often', async () => {
      count.runs += 1;
    }),
  ]);
  return count;
}

const isOpen = async (): Promise<boolean> => (await jobs!.metric('shunt_job_queue_open')) === 1;

test('jobs go on by themselves after Postgres was restarted', async () => {
  const count = startCounting(postgres.runtimeUrl);
  await until('it runs', 15_000, () => count.runs > 2);
  // Each time the connections hear of it in another order.
  for (let restart = 0; restart < RESTARTS; restart += 1) {
    await postgres.pause();
    await until('it is noticed', 15_000, async () => !(await isOpen()));
    await postgres.resume();
    const before = count.runs;
    await until('it runs again', REOPENED_MS_MAX, () => count.runs > before + 2);
  }
  expect(jobs!.logs().split('\n').length).toBeLessThan(LINES_MAX);
});

test('jobs that find no Postgres at their start begin when it comes', async () => {
  gate.cut();
  const count = startCounting(gate.url);
  await until('it says so', 15_000, () => jobs!.logs().includes('the queue of jobs is away'));
  gate.open();
  await until('it runs', REOPENED_MS_MAX, () => count.runs > 2);
});

test('a goodbye of the server while its connections are closed does not end the process', async () => {
  const options = {
    connection: queueConnection({ redisUrl: null, runtimeUrl: postgres.runtimeUrl }, 1),
  };
  const worker = new Worker('closing', async () => undefined, options);
  worker.on('error', () => undefined);
  await worker.waitUntilReady();
  const { connection } = worker.getBackend() as unknown as {
    readonly connection: { getListenClient(): Promise<EventEmitter> };
  };
  const client = await connection.getListenClient();
  await worker.close(true);
  expect(() => client.emit('error', new Error('terminating connection'))).not.toThrow();
});

test('a network that swallows everything is noticed, and nothing waits for it at the end', async () => {
  const count = startCounting(gate.url);
  await until('it runs', 15_000, () => count.runs > 2);
  gate.freeze();
  await until('it is noticed', 40_000, async () => !(await isOpen()));
  const stoppedAt = performance.now();
  await jobs!.stop();
  expect(performance.now() - stoppedAt).toBeLessThan(20_000);
  gate.cut();
  gate.open();
});
