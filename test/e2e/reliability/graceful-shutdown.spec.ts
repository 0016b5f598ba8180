import { readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { SANDBOX_KEY, startTestSandbox } from '../../support/sandbox.js';
import {
  endAll,
  endDuringStart,
  freshDataDir,
  postgresPids,
  postmasterPid,
  startReplica,
  type Replica,
} from './replica.js';
import { Caller, type Exchange } from './caller.js';
import { RequestLogReader, type LoggedCall } from './request-log.js';
import { measured, until } from './until.js';

const STREAMS = 12;
const EVENTS = 40;
/** Eight seconds in all. */
const STREAM = `chunks=${EVENTS},chunk-delay=200`;
/** What the product gives to streams, and then some for the rest of its end. */
const END_MS_MAX = 40_000;

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

async function begun(calls: readonly Exchange[]): Promise<void> {
  await until('the streams run', 10_000, () => calls.every((call) => call.events > 1));
}

/** How a new connection fares: `accepted`, or the code of its error. */
function knock(origin: string): Promise<string> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname);
    socket.once('connect', () => {
      socket.destroy();
      resolve('accepted');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.name));
  });
}

async function recordsIn(dataDir: string): Promise<LoggedCall[]> {
  const reader = await RequestLogReader.embeddedIn(dataDir);
  const rows = await reader.rows();
  await reader.close();
  return rows;
}

describe.concurrent('SIGTERM', () => {
  it('lets streams end whole while it refuses new connections, then flushes the records, stops its Postgres and exits with 0', async () => {
    const dataDir = freshDataDir();
    const shunt = await start(dataDir);
    const caller = new Caller(shunt.origin, shunt.projectKey);
    const streams = Array.from({ length: STREAMS }, () =>
      caller.call({ streamed: true, directives: STREAM }),
    );
    await begun(streams);
    expect(await knock(shunt.origin)).toBe('accepted');
    shunt.child.kill('SIGTERM');
    await until('the port is closed', 5_000, async () => {
      return (await knock(shunt.origin)) === 'ECONNREFUSED';
    });
    expect(streams.filter((call) => call.ended)).toEqual([]);
    await Promise.all(streams.map((call) => call.end));
    expect(streams.map((call) => call.failure)).toEqual(streams.map(() => null));
    // The events with text, the one with the role, the one with the reason of the end, the end mark.
    expect(streams.map((call) => [call.whole, call.events])).toEqual(
      streams.map(() => [true, streams[0]?.events]),
    );
    expect(streams[0]?.events).toBeGreaterThanOrEqual(EVENTS);
    expect(await shunt.ended).toBe(0);
    expect(postgresPids(dataDir)).toEqual([]);
    expect(readdirSync(path.join(dataDir, 'spool'))).toEqual([]);

    const rows = await recordsIn(dataDir);
    expect(rows.map((row) => [row.request_id, row.outcome, row.metering]).toSorted()).toEqual(
      streams.map((call) => [call.requestId, 'completed', 'reported']).toSorted(),
    );
    await caller.close();
  }, 90_000);

  it('sends clients with an open connection away, so that their next call can reach another replica', async () => {
    const dataDir = freshDataDir();
    const shunt = await start(dataDir);
    const watcher = new Caller(shunt.origin, shunt.projectKey);
    const stream = watcher.call({ streamed: true, directives: STREAM });
    const kept = new Caller(shunt.origin, shunt.projectKey, 1);
    const first = kept.call({ directives: 'latency=1500' });
    await begun([stream]);
    shunt.child.kill('SIGTERM');
    await first.end;
    expect([first.status, first.whole]).toEqual([200, true]);
    // On the same connection, if it is still there: one refusal, that closes it.
    const second = kept.call();
    await second.end;
    expect(second.status === null || second.errorCode === 'shutting_down').toBe(true);
    const third = kept.call();
    await third.end;
    expect(third.failure).toBe('ECONNREFUSED');
    expect(stream.ended, 'the replica is still there').toBe(false);
    await stream.end;
    expect(stream.whole).toBe(true);
    expect(await shunt.ended).toBe(0);
    await Promise.all([watcher.close(), kept.close()]);
  }, 90_000);

  it('leaves no Postgres behind when it comes during the start', async () => {
    const dataDir = freshDataDir();
    const options = { dataDir, env: { OPENAI_BASE_URL: sandbox.baseUrls.openai } };
    const ended = await endDuringStart(options, () => postmasterPid(dataDir) !== null);
    expect(ended).toBe(0);
    expect(postgresPids(dataDir)).toEqual([]);
  }, 90_000);

  it('waits for a stream that does not end only up to its limit, and keeps its record', async () => {
    const dataDir = freshDataDir();
    const shunt = await start(dataDir);
    const caller = new Caller(shunt.origin, shunt.projectKey);
    const endless = caller.call({ streamed: true, directives: 'chunks=100,chunk-delay=2000' });
    await begun([endless]);
    const beganAt = performance.now();
    const ended = await shunt.end();
    const tookMs = performance.now() - beganAt;
    measured('end with a stream that goes on', `${Math.round(tookMs)} ms`);
    expect(ended).toBe(0);
    expect(tookMs).toBeLessThan(END_MS_MAX);
    await endless.end;
    expect([endless.whole, endless.failure]).toEqual([false, expect.any(String)]);
    expect(postgresPids(dataDir)).toEqual([]);
    const rows = await recordsIn(dataDir);
    expect(rows).toMatchObject([
      {
        request_id: endless.requestId,
        outcome: 'truncated',
        error_code: 'shutting_down',
        failure_class: null,
        revision: 2,
        metering: 'estimated',
      },
    ]);
    await caller.close();
  }, 90_000);

  it('leaves a Postgres running that another process uses still', async () => {
    const dataDir = freshDataDir();
    const user = await RequestLogReader.embeddedIn(dataDir);
    const postmaster = postmasterPid(dataDir);
    const shunt = await start(dataDir);
    const caller = new Caller(shunt.origin, shunt.projectKey);
    const call = caller.call();
    await call.end;
    expect(await shunt.end()).toBe(0);
    expect(postmasterPid(dataDir)).toBe(postmaster);
    expect(await user.ids()).toEqual([call.requestId]);
    await user.close();
    expect(postgresPids(dataDir)).toEqual([]);
    await caller.close();
  }, 90_000);
});
