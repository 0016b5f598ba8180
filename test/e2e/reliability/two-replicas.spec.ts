import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ApiKeyService } from '../../../src/modules/api-keys/api-key.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { SANDBOX_KEY, startTestSandbox } from '../../support/sandbox.js';
import { endAll, freshDataDir, runCli, startReplica, type Replica } from './replica.js';
import { Caller } from './caller.js';
import { metricOf } from './metrics.js';
import { PausablePostgres } from './pausable-postgres.js';
import { RequestLogReader } from './request-log.js';
import { measured, until } from './until.js';
import { ACTOR } from '../../support/tenants.js';

const CALLS_EACH = 50;
const STREAMS = 5;
/** A survivor looks for orphans every 10 s. */
const ADOPTED_MS_MAX = 20_000;
const REFUSED_MS_MAX = 1_000;
const REVOCATIONS = 5;

let sandbox: Sandbox;
let postgres: PausablePostgres;
let reader: RequestLogReader;
let orgId: string;
let dataDir: string;
/** Both on one database, one of them fresh, and on one data directory. */
let replicas: readonly [Replica, Replica];
let callers: readonly Caller[];

function env(): Readonly<Record<string, string>> {
  return {
    ...postgres.env,
    OPENAI_BASE_URL: sandbox.baseUrls.openai,
    OPENAI_API_KEY: SANDBOX_KEY,
  };
}

beforeAll(async () => {
  sandbox = await startTestSandbox();
  postgres = await PausablePostgres.start();
  dataDir = freshDataDir();
  replicas = await Promise.all([
    startReplica({ dataDir, env: env() }),
    startReplica({ dataDir, env: env() }),
  ]);
  callers = replicas.map(({ origin, projectKey }) => new Caller(origin, projectKey));
  reader = await RequestLogReader.at(postgres.runtimeUrl);
});
beforeEach(async () => {
  [orgId = ''] = await reader.organizations();
});
afterAll(async () => {
  await Promise.all(callers.map((caller) => caller.close()));
  await reader.close();
  await endAll();
  await postgres.remove();
  await sandbox.close();
});

/** A key that both replicas have in memory. */
async function warmKey(): Promise<{ id: string; token: string }> {
  const keys = new ApiKeyService(reader.database, systemClock);
  const [first] = await keys.list(orgId);
  const issued = await keys.create(
    orgId,
    { projectId: first?.projectId ?? '', name: 'short' },
    ACTOR,
  );
  if (issued.kind !== 'issued') throw new Error(issued.kind);
  for (const caller of callers) {
    const call = caller.call({ key: issued.token });
    await call.end;
    expect(call.status).toBe(200);
  }
  return { id: issued.key.id, token: issued.token };
}

/** How long the slower replica went on serving the key, in milliseconds. */
async function servedAfter(token: string): Promise<number> {
  const beganAt = performance.now();
  const until401 = async (caller: Caller): Promise<number> => {
    await until('the key is refused', 10_000, async () => {
      const call = caller.call({ key: token });
      await call.end;
      if (call.status === 200) return false;
      expect([call.status, call.errorCode]).toEqual([401, 'revoked_key']);
      return true;
    });
    return performance.now() - beganAt;
  };
  return Math.max(...(await Promise.all(callers.map(until401))));
}

describe('two replicas that start at once on one fresh database', () => {
  it('make one organization, and both know its key', async () => {
    expect(await reader.organizations()).toHaveLength(1);
    for (const caller of callers) {
      const call = caller.call();
      await call.end;
      expect([call.status, call.text.slice(0, 100)]).toEqual([200, expect.any(String)]);
    }
  });

  it('record the calls of both, each once', async () => {
    const calls = callers.flatMap((caller) =>
      Array.from({ length: CALLS_EACH }, (_, n) => caller.call({ streamed: n % 2 === 0 })),
    );
    await Promise.all(calls.map((call) => call.end));
    expect(calls.filter((call) => !call.whole || call.status !== 200)).toEqual([]);
    await until('all are recorded', 10_000, async () => {
      const ids = new Set(await reader.ids());
      return calls.every((call) => ids.has(call.requestId ?? ''));
    });
    const ids = await reader.ids();
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('refuse a revoked key within a second', async () => {
    const keys = new ApiKeyService(reader.database, systemClock);
    const taken: number[] = [];
    for (let n = 0; n < REVOCATIONS; n += 1) {
      const { id, token } = await warmKey();
      // From before the revocation is stored: the longest that it can be called.
      const [tookMs] = await Promise.all([servedAfter(token), keys.revoke(orgId, id, ACTOR)]);
      taken.push(Math.round(tookMs));
    }
    measured('a revoked key was served for', `${taken.join(', ')} ms`);
    expect(Math.max(...taken)).toBeLessThan(REFUSED_MS_MAX);
  });

  it('refuse a revoked key within a second when the connections that bring the news were cut', async () => {
    const keys = new ApiKeyService(reader.database, systemClock);
    const { id, token } = await warmKey();
    // In a session of the login itself, which may end its own others; the product's act as another role.
    const session = { url: postgres.runtimeUrl, statementTimeoutMs: 5_000 };
    const cut = await withConnection(session, (connection) =>
      connection.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'shunt-listen'`,
      ),
    );
    expect(cut).toHaveLength(2);
    const [tookMs] = await Promise.all([servedAfter(token), keys.revoke(orgId, id, ACTOR)]);
    measured('a revoked key was served, without notifications, for', `${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(REFUSED_MS_MAX);
  });

  it('refuse a key that the command line revoked', async () => {
    const { id, token } = await warmKey();
    const answer = await runCli(['keys', 'revoke', id], { dataDir, env: env() });
    const tookMs = await servedAfter(token);
    expect(answer).toMatchObject({ code: 0, stdout: `Revoked ${id}.\n` });
    measured('a key revoked by the command line was served for', `${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(REFUSED_MS_MAX);
  });
});

describe('a replica that is killed', () => {
  it('is survived by its records: the other adopts them in time, those of calls in flight as interrupted', async () => {
    const [survivor, victim] = replicas;
    const [, caller] = callers;
    const streams = Array.from({ length: STREAMS }, () =>
      caller!.call({ streamed: true, directives: 'chunks=100,chunk-delay=1000' }),
    );
    await until('the streams run', 10_000, () => streams.every((call) => call.events > 0));
    const finished = Array.from({ length: CALLS_EACH }, () => caller!.call());
    await Promise.all(finished.map((call) => call.end));
    // Before the batch of these calls is due: their finals are in the dead process's spool alone.
    await victim.end('SIGKILL');
    const tookMs = await until('the records are adopted', ADOPTED_MS_MAX, async () => {
      const ids = new Set(await reader.ids());
      return [...finished, ...streams].every((call) => ids.has(call.requestId ?? ''));
    });
    measured('records of a killed replica adopted after', `${Math.round(tookMs)} ms`);
    const rows = await reader.rows();
    const outcomes = (calls: typeof streams) =>
      calls.map((call) => rows.filter((row) => row.request_id === call.requestId));
    expect(outcomes(finished).map((found) => found.map((row) => row.outcome))).toEqual(
      finished.map(() => ['completed']),
    );
    expect(outcomes(streams).map((found) => found.map((row) => row.unmetered_reason))).toEqual(
      streams.map(() => ['interrupted']),
    );
    expect(await metricOf(survivor.origin, 'shunt_spool_adopted_total')).toBe(1);
    expect(await survivor.end()).toBe(0);
  });
});
