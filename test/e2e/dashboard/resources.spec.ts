import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MEMBER_ROLES, PERMISSIONS } from '../../../src/domain/policy/permissions.js';
import { firstOwner, signIn, type DashboardClient } from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';

let gateway: TestGateway;
let owner: DashboardClient;
let projectId: string;
beforeAll(async () => {
  gateway = await startGateway();
  owner = await signIn(gateway, firstOwner(gateway));
  projectId = (await owner.get('/api/projects')).body.data[0].id;
});
afterAll(() => gateway?.stop());

/** A chat call through the gateway, answered by the sandbox. */
async function call(key: string, model = 'gpt-5.4-nano'): Promise<Response> {
  const answer = await fetch(`${gateway.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello.' }] }),
  });
  await answer.arrayBuffer();
  return answer;
}

/** Every replica applies a change of policy within a second. */
const within1s = { timeout: 1_000, interval: 10 };

describe('project keys', () => {
  test('are created, used, replaced and refused; the token is in one answer alone', async () => {
    const made = await owner.post('/api/keys', { project_id: projectId, name: ' Production ' });
    expect(made.status).toBe(201);
    expect(made.headers.get('cache-control')).toBe('no-store');
    expect(made.body).toMatchObject({
      project_id: projectId,
      name: 'Production',
      revoked_at: null,
    });
    const { id, token } = made.body as { id: string; token: string };
    expect((await call(token)).status).toBe(200);

    const rotated = await owner.post(`/api/keys/${id}/rotate`, { overlap_hours: 2 });
    expect(rotated.status).toBe(201);
    expect(rotated.headers.get('cache-control')).toBe('no-store');
    expect(rotated.body).toMatchObject({ rotated_from: id, name: 'Production' });
    expect((await call(token)).status).toBe(200);
    expect((await call(rotated.body.token)).status).toBe(200);

    const listed = await owner.get(`/api/keys?project_id=${projectId}`);
    const ids = listed.body.data.map((key: { id: string }) => key.id);
    expect(ids).toEqual(expect.arrayContaining([id, rotated.body.id]));
    const ends = listed.body.data.find((key: { id: string }) => key.id === id).expires_at;
    expect(Date.parse(ends) - Date.now()).toBeGreaterThan(3_600_000);
    for (const secret of [token, rotated.body.token]) expect(listed.text).not.toContain(secret);

    expect((await owner.delete(`/api/keys/${rotated.body.id}`)).status).toBe(204);
    await expect.poll(async () => (await call(rotated.body.token)).status, within1s).toBe(401);
    const again = await owner.delete(`/api/keys/${rotated.body.id}`);
    expect([again.status, again.body.error.code]).toEqual([404, 'unknown_key']);
    expect(gateway.logs()).not.toContain(token);
  });

  test.each([
    [{ name: 'x' }, 400, 'project_id'],
    [{ project_id: 'PROJECT', name: '  ' }, 400, 'name: needs a character'],
    [{ project_id: 'PROJECT', name: 'x'.repeat(201) }, 400, 'name: takes up to 200'],
    [{ project_id: 'PROJECT', name: 'a\u0000b' }, 400, 'name: takes no control'],
    [{ project_id: 'PROJECT', name: 'x', token: 'mine' }, 400, 'token'],
    [{ project_id: 'not-an-id', name: 'x' }, 404, 'no such project'],
    ['text', 400, ''],
  ])('are not made from %j', async (body, status, message) => {
    const given = JSON.parse(JSON.stringify(body).replace('PROJECT', projectId)) as unknown;
    const answer = await owner.post('/api/keys', given);
    expect(answer.status, answer.text).toBe(status);
    expect(answer.body.error.message).toContain(message);
  });

  test.each([-1, 1.5, 2_161, '24', null])('do not overlap for %j hours', async (hours) => {
    const keys = await owner.get('/api/keys');
    const path = `/api/keys/${keys.body.data[0].id}/rotate`;
    const answer = await owner.post(path, { overlap_hours: hours });
    expect(answer.status).toBe(400);
    expect(answer.body.error).toEqual({
      code: 'invalid_request',
      message: 'overlap_hours: takes whole hours from 0 to 2160',
    });
  });

  test('are listed by a project of the organization alone', async () => {
    for (const wrong of ['x', '0190c0de-0000-7000-8000-000000000001']) {
      const answer = await owner.get(`/api/keys?project_id=${wrong}`);
      expect([answer.status, answer.body.error.code]).toEqual([404, 'unknown_project']);
    }
    expect((await owner.get('/api/keys?projectid=x')).status).toBe(400);
  });
});

describe('projects', () => {
  test('are made with what they may use, and changed; the gateway applies it', async () => {
    const made = await owner.post('/api/projects', {
      name: 'Limited',
      allowed_models: ['gpt-5.4-n*'],
    });
    expect(made.status).toBe(201);
    const { id } = made.body as { id: string };
    expect(made.body).toEqual({
      id,
      cross_provider_opt_in: [],
      fallback_models: [],
      routing_opt_out: false,
      name: 'Limited',
      disabled: false,
      strict: false,
      default_model: null,
      body_limit_bytes: null,
      allowed_providers: null,
      allowed_models: ['gpt-5.4-n*'],
      allowed_paths: [],
      created_at: expect.any(String) as string,
    });
    const { body: key } = await owner.post('/api/keys', { project_id: id, name: 'k' });
    expect((await call(key.token, 'gpt-5.4-mini')).status).toBe(403);
    expect((await call(key.token)).status).toBe(200);

    const changed = await owner.patch(`/api/projects/${id}`, { disabled: true, strict: true });
    expect(changed.body).toMatchObject({ disabled: true, strict: true, name: 'Limited' });
    await expect.poll(async () => (await call(key.token)).status, within1s).toBe(403);
    expect((await owner.get(`/api/projects/${id}`)).body).toEqual(changed.body);

    await owner.patch(`/api/projects/${id}`, { disabled: false, allowed_models: null });
    await expect
      .poll(async () => (await call(key.token, 'gpt-5.4-mini')).status, within1s)
      .toBe(200);
  });

  test('have a name of their own', async () => {
    expect((await owner.post('/api/projects', { name: 'Twice' })).status).toBe(201);
    const answer = await owner.post('/api/projects', { name: 'Twice' });
    expect([answer.status, answer.body.error.code]).toEqual([409, 'name_taken']);
  });

  test.each([
    [{ disabled: 'yes' }, 'disabled: takes true or false'],
    [{ body_limit_bytes: 0 }, 'body_limit_bytes: takes a whole number'],
    [{ body_limit_bytes: 2 ** 40 }, 'body_limit_bytes: takes up to'],
    [{ allowed_providers: ['acme'] }, 'allowed_providers.0: takes openai, anthropic'],
    [{ allowed_models: ['a model'] }, 'allowed_models.0: takes names of models'],
    [{ allowed_models: Array(501).fill('m') }, 'allowed_models: takes up to 500'],
    [{ allowed_paths: ['/files'] }, 'allowed_paths.0: takes paths such as openai:/files*'],
    [{ default_model: '' }, 'default_model: takes names of models'],
    [{ org_id: 'x' }, 'org_id'],
    [{ status: 'active' }, 'status'],
  ])('are not changed to %j', async (changes, message) => {
    const before = await owner.get(`/api/projects/${projectId}`);
    const answer = await owner.patch(`/api/projects/${projectId}`, changes);
    expect(answer.status).toBe(400);
    expect(answer.body.error.code).toBe('invalid_request');
    expect(answer.body.error.message).toContain(message);
    expect((await owner.get(`/api/projects/${projectId}`)).body).toEqual(before.body);
  });
});

describe('the organization', () => {
  test('shows its status and limits, and takes a name, a retention class and lists', async () => {
    const { body } = await owner.get('/api/organization');
    expect(body).toMatchObject({
      id: firstOwner(gateway).orgId,
      status: 'observing',
      hold: false,
      retention_class: 'd90',
      requests_per_minute: null,
      allowed_providers: null,
      allowed_models: null,
      role: 'owner',
    });
    const changes = { name: 'Renamed', retention_class: 'd400', allowed_providers: ['groq'] };
    const changed = await owner.patch('/api/organization', changes);
    expect(changed.status).toBe(200);
    expect(changed.body).toEqual({ ...body, ...changes });
    await expect.poll(async () => (await call(gateway.projectKey)).status, within1s).toBe(403);
    await owner.patch('/api/organization', { allowed_providers: null });
    await expect.poll(async () => (await call(gateway.projectKey)).status, within1s).toBe(200);
  });

  test.each([
    { requests_per_minute: 1_000_000 },
    { status: 'active' },
    { hold: false },
    { retention_class: 'forever' },
    { is_first: true },
  ])('does not let its owner set %j', async (changes) => {
    const before = await owner.get('/api/organization');
    expect((await owner.patch('/api/organization', changes)).status).toBe(400);
    expect((await owner.get('/api/organization')).body).toEqual(before.body);
  });

  test('has every change in its trail, under the member’s id', async () => {
    const { body: session } = await owner.session();
    const { body } = await owner.get('/api/audit?limit=500');
    const mine = body.data.filter((entry: { actor: string }) => entry.actor === session.user.id);
    const actions = new Set(mine.map((entry: { action: string }) => entry.action));
    for (const action of [
      'api_key.created',
      'api_key.rotated',
      'api_key.revoked',
      'project.created',
      'project.changed',
      'organization.changed',
    ]) {
      expect(actions).toContain(action);
    }
    expect(JSON.stringify(body)).not.toMatch(/Renamed|Limited|Production|owner@example/);
  });
});

describe('provider keys', () => {
  const SECRET = 'sk-proj-IN-AND-NEVER-OUT-1234';

  test('go in and never come out: answers show a preview', async () => {
    const set = await owner.put('/api/provider-keys/openai', { key: ` ${SECRET}\n` });
    expect(set.status).toBe(200);
    expect(set.body).toMatchObject({ provider: 'openai', preview: 'sk-...1234' });
    const answers = [set, await owner.get('/api/provider-keys'), await owner.get('/api/audit')];
    answers.push(await owner.get('/api/provider-keys/openai'));
    expect(answers[1]?.body.data).toEqual([set.body]);
    expect(answers[3]?.body).toEqual(set.body);
    for (const answer of answers) expect(answer.text).not.toContain('NEVER-OUT');
    expect((await owner.delete('/api/provider-keys/openai')).status).toBe(204);
    const gone = await owner.get('/api/provider-keys/openai');
    expect([gone.status, gone.body.error.code]).toEqual([404, 'unknown_provider_key']);
    expect((await owner.delete('/api/provider-keys/openai')).status).toBe(404);
    expect(gateway.logs()).not.toContain('NEVER-OUT');
  });

  test.each(['', 'NEVER OUT', 'schl\u00fcssel-NEVER-OUT', `NEVER-OUT${'x'.repeat(4_096)}`, 5])(
    'are not taken when they cannot be one (%#), and are not repeated',
    async (key) => {
      const answer = await owner.put('/api/provider-keys/groq', { key });
      expect(answer.status).toBe(400);
      expect(answer.body.error.message).toMatch(/^key: /);
      expect(answer.text).not.toMatch(/NEVER.OUT/);
    },
  );

  test('are those of the providers that there are', async () => {
    for (const path of ['/api/provider-keys/acme', '/api/provider-keys/OpenAI']) {
      const answer = await owner.put(path, { key: SECRET });
      expect([answer.status, answer.body.error.code]).toEqual([404, 'unknown_provider']);
    }
  });
});

describe('prices', () => {
  const AGREED = {
    provider: 'openai',
    model: 'gpt-5.4',
    from: '2026-06-01',
    prices: { input: '1.200000001', cache_write_5m: '0', output: '4.80' },
  };

  test('are entered and shown exactly, beside the list', async () => {
    const entered = await owner.post('/api/prices', AGREED);
    expect(entered.status, entered.text).toBe(201);
    expect(entered.body).toMatchObject({ revision: 0, from: '2026-06-01' });
    await owner.post('/api/prices', { ...AGREED, prices: { input: '1.10' } });
    const { body } = await owner.get('/api/prices?provider=openai&model=gpt-5.4-2026-03-05');
    expect(body.list).toMatchObject([
      {
        model: 'gpt-5.4',
        tiers: [
          { above_prompt_tokens: 0, prices: { input: '2.50', output: '15.00' } },
          { above_prompt_tokens: 272_000 },
        ],
      },
    ]);
    expect(body.agreements).toMatchObject([
      { revision: 1, state: 'in_force', tiers: [{ prices: { input: '1.10' } }] },
      {
        revision: 0,
        state: 'replaced',
        tiers: [{ prices: { input: '1.200000001', cache_write_5m: '0.00', output: '4.80' } }],
      },
    ]);
    expect(body.agreements[0].entered_by).toMatch(/^member /);
  });

  test.each([
    [{ prices: {} }, 'prices: names no price'],
    [{ prices: { input: 1.2 } }, 'prices.input: takes dollars per million as text'],
    [{ prices: { input: '1,20' } }, 'prices.input: takes dollars per million as text'],
    [{ prices: { input: '-1' } }, 'prices.input: takes dollars per million as text'],
    [{ prices: { input: '1e3' } }, 'prices.input: takes dollars per million as text'],
    [{ prices: { input: '0.0000000001' } }, 'prices.input: takes dollars per million as text'],
    [{ prices: { input: '1000000.01' } }, 'prices.input: is more than a dollar for each'],
    [{ prices: { nonsense: '1' } }, 'prices'],
    [{ from: '2026-02-30' }, 'from: takes a day'],
    [{ from: '1.6.2026' }, 'from: takes a day'],
    [{ provider: 'acme' }, 'provider: takes openai'],
    [{ model: '' }, 'model: takes the name'],
    [{ model: 'x'.repeat(201) }, 'model: takes up to 200'],
  ])('are not entered with %j', async (wrong, message) => {
    const answer = await owner.post('/api/prices', { ...AGREED, ...wrong });
    expect(answer.status, answer.text).toBe(400);
    expect(answer.body.error.message).toContain(message);
  });
});

describe('calls', () => {
  test('are listed for the whole organization or a project, and summed', async () => {
    const made = await owner.post('/api/projects', { name: 'Counted' });
    const { body: key } = await owner.post('/api/keys', { project_id: made.body.id, name: 'k' });
    const ids: (string | null)[] = [];
    for (let i = 0; i < 3; i += 1) {
      const answer = await call(key.token);
      expect(answer.status).toBe(200);
      ids.unshift(answer.headers.get('x-shunt-request-id'));
    }
    await gateway.app.engine.recorder.flush(20_000);
    const idsOf = (body: { data: { request_id: string }[] }): string[] =>
      body.data.map((record) => record.request_id);
    const project = `project_id=${made.body.id}`;
    expect(idsOf((await owner.get(`/api/requests?${project}`)).body)).toEqual(ids);
    const second = await owner.get(`/api/requests?${project}&limit=1&before=${ids[0]}`);
    expect(idsOf(second.body)).toEqual([ids[1]]);
    const all = idsOf((await owner.get('/api/requests?limit=100')).body);
    expect(all.slice(0, 3)).toEqual(ids);
    expect(all.length).toBeGreaterThan(3);
    const next = await owner.get(`/api/requests?limit=100&before=${ids[2]}`);
    expect(idsOf(next.body)).toEqual(all.slice(3));
    const one = await owner.get(`/api/requests/${ids[0]}`);
    expect(one.body).toMatchObject({ request_id: ids[0], project_id: made.body.id });

    const own = (await owner.get(`/api/usage?${project}&include_synthetic=true`)).body;
    expect(own).toMatchObject({ calls: 3, synthetic: 3, priced: 3 });
    expect(own.cost_nano_usd).toMatch(/^[1-9]\d*$/);
    expect(own.models).toMatchObject([{ provider: 'openai', calls: 3 }]);
    const whole = (await owner.get('/api/usage?include_synthetic=true')).body;
    expect(whole.calls).toBeGreaterThan(3);
    expect((await owner.get('/api/usage')).body.calls).toBe(0);
    const past = '/api/usage?from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z';
    expect((await owner.get(past)).body).toMatchObject({
      calls: 0,
      from: '2020-01-01T00:00:00.000Z',
    });
  });

  test.each([
    ['/api/requests?limit=0', 400],
    ['/api/requests?limit=101', 400],
    ['/api/requests?unknown=1', 400],
    ['/api/requests?project_id=x', 404],
    ['/api/usage?from=yesterday', 400],
    ['/api/usage?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z', 400],
    ['/api/usage?include_synthetic=maybe', 400],
    ['/api/usage?project_id=0190c0de-0000-7000-8000-000000000001', 404],
    ['/api/requests/0190c0de-0000-7000-8000-000000000001', 404],
  ])('%s is answered with %i', async (path, status) => {
    const answer = await owner.get(path);
    expect(answer.status, answer.text).toBe(status);
    expect(Object.keys(answer.body.error)).toEqual(['code', 'message']);
  });
});

describe('the documentation', () => {
  const text = readFileSync('docs/dashboard-api.md', 'utf8');

  test('has the table of permissions as it stands in the code', () => {
    const rows = text.matchAll(/^\| `([a-z_]+\.[a-z_]+)` +\|(.*)\|$/gm);
    const documented = [...rows].map(([, permission, cells = '']) => {
      const answers = cells.split('|').map((cell) => cell.trim() === 'yes');
      return [permission, MEMBER_ROLES.filter((_, index) => answers[index])];
    });
    expect(Object.fromEntries(documented)).toEqual(PERMISSIONS);
  });

  test('has an example that works as it stands: signing in, reading, changing', async () => {
    const [, script = ''] = /```sh\n([^]*?)```/.exec(text) ?? [];
    const { email, password } = firstOwner(gateway);
    const directory = mkdtempSync(join(tmpdir(), 'shunt-docs-'));
    try {
      const { stdout } = await promisify(execFile)('bash', ['-euc', script], {
        cwd: directory,
        timeout: 20_000,
        env: { ...process.env, SHUNT: gateway.origin, EMAIL: email, PASSWORD: password },
      });
      expect(stdout).toMatch(/^\{"id":"[^]*\}\{"id":"[^]*"name":"Acme"/);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

test('the table of permissions is shown as the guard decides by it', async () => {
  const { body } = await owner.get('/api/permissions');
  expect(body).toEqual({ roles: MEMBER_ROLES, permissions: PERMISSIONS });
});
