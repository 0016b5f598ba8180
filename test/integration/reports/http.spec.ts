import { afterAll, beforeAll, expect, test } from 'vitest';
import { isGenuineStatement } from '../../../src/modules/reports/statement.js';
import { appendEntriesWithin } from '../../../src/modules/ledger/ledger-columns.js';
import { INSERT_RECORDS } from '../../../src/modules/records/request-log-columns.js';
import { firstOwner, signIn, type DashboardClient } from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { finalOf, startOf } from '../records/record-samples.js';
import { ANTHROPIC_COST_HEADER, anthropicCost } from './provider-files.js';
import { DAY_MS, entryOf, lastMonthMs } from './reports-rig.js';

let gateway: TestGateway;
let owner: DashboardClient;
let orgId: string;
const FROM = lastMonthMs();
const month = new Date(FROM).toISOString().slice(0, 7);

beforeAll(async () => {
  gateway = await startGateway();
  const credentials = firstOwner(gateway);
  owner = await signIn(gateway, credentials);
  ({ orgId } = credentials);
  const call = finalOf(startOf(FROM, { org_id: orgId, provider: 'anthropic' }), {
    served_model: 'claude-haiku-5-5',
    cost_nano_usd: '2000000000',
    customer_id: '=1+1',
  });
  await gateway.app.engine.database.tenant(orgId, (q) =>
    q.query(INSERT_RECORDS, [JSON.stringify([call])]),
  );
});
afterAll(() => gateway?.stop());

function upload(path: string, body: string, type = 'text/csv'): Promise<Response> {
  const cookie = [...owner.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  return fetch(gateway.origin + path, {
    method: 'POST',
    headers: {
      'content-type': type,
      cookie,
      origin: gateway.origin,
      'x-csrf-token': owner.csrfToken,
    },
    body,
  });
}

test('an invoice goes in as it is, and is held against the calls', async () => {
  const line = anthropicCost(`${month}-01`, 'Claude Haiku 5.5', '0.000001');
  // More than a body in memory may be elsewhere, and none of it is held.
  const file = [ANTHROPIC_COST_HEADER, ...Array.from({ length: 40_000 }, () => line)].join('\n');
  expect(file.length).toBeGreaterThan(2 ** 21);
  const answer = await upload('/api/invoices?provider=anthropic', file);
  expect(answer.status).toBe(201);
  expect(await answer.json()).toMatchObject({ kind: 'cost', file_rows: 40_000, known: false });
  const days = `from=${month}-01&to=${month}-28`;
  const check = await owner.get(`/api/invoices/check?provider=anthropic&${days}`);
  expect(check.body).toMatchObject({
    cost: { sum: { invoiced: '40000000', logged: '2000000000', residual: '-1960000000' } },
  });
  expect((await owner.get('/api/invoices')).body).toMatchObject({ data: [{ number: 1 }] });
});

test('what is no invoice is refused in words that name the column', async () => {
  const wrong = await upload('/api/invoices?provider=openai', 'a,b\n1,2');
  expect(wrong.status).toBe(400);
  expect(await wrong.json()).toEqual({
    error: { code: 'unreadable_invoice', message: expect.stringContaining('amount_value') as string },
  });
  expect((await upload('/api/invoices?provider=openai', '{}', 'application/json')).status).toBe(415);
  expect((await upload('/api/invoices?provider=groq', 'a')).status).toBe(400);
  // A file is taken on that one path.
  expect((await upload('/api/reports', 'a,b')).status).toBe(415);
}); // prettier-ignore

test('there is no statement while the ledger is not sealed, and it says when to come back', async () => {
  const beforeMs = FROM - DAY_MS;
  await gateway.app.engine.database.tenant(orgId, (q) =>
    appendEntriesWithin(q, [entryOf(orgId, beforeMs)]),
  );
  const refused = await owner.post('/api/statements', {
    month: new Date(beforeMs).toISOString().slice(0, 7),
  });
  expect(refused).toMatchObject({ status: 409, body: { error: { code: 'ledger_not_sealed' } } });
  expect(refused.headers.get('retry-after')).toBe('60');
});

test('savings, and a statement that its reader can check', async () => {
  const savings = await owner.get(`/api/savings?from=${month}-01&include_synthetic=false`);
  expect(savings.body).toMatchObject({ figures: { version: 1, total: { entries: 0 } } });
  expect((await owner.get('/api/savings?from=2020-01-01')).status).toBe(400);
  expect((await owner.get('/api/savings?from=x')).status).toBe(400);
  const made = await owner.post('/api/statements', { month });
  expect(made.status).toBe(201);
  const { id } = made.body as { id: string };
  const read = await owner.get(`/api/statements/${id}`);
  expect(read.body).toEqual(made.body);
  const { text, signature, public_key: key } = read.body as Record<string, string>;
  expect(isGenuineStatement(key!, text!, signature!)).toBe(true);
  expect((await owner.post('/api/statements', { month })).status).toBe(429);
  expect((await owner.post('/api/statements', { month: '2099-01' })).status).toBe(409);
  expect((await owner.get('/api/statements')).body).toMatchObject({ data: [{ id, month }] });
});

test('a report counts calls of the sandbox where that is asked for, and nothing else is taken', async () => {
  const made = await owner.post('/api/reports', { include_synthetic: true });
  expect(made).toMatchObject({ status: 201, body: { figures: { synthetic_included: true } } });
  for (const wrong of [{ include_synthetic: 'true' }, { include_synthetics: true }]) {
    const refused = await owner.post('/api/reports', wrong);
    expect(refused).toMatchObject({ status: 400, body: { error: { code: 'invalid_request' } } });
  }
});

test('a day that there is not is refused in words, and a time without a zone is UTC', async () => {
  expect((await owner.get('/api/savings?from=2026-02-30')).status).toBe(400);
  expect((await owner.get('/api/invoices/check?provider=openai&from=2026-02-30')).status).toBe(400);
  const { body } = await owner.get(`/api/savings?from=${month}-01T01:30&to=${month}-02`);
  expect(body).toMatchObject({ period: { from: `${month}-01T01:30:00.000Z` } });
});

test('requests and the trail come as files', async () => {
  const period = `from=${month}-01&to=${month}-28`;
  const requests = await owner.get(`/api/exports/requests.csv?${period}`);
  expect(requests.status).toBe(200);
  expect(requests.headers.get('content-type')).toContain('text/csv');
  expect(requests.headers.get('content-disposition')).toContain('shunt-requests.csv');
  expect(requests.text.split('\n')).toHaveLength(3);
  expect(requests.text).toContain("'=1+1");
  const all = `from=2020-01-01&to=2020-02-01`;
  expect((await owner.get(`/api/exports/audit.csv?${all}`)).text).toMatch(/^seq,at,/);
  expect((await owner.get('/api/exports/audit.csv')).status).toBe(400);
});

test('the ledger comes as one file, its last line over all of it', async () => {
  const ledger = await owner.post('/api/exports/ledger.csv', {});
  expect(ledger.status).toBe(200);
  expect(ledger.headers.get('content-disposition')).toContain('shunt-ledger.csv');
  expect(ledger.text).toMatch(/^row,org_id,/);
  expect(ledger.text.trimEnd().split('\n').at(-1)).toMatch(/^end,/);
});
