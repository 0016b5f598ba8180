import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPERATOR } from '../../integration/observation/funnel-rig.js';
import {
  firstOwner,
  signIn,
  type DashboardAnswer,
  type DashboardClient,
} from '../../support/dashboard-client.js';
import { embeddedLogins } from '../../support/embedded-logins.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';

let gateway: TestGateway;
let owner: DashboardClient;
let orgId: string;
beforeAll(async () => {
  gateway = await startGateway();
  ({ orgId } = firstOwner(gateway));
  owner = await signIn(gateway, firstOwner(gateway));
});
afterAll(() => gateway?.stop());

async function chat(): Promise<Response> {
  return fetch(`${gateway.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${gateway.projectKey}`,
      'content-type': 'application/json',
    },
    body: '{"model":"gpt-5.4","messages":[{"role":"user","content":"hello"}]}',
  });
}

/** As if it had happened so much earlier: there is one report on demand a minute, and one is fresh for a week. */
async function age(interval: string): Promise<void> {
  const { superuserUrl } = embeddedLogins(gateway.dataDir);
  await withConnection({ url: superuserUrl, statementTimeoutMs: 10_000 }, async (q) => {
    await q.query(`SET session_replication_role = replica`);
    await q.query(
      `UPDATE reports SET created_at = created_at - $1::interval,
                          period_from = period_from - $1::interval, period_to = period_to - $1::interval`,
      [interval],
    );
    await q.query(`SET session_replication_role = origin`);
  });
}

async function newReport(): Promise<string> {
  await age('2 minutes');
  const made = await owner.post('/api/reports');
  expect(made.status).toBe(201);
  return made.body.id as string;
}

const activate = (reportId?: string): Promise<DashboardAnswer> =>
  owner.post('/api/activation', { confirm: true, report_id: reportId });
const codeOf = ({ status, body }: DashboardAnswer): string => `${status} ${body.error?.code}`;

test('a report tells what calls cost, exactly, and leaves the sandbox out of its sums', async () => {
  expect((await chat()).status).toBe(200);
  await gateway.records();
  const made = await owner.post('/api/reports');
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({
    kind: 'on_demand',
    figures: {
      version: 2,
      calls: 0,
      spend_nano_usd: '0',
      excluded: { synthetic_calls: 1, refused_calls: 0 },
    },
  });
  const again = await owner.post('/api/reports');
  expect(codeOf(again)).toBe('429 report_too_soon');
  expect(Number(again.headers.get('retry-after'))).toBeGreaterThan(0);
  const listed = await owner.get('/api/reports');
  expect(listed.body.data.map(({ id }: { id: string }) => id)).toEqual([made.body.id]);
  expect((await owner.get(`/api/reports/${made.body.id}`)).body).toEqual(made.body);
  expect(codeOf(await owner.get('/api/reports/none'))).toBe('404 unknown_report');
});

test('before the first call was seen there is no window', async () => {
  const { status, body } = await owner.get('/api/observation');
  expect(status).toBe(200);
  expect(body).toEqual({ started_at: null, ends_at: null, steps: [], next: null });
});

test('routing is enabled by nothing but a confirmation of a report that was reviewed', async () => {
  const report = await newReport();
  for (const confirm of [undefined, false, 'true', 1, null]) {
    const asked = await owner.post('/api/activation', { confirm, report_id: report });
    expect(codeOf(asked)).toBe('400 confirmation_required');
  }
  expect(codeOf(await owner.post('/api/activation'))).toMatch(/^400 /);
  expect(codeOf(await activate(undefined))).toBe('400 invalid_request');
  expect(codeOf(await activate('00000000-0000-4000-8000-000000000000'))).toBe('404 unknown_report');
  expect(codeOf(await activate('none'))).toBe('404 unknown_report');
  expect((await chat()).headers.get('x-shunt-mode')).toBe('observing');
});

test('a report that is not the newest, or older than a week, is stale, and changes nothing', async () => {
  const first = await newReport();
  const second = await newReport();
  expect(codeOf(await activate(first))).toBe('409 report_stale');
  await age('8 days');
  const stale = await activate(second);
  expect(codeOf(stale)).toBe('409 report_stale');
  expect(stale.body.error.message).toContain('POST /api/reports');
  const { body } = await owner.get('/api/audit');
  expect(JSON.stringify(body)).not.toContain('subscription.activate');
});

test('an owner enables routing, ends it in one call, and needs a new report to enable it again', async () => {
  const report = await newReport();
  const active = await activate(report);
  expect({ status: active.status, body: active.body }).toEqual({
    status: 200,
    body: { status: 'active', hold: false },
  });
  expect(codeOf(await activate(report))).toBe('409 not_in_this_status');
  const back = await owner.delete('/api/activation');
  expect(back.body).toEqual({ status: 'observing', hold: false });
  expect(codeOf(await owner.delete('/api/activation'))).toBe('409 not_in_this_status');
  expect(codeOf(await activate(report))).toBe('409 report_stale');
  expect((await activate(await newReport())).status).toBe(200);
  const trail = await gateway.app.engine.services.auditTrail.list(orgId);
  const entry = trail.find(({ action }) => action === 'subscription.activate');
  expect(entry).toMatchObject({ actorKind: 'member', newValue: 'active' });
  expect(entry?.details).toContain('report_id');
});

test("an operator's hold is told before anything else, and a report made before the kill is stale after it", async () => {
  const { subscriptions } = gateway.app.engine.services;
  const before = await newReport();
  await subscriptions.apply(orgId, { event: 'kill', actor: OPERATOR, reason: 'test' });
  expect(codeOf(await activate(before))).toBe('409 operator_hold');
  await subscriptions.apply(orgId, { event: 'release_hold', actor: OPERATOR, reason: 'test' });
  expect(codeOf(await activate(before))).toBe('409 report_stale');
  expect((await activate(await newReport())).body).toEqual({ status: 'active', hold: false });
});

test('an owner cancels, goes on passing through, and may come back', async () => {
  const canceled = await owner.post('/api/subscription/cancel');
  expect(canceled.body).toEqual({ status: 'canceled', hold: false });
  expect((await chat()).status).toBe(200);
  expect(codeOf(await owner.post('/api/subscription/cancel'))).toBe('409 not_in_this_status');
  expect((await activate(await newReport())).body.status).toBe('active');
});

test('where billing is on, routing needs a payment', async () => {
  const billed = await startGateway({
    env: { PADDLE_API_KEY: 'pdl_test', PADDLE_WEBHOOK_SECRET: 'pdl_ntfset_test' },
  });
  try {
    const payer = await signIn(billed, firstOwner(billed));
    const made = await payer.post('/api/reports');
    const refused = await payer.post('/api/activation', { confirm: true, report_id: made.body.id });
    expect(codeOf(refused)).toBe('402 payment_required');
  } finally {
    await billed.stop();
  }
});
