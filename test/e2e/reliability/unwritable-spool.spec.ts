import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { SANDBOX_KEY, startTestSandbox } from '../../support/sandbox.js';
import { freshDataDir, endAll } from './replica.js';
import { Caller, type Exchange } from './caller.js';
import { PausablePostgres } from './pausable-postgres.js';
import { RequestLogReader } from './request-log.js';
import { measured, until } from './until.js';

const CALLS = 40;
/** The two of them share a database, and so what seals its secrets. */
const ENCRYPTION_KEY = randomBytes(32).toString('base64');

let sandbox: Sandbox;
let postgres: PausablePostgres;

beforeAll(async () => {
  sandbox = await startTestSandbox();
  postgres = await PausablePostgres.start();
});
afterAll(async () => {
  await postgres.remove();
  await endAll();
  await sandbox.close();
});

/** A file lies where the spool's directory should be: every write fails, for root too. */
function withoutSpool(): string {
  const dataDir = freshDataDir();
  writeFileSync(path.join(dataDir, 'spool'), '');
  return dataDir;
}

function start(dataDir: string): Promise<TestGateway> {
  return startGateway({
    env: {
      ...postgres.env,
      SHUNT_DATA_DIR: dataDir,
      SHUNT_ENCRYPTION_KEY: ENCRYPTION_KEY,
      OPENAI_BASE_URL: sandbox.baseUrls.openai,
      OPENAI_API_KEY: SANDBOX_KEY,
    },
  });
}

async function callsThrough(gateway: TestGateway): Promise<readonly Exchange[]> {
  const caller = new Caller(gateway.origin, gateway.projectKey, 8);
  const calls = Array.from({ length: CALLS }, (_, n) => caller.call({ streamed: n % 2 === 0 }));
  await Promise.all(calls.map((call) => call.end));
  expect(calls.map((call) => [call.status, call.whole])).toEqual(calls.map(() => [200, true]));
  await caller.close();
  return calls;
}

/** A figure as an operator would scrape it; also of a gateway that has stopped since. */
async function metric(gateway: TestGateway, name: string): Promise<number> {
  const found = await gateway.app.engine.metrics.registry.getSingleMetric(name)?.get();
  return found?.values.reduce((sum, { value }) => sum + value, 0) ?? Number.NaN;
}

const LOST = 'shunt_spool_lost_records_total';
const FAILED = 'shunt_spool_write_failures_total';

describe('a spool that cannot be written', () => {
  it('stops no call and loses no record while Postgres is there, says so, and is used again once it can be', async () => {
    const dataDir = withoutSpool();
    const gateway = await start(dataDir);
    const calls = await callsThrough(gateway);
    const recorded = new Set((await gateway.records()).map((row) => row.request_id));
    expect(calls.filter((call) => !recorded.has(call.requestId ?? ''))).toEqual([]);
    expect(await metric(gateway, FAILED)).toBeGreaterThan(0);
    expect(await metric(gateway, LOST)).toBe(0);
    expect(gateway.logs()).toContain('spool_write_failed');

    rmSync(path.join(dataDir, 'spool'));
    mkdirSync(path.join(dataDir, 'spool'));
    await until('the spool is written again', 10_000, async () => {
      await callsThrough(gateway);
      const files = readdirSync(path.join(dataDir, 'spool'), { recursive: true, encoding: 'utf8' });
      return files.some((file) => file.endsWith('.seg'));
    });
    await gateway.stop();
    expect(await metric(gateway, LOST)).toBe(0);
    expect(readdirSync(path.join(dataDir, 'spool'))).toEqual([]);
  });

  it('stops no call while Postgres is away too, and each record that is lost with the process is counted and said', async () => {
    const gateway = await start(withoutSpool());
    const before = await callsThrough(gateway);
    await gateway.records();
    await postgres.pause();
    const lost = await callsThrough(gateway);
    expect(await metric(gateway, LOST), 'memory holds them').toBe(0);
    await gateway.stop();
    await postgres.resume();
    const counted = await metric(gateway, LOST);
    measured('records lost with disk and database away', `${counted} of ${lost.length}, counted`);
    expect(counted).toBe(lost.length);
    expect(gateway.logs()).toMatch(/"event":"records_lost","records":40,/);

    const reader = await RequestLogReader.at(postgres.runtimeUrl);
    const recorded = new Set(await reader.ids());
    await reader.close();
    expect(before.filter((call) => !recorded.has(call.requestId ?? ''))).toEqual([]);
    expect(lost.filter((call) => recorded.has(call.requestId ?? ''))).toEqual([]);
  });
});
