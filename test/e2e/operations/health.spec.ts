import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { TcpGate } from '../../integration/tenancy/tcp-gate.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

const ANSWER_MS_MAX = 4_000;
const POLLING = { timeout: 15_000, interval: 50 };

let db: TestDatabase;
let gate: TcpGate;
let gateway: TestGateway;

beforeAll(async () => {
  db = await testDatabase({ migrated: false });
  gate = await TcpGate.to(db.runtimeUrl);
  gateway = await startGateway({
    env: { DATABASE_URL: gate.url, DATABASE_MIGRATION_URL: db.ownerUrl },
  });
  expect((await chat()).status).toBe(200);
});
afterAll(async () => {
  gate?.open();
  await gateway?.stop();
  await gate?.close();
  await db?.close();
});

const get = (path: string): Promise<Response> => fetch(gateway.origin + path);

function chat(key = gateway.projectKey): Promise<Response> {
  return fetch(`${gateway.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: '{"model":"gpt-5.4","messages":[{"role":"user","content":"hello"}]}',
  });
}

test('with everything up /healthz and /readyz say so, and nothing keeps their answers', async () => {
  const [healthz, readyz] = [await get('/healthz'), await get('/readyz')];
  expect([healthz.status, await healthz.json()]).toEqual([200, { status: 'ok' }]);
  expect([readyz.status, await readyz.json()]).toEqual([
    200,
    { status: 'ready', dependencies: { postgres: 'up' } },
  ]);
  for (const { headers } of [healthz, readyz])
    expect(headers.get('cache-control')).toBe('no-store');
});

describe.each([
  ['is gone', () => gate.cut()],
  ['does not answer', () => gate.freeze()],
])('while the database %s', (_state, takeAway) => {
  beforeAll(() => {
    takeAway();
    return async () => {
      gate.open();
      await vi.waitFor(async () => expect((await get('/readyz')).status).toBe(200), POLLING);
    };
  });

  test('/readyz says 503 and which one it is, within its limit, and /healthz says 200', async () => {
    const startedAt = performance.now();
    const readyz = await get('/readyz');
    expect(performance.now() - startedAt).toBeLessThan(ANSWER_MS_MAX);
    expect(readyz.status).toBe(503);
    expect(await readyz.json()).toEqual({
      status: 'degraded',
      dependencies: { postgres: 'down' },
    });
    expect((await get('/healthz')).status).toBe(200);
    expect((await get('/metrics')).status).toBe(200);
  });

  test('calls of known keys go on, and a key that is not known gets 503 and not 401', async () => {
    const startedAt = performance.now();
    for (let i = 0; i < 20; i += 1) expect((await chat()).status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(ANSWER_MS_MAX);
    const unknown = await chat('shunt_a_key_that_was_never_seen');
    expect(unknown.status).toBe(503);
    expect(await unknown.json()).toMatchObject({ error: { code: 'key_check_unavailable' } });
    expect(unknown.headers.get('retry-after')).toMatch(/^\d+$/);
  });

  test('the application API says that it is unavailable, and nothing of why', async () => {
    const headers = { authorization: `Bearer ${gateway.projectKey}` };
    const answer = await fetch(`${gateway.origin}/shunt/v1/requests`, { headers });
    expect(answer.status).toBe(503);
    const text = await answer.text();
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'temporarily_unavailable' } });
    expect(text).not.toMatch(/127\.0\.0\.1|postgres|ECONN|SELECT|timeout/i);
  });
});

test('afterwards every call that went through has its record', async () => {
  const records = await gateway.records();
  expect(records).toHaveLength(41);
  expect(records.every(({ outcome }) => outcome === 'completed')).toBe(true);
});
