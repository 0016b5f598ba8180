import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiKeyService } from '../../../src/modules/api-keys/api-key.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { TcpGate } from '../../integration/tenancy/tcp-gate.js';
import { SANDBOX_KEY, startTestSandbox } from '../../support/sandbox.js';
import { endAll, freshDataDir, startReplica, type Replica } from './replica.js';
import { Caller, type Exchange } from './caller.js';
import { metricOf } from './metrics.js';
import { PausablePostgres } from './pausable-postgres.js';
import { RequestLogReader } from './request-log.js';
import { measured, until } from './until.js';
import { ACTOR } from '../../support/tenants.js';

const CALLS_PER_SECOND = 40;
/** Longer than every time limit on the way; a minute and more are for a run by hand. */
const OUTAGE_MS = Number(process.env['SHUNT_TEST_OUTAGE_MS'] ?? 20_000);
const SILENCE_MS = 10_000;
/** Of load before and after. */
const CALM_MS = 3_000;
const PROBE_EVERY_MS = 1_000;
/** From the database's return until it has every record. */
const CAUGHT_UP_MS_MAX = 45_000;
/** The answer to an unknown key waits for the database no longer than 2 s. */
const KEY_CHECK_MS_MAX = 4_000;

let sandbox: Sandbox;
const servers: PausablePostgres[] = [];

beforeAll(async () => {
  sandbox = await startTestSandbox();
});
afterAll(async () => {
  await endAll();
  await Promise.all(servers.map((server) => server.remove()));
  await sandbox.close();
});

async function startPostgres(): Promise<PausablePostgres> {
  const server = await PausablePostgres.start();
  servers.push(server);
  return server;
}

function start(
  env: Readonly<Record<string, string>>,
  dataDir: string = freshDataDir(),
): Promise<Replica> {
  const upstream = { OPENAI_BASE_URL: sandbox.baseUrls.openai, OPENAI_API_KEY: SANDBOX_KEY };
  return startReplica({ dataDir, env: { ...upstream, ...env } });
}

/** Calls at an even pace, half of them streamed, until it is told to end. */
class SteadyLoad {
  readonly calls: Exchange[] = [];
  readonly #over: Promise<void>;
  #ending = false;

  constructor(private readonly caller: Caller) {
    this.#over = this.#run();
  }

  /** Resolves with the calls of the time from now on. */
  async more(durationMs: number): Promise<readonly Exchange[]> {
    const from = this.calls.length;
    await delay(durationMs);
    return this.calls.slice(from);
  }

  async end(): Promise<readonly Exchange[]> {
    this.#ending = true;
    await this.#over;
    await Promise.all(this.calls.map((call) => call.end));
    return this.calls;
  }

  async #run(): Promise<void> {
    const beganAt = performance.now();
    while (!this.#ending) {
      const n = this.calls.length;
      await delay(Math.max(0, beganAt + (n * 1_000) / CALLS_PER_SECOND - performance.now()));
      const streamed = n % 2 === 0;
      const directives = streamed ? 'chunks=5,chunk-delay=10' : 'latency=20';
      this.calls.push(this.caller.call({ streamed, directives }));
    }
  }
}

/** Once per second for so long; resolves when the time is over. */
async function everySecond(durationMs: number, probe: () => Promise<void>): Promise<void> {
  const beganAt = performance.now();
  for (let at = 0; at < durationMs; at += PROBE_EVERY_MS) {
    await probe();
    await delay(Math.max(0, beganAt + at + PROBE_EVERY_MS - performance.now()));
  }
}

async function outcome(call: Exchange): Promise<readonly [number | null, string | null]> {
  await call.end;
  return [call.status, call.errorCode];
}

/** A key that the replica knows, and knows to be revoked. */
async function revokedKey(url: string, caller: Caller): Promise<string> {
  const reader = await RequestLogReader.at(url);
  const keys = new ApiKeyService(reader.database, systemClock);
  const [orgId = ''] = await reader.organizations();
  const [first] = await keys.list(orgId);
  const issued = await keys.create(
    orgId,
    { projectId: first?.projectId ?? '', name: 'short' },
    ACTOR,
  );
  if (issued.kind !== 'issued') throw new Error(issued.kind);
  const used = caller.call({ key: issued.token });
  await used.end;
  expect(used.status).toBe(200);
  await keys.revoke(orgId, issued.key.id, ACTOR);
  await reader.close();
  await until('the key is refused', 5_000, async () => {
    const tried = caller.call({ key: issued.token });
    await tried.end;
    return tried.status === 401;
  });
  return issued.token;
}

function unknownKey(): string {
  return `shunt_${randomBytes(24).toString('base64url')}`;
}

async function pageStatus(shunt: Replica, page: string): Promise<number> {
  return (await fetch(`${shunt.origin}/${page}`)).status;
}

function percentileMs(calls: readonly Exchange[], share: number): number {
  const sorted = calls.map((call) => call.latencyMs).toSorted((one, other) => one - other);
  return Math.round(sorted[Math.ceil(sorted.length * share) - 1] ?? 0);
}

function assertAllWhole(calls: readonly Exchange[]): void {
  const failed = calls.filter((call) => !call.whole || call.status !== 200);
  expect(failed.map(({ status, failure, text }) => [status, failure, text])).toEqual([]);
}

/** The log holds the calls that were forwarded, each once, and nothing else. Returns how long that took. */
async function assertRecorded(url: string, calls: readonly Exchange[]): Promise<number> {
  const forwarded = calls.filter((call) => call.status === 200);
  const expected = forwarded.map((call) => call.requestId).toSorted();
  const reader = await RequestLogReader.at(url);
  const tookMs = await until('the records are in the database', CAUGHT_UP_MS_MAX, async () => {
    return (await reader.ids()).length >= expected.length;
  });
  const rows = await reader.rows();
  await reader.close();
  expect(rows.map((row) => row.request_id).toSorted()).toEqual(expected);
  expect(rows.filter((row) => row.outcome !== 'completed' || row.revision !== 1)).toEqual([]);
  return Math.round(tookMs);
}

function report(calm: readonly Exchange[], during: readonly Exchange[], tookMs: number): void {
  const p99 = `p99 ${percentileMs(calm, 0.99)} ms before, ${percentileMs(during, 0.99)} ms without it`;
  measured('calls without the database', `${during.length}, none failed, ${p99}`);
  measured('all records in Postgres', `${tookMs} ms after the load`);
}

describe.concurrent('a warm replica under load', () => {
  it('with Postgres stopped for 60 s fails no call, tells known, revoked and unknown keys apart, and misses no record', async () => {
    const postgres = await startPostgres();
    const shunt = await start(postgres.env);
    const caller = new Caller(shunt.origin, shunt.projectKey);
    const revoked = await revokedKey(postgres.runtimeUrl, caller);

    const load = new SteadyLoad(caller);
    const calm = await load.more(CALM_MS);
    await postgres.pause();
    let slowestMs = 0;
    await everySecond(OUTAGE_MS, async () => {
      const call = caller.call({ key: unknownKey() });
      expect(await outcome(call)).toEqual([503, 'key_check_unavailable']);
      slowestMs = Math.max(slowestMs, call.latencyMs);
      expect(await outcome(caller.call({ key: revoked }))).toEqual([401, 'revoked_key']);
    });
    expect(await pageStatus(shunt, 'healthz')).toBe(200);
    expect(await pageStatus(shunt, 'readyz')).toBe(503);
    const waiting = await metricOf(shunt.origin, 'shunt_record_queue_depth');
    const during = load.calls.slice(calm.length);
    await postgres.resume();
    await load.more(CALM_MS);

    assertAllWhole(await load.end());
    expect(slowestMs).toBeLessThan(KEY_CHECK_MS_MAX);
    expect(waiting).toBeGreaterThan((OUTAGE_MS / 2_000) * CALLS_PER_SECOND);
    const tookMs = await assertRecorded(postgres.runtimeUrl, caller.sent);
    report(calm, during, tookMs);
    measured('slowest refusal of an unknown key', `${Math.round(slowestMs)} ms`);
    expect(await metricOf(shunt.origin, 'shunt_spool_lost_records_total')).toBe(0);
    expect(await pageStatus(shunt, 'readyz')).toBe(200);
    await caller.close();
    expect(await shunt.end()).toBe(0);
  }, 240_000);

  it('with a Postgres that takes packets and answers nothing fails no call, refuses unknown keys in time, and misses no record', async () => {
    const postgres = await startPostgres();
    const gate = await TcpGate.to(postgres.runtimeUrl);
    const shunt = await start({ ...postgres.env, DATABASE_URL: gate.url });
    const caller = new Caller(shunt.origin, shunt.projectKey);

    const load = new SteadyLoad(caller);
    const calm = await load.more(CALM_MS);
    gate.freeze();
    await everySecond(SILENCE_MS, async () => {
      const call = caller.call({ key: unknownKey() });
      expect(await outcome(call)).toEqual([503, 'key_check_unavailable']);
      expect(call.latencyMs).toBeLessThan(KEY_CHECK_MS_MAX);
    });
    const during = load.calls.slice(calm.length);
    gate.open();
    await load.more(CALM_MS);

    assertAllWhole(await load.end());
    report(calm, during, await assertRecorded(postgres.runtimeUrl, caller.sent));
    await caller.close();
    expect(await shunt.end()).toBe(0);
    await gate.close();
  }, 240_000);

  it('killed while Postgres is away leaves its records to the next process on its data directory', async () => {
    const postgres = await startPostgres();
    const dataDir = freshDataDir();
    const shunt = await start(postgres.env, dataDir);
    const caller = new Caller(shunt.origin, shunt.projectKey);
    const load = new SteadyLoad(caller);
    await load.more(CALM_MS);
    await postgres.pause();
    const during = await load.more(SILENCE_MS);
    await shunt.end('SIGKILL');
    const calls = await load.end();
    const whole = calls.filter((call) => call.whole);
    expect(during.filter((call) => call.whole).length).toBeGreaterThan(during.length / 2);

    await postgres.resume();
    const next = await start(postgres.env, dataDir);
    const reader = await RequestLogReader.at(postgres.runtimeUrl);
    let outcomes = new Map<string, string>();
    const tookMs = await until('the records are there', CAUGHT_UP_MS_MAX, async () => {
      outcomes = new Map((await reader.rows()).map((row) => [row.request_id, row.outcome]));
      return whole.every((call) => outcomes.has(call.requestId ?? ''));
    });
    await reader.close();
    const wrong = whole.filter((call) => outcomes.get(call.requestId ?? '') !== 'completed');
    expect(wrong.map((call) => call.requestId)).toEqual([]);
    measured('records of an outage and a kill', `${whole.length}, ${Math.round(tookMs)} ms after`);
    await caller.close();
    expect(await next.end()).toBe(0);
  }, 240_000);
});
