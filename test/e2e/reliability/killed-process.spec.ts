import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { SANDBOX_KEY, startTestSandbox } from '../../support/sandbox.js';
import { endAll, freshDataDir, postmasterPid, startReplica, type Replica } from './replica.js';
import { Caller, type CallOptions, type Exchange } from './caller.js';
import { metricOf } from './metrics.js';
import { RequestLogReader, type LoggedCall } from './request-log.js';
import { measured, until } from './until.js';

const CALLS = 2_000;
const CONCURRENCY = 32;
const KILLED_AFTER = 1_000;
/** Streams that are certainly in their middle when the process is killed. */
const LONG_STREAMS = 10;
const LONG = 'chunks=100,chunk-delay=1000';

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await startTestSandbox();
});
afterAll(async () => {
  await endAll();
  await sandbox.close();
});

function start(dataDir: string): Promise<Replica> {
  const env = { OPENAI_BASE_URL: sandbox.baseUrls.openai, OPENAI_API_KEY: SANDBOX_KEY };
  return startReplica({ dataDir, env });
}

function optionsOf(n: number): CallOptions {
  if (n >= KILLED_AFTER && n < KILLED_AFTER + LONG_STREAMS) {
    return { streamed: true, directives: LONG };
  }
  return n % 2 === 0
    ? { directives: `latency=${20 + (n % 7) * 20}` }
    : { streamed: true, directives: `chunks=${4 + (n % 5)},chunk-delay=20` };
}

/** Sends the calls in order, so many at a time, and holds the rest back while the product is away. */
class Load {
  readonly calls: Exchange[] = [];
  caller: Caller | null = null;
  #back = Promise.withResolvers<void>();
  #next = 0;

  async run(): Promise<void> {
    const worker = async (): Promise<void> => {
      while (this.#next < CALLS) {
        if (this.caller === null) await this.#back.promise;
        if (this.#next >= CALLS) return;
        const call = this.caller!.call(optionsOf(this.#next++));
        this.calls.push(call);
        await call.end;
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  }

  /** Returns the calls in flight. */
  async hold(): Promise<Exchange[]> {
    const caller = this.caller;
    this.#back = Promise.withResolvers();
    this.caller = null;
    const inFlight = this.calls.filter((call) => !call.ended);
    void Promise.all(inFlight.map((call) => call.end)).then(() => caller?.close());
    return inFlight;
  }

  goOn(origin: string, key: string): void {
    this.caller = new Caller(origin, key, CONCURRENCY);
    this.#back.resolve();
  }

  get wholeCount(): number {
    return this.calls.filter((call) => call.whole).length;
  }

  get longInTheMiddle(): number {
    const long = this.calls.slice(KILLED_AFTER, KILLED_AFTER + LONG_STREAMS);
    return long.filter((call) => call.events > 0).length;
  }
}

/** The paths of all segments that still hold records. */
function segmentsIn(dataDir: string): string[] {
  const entries = readdirSync(path.join(dataDir, 'spool'), { recursive: true, encoding: 'utf8' });
  return entries.filter((entry) => entry.endsWith('.seg'));
}

describe('kill -9 in the middle of 2,000 calls, 32 at a time, and a restart', () => {
  it('leaves one final record of each call that a client saw complete, and an interrupted one of each that it cut', async () => {
    const dataDir = freshDataDir();
    const first = await start(dataDir);
    const postmaster = postmasterPid(dataDir);
    const load = new Load();
    load.goOn(first.origin, first.projectKey);
    const sent = load.run();
    await until('half of the calls are over', 60_000, () => {
      return load.wholeCount >= KILLED_AFTER && load.longInTheMiddle === LONG_STREAMS;
    });
    const inFlight = await load.hold();
    expect(await first.end('SIGKILL')).toBeNull();
    await Promise.all(inFlight.map((call) => call.end));
    const wholeAtKill = load.wholeCount;
    expect(postmasterPid(dataDir), 'the server outlives the kill').toBe(postmaster);

    const second = await start(dataDir);
    expect(postmasterPid(dataDir), 'the server is used again').toBe(postmaster);
    load.goOn(second.origin, second.projectKey);
    await sent;
    await load.caller?.close();
    expect(await metricOf(second.origin, 'shunt_spool_adopted_total')).toBe(1);
    const replayed = await metricOf(second.origin, 'shunt_records_replayed_total');
    expect(replayed, 'finals that were on disk alone').toBeGreaterThan(0);
    expect(await second.end()).toBe(0);
    expect(postmasterPid(dataDir), 'the last user stops the server').toBeNull();
    expect(segmentsIn(dataDir)).toEqual([]);

    const reader = await RequestLogReader.embeddedIn(dataDir);
    const rows = await reader.rows();
    await reader.close();
    const cut = load.calls.filter((call) => !call.whole);
    const interrupted = rows.filter((row) => row.outcome === 'interrupted');
    measured('complete at the kill', `${wholeAtKill}, cut ${cut.length}, of ${CALLS}`);
    measured('records', `${rows.length}, ${interrupted.length} interrupted, ${replayed} replayed`);
    assertOneRecordEach(load.calls, rows);
    assertInterrupted(load.calls.slice(KILLED_AFTER, KILLED_AFTER + LONG_STREAMS), rows);
    expect(cut.length).toBeLessThanOrEqual(CONCURRENCY);
    expect(load.wholeCount).toBe(CALLS - cut.length);
    // A record of every call that reached the provider, and of none that reached nobody.
    expect(rows.length).toBeGreaterThanOrEqual(sandbox.stats().requests);
    expect(rows.length).toBeLessThanOrEqual(CALLS);
  }, 240_000);
});

function assertOneRecordEach(calls: readonly Exchange[], rows: readonly LoggedCall[]): void {
  const byId = new Map(rows.map((row) => [row.request_id, row]));
  expect(byId.size, 'no id twice').toBe(rows.length);
  const whole = calls.filter((call) => call.whole);
  expect(new Set(whole.map((call) => call.requestId)).size).toBe(whole.length);
  const wrong = whole.filter((call) => {
    const row = byId.get(call.requestId ?? '');
    return !(
      row?.outcome === 'completed' &&
      row.revision === 1 &&
      row.status_code === 200 &&
      row.metering === 'reported' &&
      row.pricing === 'priced' &&
      row.streamed === call.streamed
    );
  });
  expect(wrong.map((call) => [call.requestId, byId.get(call.requestId ?? '')])).toEqual([]);
  // The final of a cut call may have been written just before the client would have seen its end.
  const known = calls.filter((call) => !call.whole && call.requestId !== null);
  expect(known.filter((call) => !byId.has(call.requestId!))).toEqual([]);
  const outcomes = new Set(rows.map((row) => row.outcome));
  expect([...outcomes].toSorted()).toEqual(['completed', 'interrupted']);
}

function assertInterrupted(calls: readonly Exchange[], rows: readonly LoggedCall[]): void {
  expect(calls.length).toBe(LONG_STREAMS);
  for (const call of calls) {
    expect(rows.filter((row) => row.request_id === call.requestId)).toMatchObject([
      {
        outcome: 'interrupted',
        revision: 0,
        metering: 'unmetered',
        unmetered_reason: 'interrupted',
        pricing: 'not_applicable',
        usage: null,
        cost_nano_usd: null,
        streamed: true,
      },
    ]);
  }
}
