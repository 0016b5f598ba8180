import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { SecretBox as Box } from '../../../src/platform/crypto/secret-box.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import { signInOperator, type AdminClient } from '../../support/admin-client.js';
import {
  json,
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { addOrganization, type Tenant } from '../../support/tenants.js';
import { until } from '../reliability/until.js';

const OWNER: Actor = { kind: 'member', id: 'owner', role: 'owner' };
const PROPAGATION_MS_MAX = 10_000;

let gateway: TestGateway;
let upstream: CapturingUpstream;
let box: Box;
let operator: AdminClient;
let org: Tenant;
let names = 0;
beforeAll(async () => {
  upstream = await startCapturingUpstream();
  upstream.answerWith((res) =>
    json(res, { model: 'gpt-5.4', choices: [], usage: { prompt_tokens: 5, completion_tokens: 3 } }),
  );
  gateway = await startGateway({ env: { OPENAI_BASE_URL: `${upstream.origin}/v1` } });
  box = new SecretBox(gateway.app.engine.config.encryptionKeys);
  operator = await signInOperator(gateway);
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});
beforeEach(async () => {
  names += 1;
  org = await addOrganization(gateway.app.engine.database, box, `Company ${names}`, {
    openai: 'sk-test-000000000000000000',
  });
});

interface Act {
  readonly changed: boolean;
  readonly status: string;
  readonly hold: boolean;
  readonly audit_seq: number;
  readonly at: string;
}

interface Entry {
  readonly seq: number;
  readonly action: string;
  readonly actor: { readonly kind: string; readonly name: string };
  readonly old_value: string | null;
  readonly new_value: string | null;
  readonly reason: string | null;
}

const act = (name: string, body: unknown = { reason: 'a test' }) =>
  operator.call<Act>('POST', `/organizations/${org.orgId}/${name}`, body);
const activate = () =>
  gateway.app.engine.services.subscriptions.apply(org.orgId, { event: 'activate', actor: OWNER });
const trail = async (): Promise<Entry[]> =>
  (await operator.call<{ data: Entry[] }>('GET', `/organizations/${org.orgId}/audit`)).body.data;

async function chat(): Promise<{ status: number; code: unknown }> {
  const client = new OpenAI({
    apiKey: org.apiKey,
    baseURL: `${gateway.origin}/v1`,
    maxRetries: 0,
  });
  try {
    await client.chat.completions.create({ model: 'gpt-5.4', messages: [] });
    return { status: 200, code: null };
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return { status: Number(error.status), code: error.code };
  }
}

test('the kill switch stops routing and sets the hold; nobody activates until it is released', async () => {
  expect((await activate()).kind).toBe('changed');
  const killed = await act('kill', { reason: 'wrong answers reported' });
  expect(killed.status).toBe(200);
  expect(killed.body).toMatchObject({ changed: true, status: 'observing', hold: true });
  expect(await activate()).toMatchObject({ kind: 'refused', code: 'operator_hold' });
  const again = await act('kill');
  expect(again).toMatchObject({
    status: 200,
    body: { changed: false, status: 'observing', hold: true },
  });
  expect(again.body.audit_seq).toBe(killed.body.audit_seq);
  expect(again.body.at).toBe(killed.body.at);
  const [entry] = await trail();
  expect(entry).toMatchObject({
    seq: killed.body.audit_seq,
    action: 'subscription.kill',
    actor: { kind: 'operator', name: 'operator' },
    old_value: 'active',
    new_value: 'observing',
    reason: 'wrong answers reported',
  });
  expect(await act('release-hold', {})).toMatchObject({
    status: 200,
    body: { changed: true, hold: false },
  });
  expect((await trail())[0]).toMatchObject({ action: 'subscription.release_hold' });
  expect((await activate()).kind).toBe('changed');
});

test("a suspension blocks calls in the SDK's own envelope, and a reinstatement lets them pass again", async () => {
  expect(await chat()).toEqual({ status: 200, code: null });
  expect(await act('suspend', { reason: 'abuse' })).toMatchObject({
    status: 200,
    body: { changed: true, status: 'suspended' },
  });
  await until('calls are blocked', PROPAGATION_MS_MAX, async () => (await chat()).status === 403);
  expect((await chat()).code).toBe('organization_suspended');
  expect(await act('suspend')).toMatchObject({
    status: 409,
    body: { error: { code: 'not_in_this_status', status: 'suspended' } },
  });
  expect(await act('reinstate')).toMatchObject({ status: 200, body: { status: 'observing' } });
  await until('calls pass', PROPAGATION_MS_MAX, async () => (await chat()).status === 200);
  expect(await act('reinstate')).toMatchObject({
    status: 409,
    body: { error: { status: 'observing' } },
  });
  expect((await trail()).slice(0, 2)).toMatchObject([
    { action: 'subscription.reinstate', old_value: 'suspended', new_value: 'observing' },
    {
      action: 'subscription.suspend',
      old_value: 'observing',
      new_value: 'suspended',
      reason: 'abuse',
    },
  ]);
});

test('limits are set, lifted and audited with what they were', async () => {
  const path = `/organizations/${org.orgId}/limits`;
  expect((await operator.call('PATCH', path, { requests_per_minute: 1 })).status).toBe(200);
  await until('the limit holds', PROPAGATION_MS_MAX, async () => (await chat()).status === 429);
  expect((await operator.call('PATCH', path, { requests_per_minute: null })).status).toBe(200);
  expect((await trail()).slice(0, 2)).toMatchObject([
    {
      action: 'organization.limits_changed',
      old_value: '1',
      new_value: null,
      actor: { name: 'operator' },
    },
    { action: 'organization.limits_changed', old_value: null, new_value: '1' },
  ]);
  for (const wrong of [0, -1, 1.5, '5', undefined]) {
    const answer = await operator.call('PATCH', path, { requests_per_minute: wrong });
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_request' } } });
  }
});

test('an act needs a reason of 1 to 1000 characters, and nothing else', async () => {
  const wrong = [{}, { reason: '' }, { reason: ' ' }, { reason: 'x'.repeat(1_001) }, { reason: 1 }];
  for (const body of [...wrong, { reason: 'x', event: 'activate' }]) {
    for (const name of ['kill', 'suspend', 'reinstate']) {
      expect([name, body, (await act(name, body)).status]).toEqual([name, body, 400]);
    }
  }
  expect((await trail()).filter(({ action }) => action.startsWith('subscription.'))).toEqual([]);
});

test('what is no organization is answered as such, whatever is asked of it', async () => {
  for (const id of ['00000000-0000-4000-8000-000000000000', 'x', "' OR true --"]) {
    const path = `/organizations/${encodeURIComponent(id)}`;
    const answers = await Promise.all([
      operator.call('GET', `${path}/audit`),
      operator.call('POST', `${path}/kill`, { reason: 'x' }),
      operator.call('PATCH', `${path}/limits`, { requests_per_minute: 5 }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
  }
});

test('organizations are listed, searched by name and id, filtered by status, and paged without gaps', async () => {
  interface Page {
    readonly data: { readonly id: string; readonly name: string }[];
    readonly has_more: boolean;
  }
  const list = async (query: string) =>
    (await operator.call<Page>('GET', `/organizations?${query}`)).body;
  await act('suspend');
  const found = await list(`search=${encodeURIComponent(`COMPANY ${names}`)}`);
  expect(found.data.map(({ id }) => id)).toContain(org.orgId);
  expect((await list(`search=${org.orgId}`)).data).toHaveLength(1);
  expect((await list('search=100%25_')).data).toEqual([]);
  const suspended = await list('status=suspended');
  expect(suspended.data.map(({ id }) => id)).toEqual([org.orgId]);
  const all = (await list('limit=200')).data.map(({ id }) => id);
  const paged: string[] = [];
  for (let after = ''; ;) {
    const page = await list(`limit=2${after === '' ? '' : `&after=${after}`}`);
    paged.push(...page.data.map(({ id }) => id));
    if (!page.has_more) break;
    after = page.data.at(-1)!.id;
  }
  expect(paged).toEqual(all);
  expect((await operator.call('GET', '/organizations?status=nothing')).status).toBe(400);
});

test('an operator sees status, limits and traffic of the last hours, and nobody’s prompts, keys or addresses', async () => {
  await chat();
  await chat();
  await gateway.app.engine.recorder.flush(20_000);
  const { body, status } = await operator.call<Record<string, unknown>>(
    'GET',
    `/organizations/${org.orgId}`,
  );
  expect(status).toBe(200);
  expect(body).toMatchObject({
    id: org.orgId,
    status: 'observing',
    hold: false,
    limits: { requests_per_minute: 6_000, is_default: true },
  });
  const traffic = body['traffic'] as { calls: number; errors: number; cost_nano_usd: string }[];
  expect(traffic.reduce((sum, { calls }) => sum + calls, 0)).toBe(2);
  expect(traffic.every(({ cost_nano_usd: cost }) => /^\d+$/.test(cost))).toBe(true);
  expect(JSON.stringify(body)).not.toMatch(/sk-test|@|shunt_[a-z]+_key/);
});

test('the global switch is one call, audited under the name', async () => {
  expect((await operator.call('GET', '/routing')).body).toMatchObject({ enabled: true });
  const body = { enabled: false, reason: 'an incident' };
  const off = await operator.call('PUT', '/routing', body);
  expect(off).toMatchObject({
    status: 200,
    body: { changed: true, enabled: false, by: 'operator' },
  });
  expect((await operator.call('PUT', '/routing', body)).body).toEqual({
    ...off.body,
    changed: false,
  });
  expect((await operator.call('PUT', '/routing', { enabled: true })).status).toBe(400);
  await operator.call('PUT', '/routing', { enabled: true, reason: 'over' });
  const { body: audit } = await operator.call<{ data: Entry[] }>('GET', '/audit');
  expect(audit.data.slice(0, 2)).toMatchObject([
    { action: 'routing.switch', old_value: 'off', new_value: 'on', actor: { name: 'operator' } },
    { action: 'routing.switch', old_value: 'on', new_value: 'off', reason: 'an incident' },
  ]);
});

test('an observation window is moved and audited; one that never started, or a time that has passed, is refused', async () => {
  const path = `/organizations/${org.orgId}/observation`;
  const ask = (endsAt: string) =>
    operator.call('PATCH', path, { ends_at: endsAt, reason: 'they asked for more time' });
  const later = new Date(Date.now() + 20 * 86_400_000).toISOString();
  expect(await ask(later)).toMatchObject({
    status: 409,
    body: { error: { code: 'observation_not_started' } },
  });
  expect((await ask('tomorrow')).status).toBe(400);
  const { database } = gateway.app.engine;
  const now = Date.now();
  await database.tenant(org.orgId, (q) =>
    q.query(
      'INSERT INTO observations (org_id, started_at, ends_at, next_due_at) VALUES ($1, $2, $3, $3)',
      [org.orgId, new Date(now), new Date(now + 14 * 86_400_000)],
    ),
  );
  expect(await ask(later)).toMatchObject({ status: 200, body: { ends_at: later } });
  expect(await ask(new Date(Date.now() - 1_000).toISOString())).toMatchObject({
    status: 409,
    body: { error: { code: 'ends_in_the_past' } },
  });
  expect((await trail())[0]).toMatchObject({
    action: 'observation.extended',
    actor: { name: 'operator' },
    new_value: later,
    reason: 'they asked for more time',
  });
  const { body } = await operator.call('GET', `/organizations/${org.orgId}`);
  expect(body).toMatchObject({ observation: { ends_at: later }, payment: { billing: 'off' } });
});

test('what became of outgoing mail is shown without addresses', async () => {
  await act('kill');
  interface Mail {
    readonly id: string;
    readonly kind: string;
    readonly state: string;
    readonly created_at: string;
  }
  const path = `/mail?organization_id=${org.orgId}`;
  const { body, status } = await operator.call<{ data: Mail[] }>('GET', path);
  expect(status).toBe(200);
  const [mail] = body.data;
  expect(mail).toMatchObject({ kind: 'status_changed', state: 'undeliverable' });
  expect(JSON.stringify(body)).not.toContain('@');
  const next = `${path}&before_id=${mail!.id}&before_created_at=${mail!.created_at}`;
  expect((await operator.call<{ data: Mail[] }>('GET', next)).body.data).toEqual([]);
  expect((await operator.call('GET', `${path}&before_id=${mail!.id}`)).status).toBe(400);
});
