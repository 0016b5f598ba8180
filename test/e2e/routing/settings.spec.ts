import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROUTE_RULES_MAX } from '../../../src/modules/routing/route-rule.service.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { firstOwner, signIn, type DashboardClient } from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { startTestSandbox } from '../../support/sandbox.js';
import { until } from '../reliability/until.js';
import { saidIn, type Said } from './routing-rig.js';

const SECOND_MS = 1_000;
const LUNA = { provider: 'openai', model: 'gpt-6-luna' };

let sandbox: Sandbox;
let gateway: TestGateway;
let owner: DashboardClient;
let orgId: string;
let projectId: string;

beforeAll(async () => {
  sandbox = await startTestSandbox();
  gateway = await startGateway({
    env: { OPENAI_BASE_URL: sandbox.baseUrls.openai, OPENAI_API_KEY: 'sk-openai' },
  });
  ({ orgId } = firstOwner(gateway));
  owner = await signIn(gateway, firstOwner(gateway));
  const projects = await owner.get('/api/projects');
  projectId = projects.body.data[0].id as string;
});
afterAll(async () => {
  await gateway?.stop();
  await sandbox?.close();
});

let sessions = 0;

async function chat(): Promise<Said> {
  sessions += 1;
  const client = new OpenAI({
    apiKey: gateway.projectKey,
    baseURL: `${gateway.origin}/v1`,
    maxRetries: 0,
    defaultHeaders: { 'x-shunt-session-id': `settings-${sessions}` },
  });
  const { response } = await client.chat.completions
    .create({ model: 'gpt-6-sol', messages: [{ role: 'user', content: 'Is it?' }] })
    .withResponse();
  return saidIn(response.headers);
}

/** Within a second of the answer to the change. */
const becomes = (decision: string): Promise<number> =>
  until(decision, SECOND_MS, async () => (await chat()).decision === decision);

async function trail(action: string): Promise<Record<string, unknown>[]> {
  return gateway.app.engine.database.tenant(orgId, (q) =>
    q.query('SELECT subject, details FROM audit_log WHERE action = $1 ORDER BY seq', [action]),
  );
}

test('an owner activates, sets a rule, tunes it and takes it back; calls follow within a second', async () => {
  expect((await chat()).decision).toBe('passthrough');
  await gateway.records();
  const report = await owner.post('/api/reports');
  const activated = await owner.post('/api/activation', {
    confirm: true,
    report_id: report.body.id as string,
  });
  expect(activated.status).toBeLessThan(300);
  // Two of a hundred sessions would be left alone for comparison.
  const share = await owner.patch('/api/organization', { control_share_bp: 0 });
  expect(share.body).toMatchObject({ control_share_bp: 0 });
  await becomes('abstain');

  const rule = { project_id: projectId, route_class: '*', targets: [LUNA] };
  const set = await owner.post('/api/route-rules', rule);
  expect(set.status).toBe(201);
  expect(set.body).toMatchObject({ ...rule, created_by: expect.stringMatching(/^member /) });
  await becomes('classifier');
  expect(await chat()).toMatchObject({ requested: 'gpt-6-sol', served: 'gpt-6-luna' });

  await owner.patch(`/api/projects/${projectId}`, { routing_opt_out: true });
  await becomes('passthrough');
  await owner.patch(`/api/projects/${projectId}`, { routing_opt_out: false });
  await becomes('classifier');

  const terra = { ...rule, targets: [{ provider: 'openai', model: 'gpt-6.1-terra' }] };
  const second = await owner.post('/api/route-rules', terra);
  const list = await owner.get('/api/route-rules');
  expect(list.body.data).toEqual([second.body]);
  await until('the new rule', SECOND_MS, async () => (await chat()).served === 'gpt-6.1-terra');

  expect((await owner.delete(`/api/route-rules/${set.body.id}`)).status).toBe(404);
  expect((await owner.delete(`/api/route-rules/${second.body.id}`)).status).toBe(200);
  await becomes('abstain');

  const sets = await trail('route_rule.set');
  expect(sets).toMatchObject([
    { subject: set.body.id, details: { targets: ['openai/gpt-6-luna'], replaced: null } },
    { subject: second.body.id, details: { replaced: set.body.id } },
  ]);
  expect(await trail('route_rule.revoked')).toMatchObject([{ subject: second.body.id }]);
  const changed = await trail('organization.changed');
  expect(changed.at(-1)).toMatchObject({
    details: { changes: { control_share_bp: { old: 200, new: 0 } } },
  });
});

test('settings of a project are read back as they were set', async () => {
  const settings = {
    cross_provider_opt_in: ['groq'],
    fallback_models: [LUNA, { provider: 'groq', model: 'openai/gpt-oss-20b' }],
    routing_opt_out: false,
  };
  const changed = await owner.patch(`/api/projects/${projectId}`, settings);
  expect(changed.body).toMatchObject(settings);
  const read = await owner.get(`/api/projects/${projectId}`);
  expect(read.body).toMatchObject(settings);
  const found = await gateway.app.engine.principals.find(gateway.projectKey);
  if (found.kind !== 'known') throw new Error(found.kind);
  await until('the key knows', SECOND_MS, async () => {
    const now = await gateway.app.engine.principals.find(gateway.projectKey);
    return now.kind === 'known' && now.principal.routing.fallbackModels.length === 2;
  });
});

test.each<[string, string, object]>([
  ['PATCH', '/api/organization', { control_share_bp: 5_001 }],
  ['PATCH', '/api/organization', { control_share_bp: -1 }],
  ['PATCH', '/api/organization', { control_share_bp: 1.5 }],
  ['PATCH', '/api/projects/:id', { cross_provider_opt_in: ['elsewhere'] }],
  ['PATCH', '/api/projects/:id', { fallback_models: [{ provider: 'openai', model: 'a b' }] }],
  ['PATCH', '/api/projects/:id', { fallback_models: Array.from({ length: 9 }, () => LUNA) }],
  ['POST', '/api/route-rules', { project_id: ':id', route_class: '*', targets: [] }],
  ['POST', '/api/route-rules', { project_id: ':id', route_class: 'any', targets: [LUNA] }],
  ['POST', '/api/route-rules', { project_id: ':id', route_class: '*', targets: [LUNA], more: 1 }],
])('%s %s with %j is refused', async (method, path, body) => {
  const text = JSON.stringify(body).replace(':id', projectId);
  const given = JSON.parse(text) as object;
  const answer = await owner.ask(method, path.replace(':id', projectId), given);
  expect([answer.status, answer.body.error.code]).toEqual([400, 'invalid_request']);
});

test('an organization has a bounded number of rules', async () => {
  await gateway.app.engine.database.tenant(orgId, (q) =>
    q.query(
      `INSERT INTO route_rules (org_id, id, project_id, route_class, targets, created_by, created_at)
       SELECT $1, gen_random_uuid(), $2, lpad(n::text, 22, '0'), $3, 'test', now()
         FROM generate_series(1, $4::int) n`,
      [orgId, projectId, JSON.stringify([LUNA]), ROUTE_RULES_MAX],
    ),
  );
  const rule = { project_id: projectId, targets: [LUNA] };
  const more = await owner.post('/api/route-rules', { ...rule, route_class: 'x'.repeat(22) });
  expect([more.status, more.body.error.code]).toEqual([409, 'too_many_route_rules']);
  const replacing = { ...rule, route_class: '1'.padStart(22, '0') };
  expect((await owner.post('/api/route-rules', replacing)).status).toBe(201);
});
