import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addMemberWithin } from '../../../src/modules/organizations/organization.service.js';
import { anonymous, DashboardClient, firstOwner, signIn } from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { ACTOR } from '../../support/tenants.js';

const FRIEND = 'https://app.example.test';
const EVIL = 'https://evil.example.test';
const PASSWORD = 'a long enough password';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({
    env: { SHUNT_ALLOWED_ORIGINS: FRIEND, SHUNT_TRUSTED_PROXIES: '127.0.0.1' },
  });
});
afterAll(() => gateway?.stop());

const owner = () => firstOwner(gateway);

/** Somebody with a role in the first organization. */
async function addMember(role: 'owner' | 'admin' | 'member', email: string): Promise<string> {
  const { services, database } = gateway.app.engine;
  const made = await services.users.create(email, PASSWORD);
  if (made.kind !== 'created') throw new Error(made.kind);
  const { orgId } = owner();
  await database.tenant(orgId, (q) =>
    addMemberWithin(q, orgId, { userId: made.userId, role }, ACTOR, Date.now()),
  );
  return made.userId;
}

/** Two mutations: one that needs a session, and one that needs none. */
const MUTATIONS = ['POST /api/logout', 'DELETE /api/sessions'] as const;
type Headers_ = Readonly<Record<string, string | null>>;

async function ask(client: DashboardClient, route: string, headers: Headers_) {
  const [method = '', path = ''] = route.split(' ');
  return client.ask(method, path, undefined, { headers });
}

describe.each(MUTATIONS)('%s, asked for by somebody signed in', (route) => {
  const allowed: readonly [string, Headers_][] = [
    ['from a page of ours', {}],
    ['from an allowed origin', { origin: FRIEND }],
    ['without Origin, where the browser says same-origin', { origin: null, 'sec-fetch-site': 'same-origin' }],
  ]; // prettier-ignore
  const foreign: readonly [string, Headers_][] = [
    ['from another origin', { origin: EVIL }],
    ['from another origin that claims to be the same', { origin: EVIL, 'sec-fetch-site': 'same-origin' }],
    ['from an opaque origin', { origin: 'null' }],
    ['from another page of the site', { origin: null, 'sec-fetch-site': 'same-site' }],
    ['from nobody knows where', { origin: null }],
  ]; // prettier-ignore

  test.each(allowed)('is done %s, with the token', async (_, headers) => {
    const client = await signIn(gateway, owner());
    expect((await ask(client, route, headers)).status).toBeLessThan(300);
  });

  test.each(allowed)('is refused %s, without the token or with a wrong one', async (_, headers) => {
    const client = await signIn(gateway, owner());
    const stranger = await anonymous(gateway);
    const other = await signIn(gateway, owner());
    const tokens = [null, 'x', client.csrfToken.slice(1), stranger.csrfToken, other.csrfToken];
    for (const token of tokens) {
      const answer = await ask(client, route, { ...headers, 'x-csrf-token': token });
      expect([answer.status, answer.body?.error.code]).toEqual([403, 'csrf_failed']);
    }
    expect((await client.session()).body.signed_in).toBe(true);
  });

  test.each(foreign)('is refused %s, with the token', async (_, headers) => {
    const client = await signIn(gateway, owner());
    const answer = await ask(client, route, headers);
    expect([answer.status, answer.body.error.code]).toEqual([403, 'not_same_origin']);
    expect((await client.session()).body.signed_in).toBe(true);
  });
});

test('nobody can be signed in to an account of somebody else’s from another page', async () => {
  const client = await anonymous(gateway);
  const { email, password } = owner();
  const forged = await client.post(
    '/api/login',
    { email, password },
    { headers: { origin: EVIL } },
  );
  expect(forged.body.error.code).toBe('not_same_origin');
  const blind = await client.post(
    '/api/login',
    { email, password },
    { headers: { 'x-csrf-token': (await anonymous(gateway)).csrfToken } },
  );
  expect(blind.body.error.code).toBe('csrf_failed');
});

test('scheme and host are those that a trusted proxy tells, and no others count then', async () => {
  const proxied = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'shunt.example.test' };
  const client = await anonymous(gateway, proxied);
  const given = { email: owner().email, password: owner().password };
  const direct = await client.post('/api/login', given);
  expect(direct.body.error.code).toBe('not_same_origin');
  const origin = 'https://shunt.example.test';
  expect((await client.post('/api/login', given, { headers: { origin } })).status).toBe(200);
});

describe('pages of another origin', () => {
  const preflight = (path: string, origin: string) =>
    fetch(gateway.origin + path, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    });

  test('that is allowed may read answers, with cookies, under /api', async () => {
    const answer = await preflight('/api/login', FRIEND);
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-origin')).toBe(FRIEND);
    expect(answer.headers.get('access-control-allow-credentials')).toBe('true');
    expect(answer.headers.get('access-control-allow-headers')).toContain('x-csrf-token');
    const read = await new DashboardClient(gateway.origin).get('/api/session', {
      headers: { origin: FRIEND },
    });
    expect(read.headers.get('access-control-allow-origin')).toBe(FRIEND);
    expect(read.headers.get('vary')).toContain('origin');
  });

  test.each([
    ['/api/login', EVIL],
    ['/api/session', 'null'],
    ['/admin/api/session', FRIEND],
    ['/healthz', FRIEND],
    ['/shunt/v1/project', FRIEND],
  ])('get nothing shared at %s for %s', async (path, origin) => {
    for (const answer of [
      await preflight(path, origin),
      await fetch(gateway.origin + path, { headers: { origin } }),
    ]) {
      expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    }
  });
});

test.each(['/api/session', '/api/account', '/api/nothing', '/%61pi/account'])(
  'what %s answers is kept by no cache',
  async (path) => {
    const answer = await fetch(gateway.origin + path);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  },
);

describe('an organization', () => {
  test('that one is not in is told apart from none at all by nothing', async () => {
    const { services } = gateway.app.engine;
    const other = await services.organizations.create({ name: 'Other' }, ACTOR);
    const client = await signIn(gateway, owner());
    const answers = [];
    for (const id of [other.id, '0190f3a2-1111-4222-8333-444455556666', 'nonsense', '']) {
      const answer = await client.get('/api/members', {
        headers: { 'x-shunt-organization-id': id === '' ? ' ' : id },
      });
      expect([id, answer.status]).toEqual([id, 404]);
      answers.push(answer.text);
    }
    expect(new Set(answers).size).toBe(1);
    const chosen = await client.post('/api/session/organization', { organization_id: other.id });
    expect(chosen.status).toBe(404);
  });

  test('is the one of the header, else the one that the session chose', async () => {
    const userId = await addMember('member', 'two@example.test');
    const { services } = gateway.app.engine;
    const second = await services.organizations.create({ name: 'Second' }, ACTOR);
    await services.organizations.addMember(second.id, userId, 'owner', ACTOR);
    const client = await signIn(gateway, { email: 'two@example.test', password: PASSWORD });
    expect((await client.get('/api/members')).body.data.length).toBeGreaterThan(1);
    client.use(second.id);
    expect((await client.get('/api/members')).body.data).toHaveLength(1);
    client.use(null);
    const chosen = await client.post('/api/session/organization', { organization_id: second.id });
    expect(chosen.status).toBe(204);
    expect((await client.get('/api/members')).body.data).toHaveLength(1);
    expect((await client.session()).body.organization_id).toBe(second.id);
    await services.organizations.addMember(second.id, await ownerId(), 'owner', ACTOR);
    expect((await client.delete(`/api/members/${userId}`)).status).toBe(204);
    expect((await client.get('/api/members')).status).toBe(404);
  });
});

async function ownerId(): Promise<string> {
  return (await gateway.app.engine.services.users.findByEmail(owner().email)) ?? '';
}

describe('a role', () => {
  test.each(['admin', 'member'] as const)(
    '%s may do what the table says, and no more',
    async (role) => {
      const email = `${role}-role@example.test`;
      await addMember(role, email);
      const client = await signIn(gateway, { email, password: PASSWORD });
      expect((await client.get('/api/members')).status).toBe(200);
      const invited = await client.get('/api/invitations');
      expect(invited.status).toBe(role === 'admin' ? 200 : 403);
      const change = await client.patch(`/api/members/${await ownerId()}`, { role: 'member' });
      expect([change.status, change.body.error.code]).toEqual([403, 'not_permitted']);
      const secure = await client.patch('/api/organization/security', { require_totp: true });
      expect(secure.status).toBe(403);
      expect((await client.delete(`/api/members/${await ownerId()}`)).status).toBe(403);
    },
  );

  test('that was taken away counts at once', async () => {
    const userId = await addMember('owner', 'short-lived@example.test');
    const client = await signIn(gateway, { email: 'short-lived@example.test', password: PASSWORD });
    const first = await signIn(gateway, owner());
    expect((await first.patch(`/api/members/${userId}`, { role: 'member' })).status).toBe(204);
    expect((await client.get('/api/invitations')).status).toBe(403);
  });
});

test('without a session every route of a person or a member is refused', async () => {
  const client = await anonymous(gateway);
  for (const path of ['/api/account', '/api/sessions', '/api/members', '/api/invitations']) {
    const answer = await client.get(path);
    expect([answer.status, answer.body.error.code]).toEqual([401, 'not_signed_in']);
  }
  const change = await client.post('/api/account/totp');
  expect([change.status, change.body.error.code]).toEqual([401, 'not_signed_in']);
});
