import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../../src/platform/postgres/database.js';
import { isUnavailable } from '../../../src/platform/postgres/query-error.js';
import { testDatabase, type TestDatabase, type TestTenant } from '../../support/postgres.js';
import { TcpGate } from './tcp-gate.js';

let db: TestDatabase;
let tenant: TestTenant;
let gate: TcpGate;
let gated: Database;

beforeAll(async () => {
  db = await testDatabase();
  tenant = await db.createTenant();
  gate = await TcpGate.to(db.runtimeUrl);
  gated = await db.connect({ url: gate.url, poolSize: 1, statementTimeoutMs: 500 });
});
afterAll(async () => {
  gate.open();
  await gated.close();
  await gate.close();
  await db.close();
});

async function heard(messages: readonly unknown[], count: number): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (messages.length < count) {
    if (performance.now() > deadline) throw new Error(`heard ${messages.length} of ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: unknown) => error,
  );

test('updates and deletes return their rows, like every other statement', async () => {
  await db.database.tenant(tenant.orgId, async (q) => {
    expect(await q.query(`UPDATE projects SET strict = true RETURNING strict`)).toEqual([
      { strict: true },
    ]);
    expect(await q.query('DELETE FROM memberships RETURNING org_id')).toEqual([]);
    expect(await q.query('UPDATE projects SET strict = false')).toEqual([]);
  });
});

test('work that fails leaves nothing, and its connection is as good as new', async () => {
  const alone = await db.connect({ poolSize: 1 });
  const failing = alone.tenant(tenant.orgId, async (q) => {
    await q.query(`UPDATE projects SET name = 'half'`);
    throw new Error('in the middle');
  });
  await expect(failing).rejects.toThrow('in the middle');
  const names = await alone.tenant(tenant.orgId, (q) => q.query('SELECT name FROM projects'));
  expect(names).toEqual([{ name: 'default' }]);
  await alone.close();
});

test('an error carries neither the statement nor its parameters', async () => {
  const error = await failureOf(db.database.query('SELECT $1::uuid', ['SECRET-CONTENT']));
  const { stack, ...fields } = error as Error;
  expect([stack, JSON.stringify(fields), String(error)].join()).not.toContain('SECRET-CONTENT');
});

test('a query that takes too long ends in time, and counts as unavailable', async () => {
  const error = await failureOf(gated.query('SELECT pg_sleep(5)'));
  expect(error).toMatchObject({ code: '57014' });
  expect(isUnavailable(error)).toBe(true);
  await gated.ping();
});

test('a query that the network swallows ends in time, and its connection is not used again', async () => {
  gate.freeze();
  const error = await failureOf(gated.query('SELECT 1'));
  expect(error).toMatchObject({ code: 'timeout', unavailable: true });
  gate.open();
  expect(await gated.query('SELECT 2 AS two')).toEqual([{ two: 2 }]);
});

test('the pool heals by itself when the server is back', async () => {
  gate.cut();
  expect(isUnavailable(await failureOf(gated.ping()))).toBe(true);
  gate.open();
  await gated.ping();
});

test('notifications arrive, and after a lost connection the subscriber is told to catch up', async () => {
  const [messages, connections]: [string[], true[]] = [[], []];
  const unlisten = gated.listen(
    'spec_channel',
    (payload) => messages.push(payload),
    () => connections.push(true),
  );
  await heard(connections, 1);
  await db.database.query(`SELECT pg_notify('spec_channel', 'one')`);
  await heard(messages, 1);
  gate.cut();
  await db.database.query(`SELECT pg_notify('spec_channel', 'lost')`);
  gate.open();
  await heard(connections, 2);
  await db.database.query(`SELECT pg_notify('spec_channel', 'two')`);
  await heard(messages, 2);
  expect(messages).toEqual(['one', 'two']);
  unlisten();
});

test('closing does not wait for a query that hangs', async () => {
  const hanging = await db.connect();
  const query = failureOf(hanging.query('SELECT pg_sleep(60)'));
  const start = performance.now();
  await hanging.close();
  expect(performance.now() - start).toBeLessThan(8_000);
  await db.owner.query('SELECT 1');
  void query;
});
