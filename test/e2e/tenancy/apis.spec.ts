import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROVIDERS, type Provider } from '../../../src/domain/routing/provider.js';
import { ApiKeyService } from '../../../src/modules/api-keys/api-key.service.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { ProjectService } from '../../../src/modules/projects/project.service.js';
import { ProviderKeyService } from '../../../src/modules/provider-keys/provider-key.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { LeakHunt } from '../../support/leak-hunt.js';
import { ACTOR, addOrganization, addProject } from '../../support/tenants.js';
import { startTwoOrganizations, type Member, type TwoOrganizations } from './two-organizations.js';

/**
 * Every route of the framework, and who may see what there. A route that is not listed fails the walk: whoever adds
 * one says what it is, and the rest of this file then holds it to that. The dashboard's and the operators' routes
 * have a table of their own, test/e2e/dashboard/routes.spec.ts, which fails in the same way.
 */
const ROUTES: Readonly<Record<string, 'open to all' | "the project's own">> = {
  'GET /healthz': 'open to all',
  'GET /readyz': 'open to all',
  'GET /metrics': 'open to all',
  'POST /webhooks/paddle': 'open to all',
  'GET /shunt/v1/project': "the project's own",
  'GET /shunt/v1/requests': "the project's own",
  'GET /shunt/v1/requests/:id': "the project's own",
  'GET /shunt/v1/usage': "the project's own",
};
const LISTED_APART = /^[A-Z]+ \/(?:admin\/)?api(?:\/|$)/;
const OWN_ROUTES = Object.keys(ROUTES).filter((route) => ROUTES[route] === "the project's own");

/** A path of the gateway for each provider. */
const GATEWAY_PATHS: Readonly<Record<Provider, string>> = {
  openai: '/openai/v1/chat/completions',
  anthropic: '/anthropic/v1/messages',
  google: '/google/v1beta/models/gemini-3.5-flash:generateContent',
  groq: '/groq/openai/v1/chat/completions',
};

/** Names under which a request might try to say whose data it wants. */
const PARAMETERS = [
  'org', 'org_id', 'orgId', 'organization', 'organization_id', 'tenant', 'project', 'project_id', 'projectId',
  'api_key_id', 'key', 'before', 'after', 'cursor', 'id', 'request_id', 'customer', 'customer_id', 'from', 'limit',
]; // prettier-ignore
const HEADERS = [
  'x-shunt-org-id', 'x-shunt-organization-id', 'x-shunt-project-id', 'x-org-id', 'x-organization-id', 'x-tenant-id',
  'openai-organization', 'openai-project', 'x-shunt-api-key-id', 'x-forwarded-user', 'x-shunt-customer-id',
]; // prettier-ignore

let rig: TwoOrganizations;
beforeAll(async () => {
  rig = await startTwoOrganizations();
});
afterAll(() => rig?.stop());

const DIRECTIONS = [
  ['A', 'B'],
  ['B', 'A'],
] as const;
const member = (name: 'A' | 'B'): Member => (name === 'A' ? rig.a : rig.b);

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly id: string;
}

async function ask(
  key: string | null,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: string,
): Promise<Answer> {
  const answer = await fetch(rig.gateway.origin + path, {
    method,
    headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...headers },
    body,
  });
  const id = answer.headers.get('x-shunt-request-id') ?? '';
  const text = JSON.stringify([...answer.headers]) + (await answer.text());
  return { status: answer.status, text, id };
}

/** Everything that would tell of an organization's existence or calls. */
function signsOf(of: Member): LeakHunt {
  const { orgId, projectId, apiKeyId, apiKey, customerId, requestIds, providerKeys } = of;
  const signs = [orgId, projectId, apiKeyId, apiKey, customerId, ...requestIds];
  return new LeakHunt(
    [...signs, ...Object.values(providerKeys)].map((text) => ({ name: `of ${of.name}`, text })),
  );
}

const pathOf = (route: string, id: string): string =>
  route.slice(route.indexOf(' ') + 1).replace(/:\w+/g, id);

test('every route of the framework is known to this walk, and every one of the walk is there', () => {
  const walked = rig.routes.filter((route) => !LISTED_APART.test(route));
  const found = walked.filter((route) => !route.startsWith('HEAD '));
  expect(found.toSorted()).toEqual(Object.keys(ROUTES).toSorted());
  const heads = walked.filter((route) => route.startsWith('HEAD '));
  expect(heads.map((route) => route.replace('HEAD', 'GET')).every((route) => route in ROUTES)).toBe(
    true,
  );
});

test('every provider has its path in this walk', () => {
  expect(Object.keys(GATEWAY_PATHS).toSorted()).toEqual([...PROVIDERS].toSorted());
});

test.each(OWN_ROUTES)(
  '%s answers nobody without a key, and nobody with a wrong one',
  async (route) => {
    const [method = '', path = ''] = [route.split(' ')[0], pathOf(route, rig.a.requestIds[0]!)];
    for (const key of [null, 'shunt_nobody_has_this_key', rig.a.apiKeyId, rig.a.orgId]) {
      expect((await ask(key, method, path)).status).toBe(401);
    }
    for (const place of ['x-api-key', 'x-goog-api-key', 'cookie']) {
      expect((await ask(null, method, path, { [place]: rig.a.apiKey })).status).toBe(401);
    }
    expect((await ask(null, method, `${path}?key=${rig.a.apiKey}`)).status).toBe(401);
  },
);

describe.each(DIRECTIONS)('with the key of %s nothing of %s', (own, others) => {
  test.each(OWN_ROUTES)('is told by %s, whatever is asked for', async (route) => {
    const [mine, theirs] = [member(own), member(others)];
    const hunt = signsOf(theirs);
    const method = route.split(' ')[0] ?? '';
    const ids = [theirs.orgId, theirs.projectId, theirs.apiKeyId, ...theirs.requestIds];
    for (const id of [...ids, theirs.customerId]) {
      const path = pathOf(route, encodeURIComponent(id));
      const plain = await ask(mine.apiKey, method, path);
      hunt.text(path, plain.text);
      const query = PARAMETERS.map((name) => `${name}=${encodeURIComponent(id)}`);
      for (const pair of query)
        hunt.text(pair, (await ask(mine.apiKey, method, `${path}?${pair}`)).text);
      const headers = Object.fromEntries(HEADERS.map((name) => [name, id]));
      hunt.text('headers', (await ask(mine.apiKey, method, path, headers)).text);
    }
    expect(hunt.hits).toEqual([]);
    expect(hunt.bytesSearched).toBeGreaterThan(1_000);
    const self = signsOf(mine);
    self.text(route, (await ask(mine.apiKey, method, pathOf(route, mine.requestIds[0]!))).text);
    if (!route.endsWith('/usage')) expect(self.hits).not.toEqual([]);
  });

  test('is told apart from what does not exist at all', async () => {
    const [mine, theirs] = [member(own), member(others)];
    const [id = ''] = theirs.requestIds;
    // The same time, another random part.
    const invented = id.slice(0, -4) + (id.endsWith('0000') ? '1111' : '0000');
    const asked = await ask(mine.apiKey, 'GET', `/shunt/v1/requests/${id}`);
    const none = await ask(mine.apiKey, 'GET', `/shunt/v1/requests/${invented}`);
    expect(asked.status).toBe(404);
    const undated = ({ text }: Answer): string => text.replace(/\["date","[^"]*"\]/, '');
    expect(undated(asked)).toBe(undated(none));
  });

  test('is in its sums', async () => {
    const mine = member(own);
    const { text } = await ask(mine.apiKey, 'GET', '/shunt/v1/usage?include_synthetic=true');
    const [stored] = await rig.asSuperuser<{ calls: number }>(
      'SELECT count(*)::int AS calls FROM request_log WHERE project_id = $1',
      [mine.projectId],
    );
    expect(text).toContain(`"calls":${stored?.calls},`);
    expect(stored?.calls).toBeGreaterThan(2);
  });

  test.each(PROVIDERS)(
    'is used for a call to %s: not a provider key, not a name',
    async (provider) => {
      const [mine, theirs] = [member(own), member(others)];
      const before = rig.upstream.captured.length;
      const spoofed = Object.fromEntries(HEADERS.map((name) => [name, theirs.orgId]));
      const answer = await ask(
        mine.apiKey,
        'POST',
        GATEWAY_PATHS[provider],
        { ...spoofed, 'content-type': 'application/json' },
        JSON.stringify({ model: 'gpt-5.4', messages: [], contents: [], org_id: theirs.orgId }),
      );
      const sent = rig.upstream.captured.slice(before);
      const key = mine.providerKeys[provider];
      expect(answer.status).toBe(key === undefined ? 403 : 200);
      expect(sent).toHaveLength(key === undefined ? 0 : 1);
      const headers = JSON.stringify(sent.map(({ rawHeaders }) => rawHeaders));
      if (key !== undefined) expect(headers).toContain(key);
      const hunt = new LeakHunt(
        Object.values(theirs.providerKeys).map((text) => ({ name: 'a provider key', text })),
      );
      hunt.text('the forwarded call', headers);
      expect(hunt.hits).toEqual([]);
      const record = await rig.gateway.app.engine.recorder.flush(20_000);
      expect(record).toBe(true);
      const rows = await rig.asSuperuser<{ org_id: string; api_key_id: string }>(
        'SELECT org_id, api_key_id FROM request_log WHERE request_id = $1',
        [answer.id],
      );
      expect(rows).toEqual([{ org_id: mine.orgId, api_key_id: mine.apiKeyId }]);
    },
  );

  test('can be changed through the services that the command line and the panels use', async () => {
    const [mine, theirs] = [member(own), member(others)];
    const { database } = rig.gateway.app.engine;
    const state = (): Promise<unknown> =>
      rig.asSuperuser(
        `SELECT (SELECT jsonb_agg(t) FROM api_keys t WHERE org_id = $1) AS keys,
                (SELECT jsonb_agg(t) FROM projects t WHERE org_id = $1) AS projects,
                (SELECT jsonb_agg(t) FROM provider_keys t WHERE org_id = $1) AS provider_keys`,
        [theirs.orgId],
      );
    const before = await state();
    const keys = new ApiKeyService(database, systemClock);
    const projects = new ProjectService(database, systemClock);
    expect(await keys.revoke(mine.orgId, theirs.apiKeyId, ACTOR)).toBe(false);
    expect(await keys.rotate(mine.orgId, theirs.apiKeyId, undefined, ACTOR)).toEqual({
      kind: 'not_found',
    });
    const intruding = { projectId: theirs.projectId, name: 'intruder' };
    expect(await keys.create(mine.orgId, intruding, ACTOR)).toEqual({ kind: 'not_found' });
    const disabled = await projects.update(mine.orgId, theirs.projectId, { disabled: true }, ACTOR);
    expect(disabled).toEqual({ kind: 'not_found' });
    expect(await projects.find(mine.orgId, theirs.projectId)).toBeNull();
    const listed = [
      await keys.list(mine.orgId),
      await projects.list(mine.orgId),
      await new ProviderKeyService(database, rig.secretBox, systemClock).list(mine.orgId),
    ];
    const hunt = signsOf(theirs);
    hunt.text('the lists', JSON.stringify(listed));
    expect(hunt.hits).toEqual([]);
    expect(await state()).toEqual(before);
  });
});

test('another project of the same organization is told nothing of its calls either', async () => {
  const { database } = rig.gateway.app.engine;
  const { apiKey } = await addProject(database, rig.a.orgId, { name: 'another' });
  const hunt = new LeakHunt(
    [rig.a.projectId, rig.a.apiKeyId, rig.a.customerId, ...rig.a.requestIds].map((text) => ({
      name: 'of the first project',
      text,
    })),
  );
  for (const route of OWN_ROUTES) {
    for (const id of rig.a.requestIds) {
      hunt.text(route, (await ask(apiKey, 'GET', pathOf(route, id))).text);
    }
  }
  expect(hunt.hits).toEqual([]);
  const { text } = await ask(apiKey, 'GET', '/shunt/v1/usage?include_synthetic=true');
  expect(text).toContain('"calls":0,');
});

test('the same prompt under the same session name is another session and another class in another organization', async () => {
  const headers = { 'x-shunt-session-id': 'one name' };
  const ids = [await rig.chat(rig.a, headers), await rig.chat(rig.b, headers)];
  await rig.gateway.app.engine.recorder.flush(20_000);
  const rows = await rig.asSuperuser<{ session_key: string; route_class: string }>(
    'SELECT session_key, route_class FROM request_log WHERE request_id = ANY($1::uuid[])',
    [ids],
  );
  expect(rows).toHaveLength(2);
  expect(new Set(rows.map((row) => row.session_key)).size).toBe(2);
  expect(new Set(rows.map((row) => row.route_class)).size).toBe(2);
  expect(rows.every((row) => row.session_key !== null && row.route_class !== null)).toBe(true);
});

test('what is set for one organization, and what one uses up, is not felt by another', async () => {
  const { database } = rig.gateway.app.engine;
  const other = {
    ...rig.b,
    ...(await addOrganization(database, rig.secretBox, 'Third', rig.b.providerKeys)),
  };
  const organizations = new OrganizationService(database, rig.secretBox, systemClock);
  await organizations.setRequestsPerMinute(other.orgId, 1, ACTOR);
  await organizations.update(other.orgId, { allowedModels: ['gpt-4.1'] }, ACTOR);
  const chat = (of: Member): Promise<Answer> =>
    ask(of.apiKey, 'POST', GATEWAY_PATHS.openai, {}, '{"model":"gpt-5.4","messages":[]}');
  expect((await chat(other)).status).toBe(403);
  expect((await chat(other)).status).toBe(429);
  expect((await chat(rig.b)).status).toBe(200);
  const operator = { kind: 'operator', name: 'test' } as const;
  const suspended = await rig.gateway.app.engine.services.subscriptions.apply(other.orgId, {
    event: 'suspend',
    actor: operator,
  });
  expect(suspended.kind).toBe('changed');
  expect((await chat(rig.a)).status).toBe(200);
  expect((await chat(rig.b)).status).toBe(200);
  await new ApiKeyService(database, systemClock).revoke(other.orgId, other.apiKeyId, ACTOR);
  expect((await chat(rig.b)).status).toBe(200);
});
