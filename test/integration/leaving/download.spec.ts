import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { AuditHeads } from '../../../src/modules/audit/audit-heads.js';
import { OrganizationExport } from '../../../src/modules/leaving/organization-export.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

let db: TestDatabase;
let heads: AuditHeads;
let exports: OrganizationExport;
const actor = { kind: 'member', id: 'm', role: 'owner' } as const;

beforeAll(async () => {
  db = await testDatabase();
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  heads = new AuditHeads(db.database, new Signer(pem.toString()), systemClock);
});
afterAll(() => db.close());
beforeEach(() => {
  exports = new OrganizationExport(db.database, systemClock, heads);
});

const newOrganization = async (): Promise<string> => (await db.createTenant()).orgId;

test('one export of an organization at a time, and few at all: the others are told to wait', async () => {
  const orgs = await Promise.all(Array.from({ length: 4 }, newOrganization));
  const open = await Promise.all(orgs.slice(0, 3).map((orgId) => exports.open(orgId, actor)));
  expect(await exports.open(orgs[0]!, actor)).toBeNull();
  expect(await exports.open(orgs[3]!, actor)).toBeNull();
  // One is read to its end, one is left in the middle, one before it began.
  expect(await text(open[0]!)).toContain('"end":true');
  await once(open[1]!, 'readable');
  for (const stream of open.slice(1)) {
    stream!.destroy();
    await once(stream!, 'close');
  }
  for (const orgId of [orgs[0]!, orgs[2]!, orgs[3]!]) {
    const stream = await exports.open(orgId, actor);
    expect(await text(stream!)).toContain('"end":true');
  }
});

test('an export that nobody takes breaks off and makes room', async () => {
  const orgId = await newOrganization();
  const impatient = new OrganizationExport(db.database, systemClock, heads, 20);
  const stream = await impatient.open(orgId, actor);
  stream!.read(0);
  await expect(once(stream!, 'close')).rejects.toThrow('nobody takes the download');
  await expect.poll(() => stream!.closed).toBe(true);
  expect(stream!.errored).not.toBeNull();
  expect(await impatient.open(orgId, actor)).not.toBeNull();
});

test('where the database fails on the way the reader is told, and there is no last line', async () => {
  const orgId = await newOrganization();
  let pages = 0;
  const failing: Pick<Database, 'tenant'> = {
    tenant: (id, work) =>
      (pages += 1) > 4 ? Promise.reject(new Error('away')) : db.database.tenant(id, work),
  };
  const broken = new OrganizationExport(failing as Database, systemClock, heads);
  const stream = await broken.open(orgId, actor);
  let taken = '';
  const reading = (async () => {
    for await (const chunk of stream!) taken += String(chunk);
  })();
  await expect(reading).rejects.toThrow('away');
  expect(taken).toContain('"export":"shunt-organization"');
  expect(taken).not.toContain('"end"');
  expect(await broken.open(orgId, actor).catch(() => 'away')).toBe('away');
});

test('every table that holds something of an organization is in it, filled or not', async () => {
  const tables = await db.owner.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND a.attname = 'org_id' AND NOT a.attisdropped`,
  );
  let last = '';
  for await (const chunk of exports.lines(await newOrganization(), actor)) last = chunk;
  const { rows } = JSON.parse(last) as { rows: Record<string, number> };
  const bookkeeping = ['tenancy_changes', 'audit_heads', 'ledger_heads'];
  const expected = tables.map(({ name }) => name).filter((name) => !bookkeeping.includes(name));
  expect(Object.keys(rows).toSorted()).toEqual(['organizations', 'users', ...expected].toSorted());
});

test('a page of a large log reads its own rows and no others', async () => {
  const { orgId, projectId, apiKeyId } = await db.createTenant();
  await db.owner.tenant(orgId, (q) =>
    q.query(
      `INSERT INTO request_log (org_id, started_at, request_id, retention_class, project_id, api_key_id, provider,
         operation, streamed, decision, mode, synthetic, revision, outcome, metering, pricing, tags, request_bytes,
         response_bytes, client_retry, usage, cost_nano_usd, frozen_prices, price_version)
       SELECT $1, now() - i * interval '1 second', uuidv7(), 'd90', $2, $3, 'openai', 'chat', false, 'passthrough',
              'observing', false, 1, 'completed', 'reported', 'priced', '{}', 1, 1, 0, '{"input": 1}', 1, '{}', 'v'
         FROM generate_series(1, 20000) AS i`,
      [orgId, projectId, apiKeyId],
    ),
  );
  await db.owner.query('ANALYZE request_log');
  const plans: string[] = [];
  const explaining: Pick<Database, 'tenant'> = {
    tenant: (id, work) =>
      db.database.tenant(id, (q) =>
        work({
          query: async (sql, parameters) => {
            if (sql.includes('"request_log"') && sql.includes('> (')) {
              const rows = await q.query(`EXPLAIN ANALYZE ${sql}`, parameters);
              plans.push(JSON.stringify(rows));
            }
            return q.query(sql, parameters);
          },
        }),
      ),
  };
  const explained = new OrganizationExport(explaining as Database, systemClock, heads);
  let rows = 0;
  for await (const chunk of explained.lines(orgId, actor)) {
    rows += chunk.split('{"table":"request_log"').length - 1;
  }
  expect(rows).toBe(20_000);
  expect(plans).toHaveLength(20);
  const rowsRead = plans.flatMap((plan) =>
    [...plan.matchAll(/rows=(\d+)\.00 loops/g)].map(([, count]) => Number(count)),
  );
  expect(Math.max(...rowsRead)).toBeGreaterThanOrEqual(1_000);
  expect(Math.max(...rowsRead)).toBeLessThan(4_000);
});
