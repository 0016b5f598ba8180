import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anonymous, DashboardClient, firstOwner, signIn } from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway?.stop());

const owner = () => firstOwner(gateway);
const cookieLine = (headers: Headers, name: string): string =>
  headers.getSetCookie().find((line) => line.startsWith(`${name}=`)) ?? '';

describe('signing in', () => {
  test('gives a session that says who one is, and in which organizations', async () => {
    const client = await signIn(gateway, owner());
    const { body } = await client.session();
    expect(body).toMatchObject({
      signed_in: true,
      user: { email: 'owner@example.test', totp_enabled: false },
      organization_id: owner().orgId,
      organizations: [{ id: owner().orgId, role: 'owner', reminders: true, require_totp: false }],
    });
  });

  test('gives a cookie that no script reads and no other site sends along', async () => {
    const client = await anonymous(gateway);
    const answer = await client.post('/api/login', credentials());
    const line = cookieLine(answer.headers, 'shunt_session');
    expect(line).toMatch(/; Path=\/;/);
    expect(line).toMatch(/; HttpOnly/);
    expect(line).toMatch(/; SameSite=Lax/);
    const expires = Date.parse(/Expires=([^;]+)/.exec(line)?.[1] ?? '');
    expect(Math.round((expires - Date.now()) / 86_400_000)).toBe(14);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('never takes over a session that was there before: a planted cookie opens nothing', async () => {
    const attacker = await signIn(gateway, owner());
    const planted = attacker.cookies.get('shunt_session') ?? '';
    const victim = new DashboardClient(gateway.origin);
    victim.cookies.set('shunt_session', planted);
    await victim.session();
    expect((await victim.post('/api/login', credentials())).status).toBe(200);
    expect(victim.cookies.get('shunt_session')).not.toBe(planted);
    expect((await attacker.session()).body.signed_in).toBe(false);
  });

  test.each([
    ['a wrong password', { email: 'owner@example.test', password: 'not the password' }],
    ['an address of nobody', { email: 'nobody@example.test', password: 'not the password' }],
  ])('is refused for %s, in the same words', async (_, given) => {
    const client = await anonymous(gateway);
    const answer = await client.post('/api/login', given);
    expect(answer.status).toBe(401);
    expect(answer.body).toEqual({
      error: { code: 'wrong_credentials', message: 'Address, password or code is wrong.' },
    });
    expect(client.cookies.has('shunt_session')).toBe(false);
  });

  test('says what is wrong with a body, and nothing of what was in it', async () => {
    const client = await anonymous(gateway);
    const answer = await client.post('/api/login', { email: 'owner@example.test', password: 7 });
    expect(answer.status).toBe(400);
    expect(answer.body.error.code).toBe('invalid_request');
    expect(answer.body.error.message).toMatch(/^password: /);
    const more = await client.post('/api/login', { ...credentials(), remember: true });
    expect(more.status).toBe(400);
    expect(more.body.error.message).toContain('remember');
  });
});

test('a host that somebody without a trusted proxy claims is not believed', async () => {
  const origin = 'https://evil.example.test';
  const forwarded = { 'x-forwarded-host': 'evil.example.test', 'x-forwarded-proto': 'https' };
  const client = await signIn(gateway, owner());
  const answer = await client.post('/api/logout', undefined, { headers: { ...forwarded, origin } });
  expect([answer.status, answer.body.error.code]).toEqual([403, 'not_same_origin']);
});

test.each([
  ['a body that is no JSON', '{"email":', 'application/json'],
  ['a body of another type', 'x', 'text/x-nothing'],
])('%s is refused in the one shape of errors', async (_, body, type) => {
  const client = await anonymous(gateway);
  const answer = await fetch(`${gateway.origin}/api/login`, {
    method: 'POST',
    body,
    headers: { 'content-type': type, origin: gateway.origin, 'x-csrf-token': client.csrfToken },
  });
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(answer.status).toBeLessThan(500);
  const text = await answer.text();
  expect(text).not.toContain('email');
  expect(JSON.parse(text)).toMatchObject({ error: { code: 'invalid_request' } });
});

function credentials() {
  const { email, password } = owner();
  return { email, password };
}

describe('a session', () => {
  test('ends with the sign-out, for whoever kept the cookie too', async () => {
    const client = await signIn(gateway, owner());
    const kept = new Map(client.cookies);
    expect((await client.post('/api/logout')).status).toBe(204);
    expect(client.cookies.has('shunt_session')).toBe(false);
    for (const [name, value] of kept) client.cookies.set(name, value);
    expect((await client.get('/api/sessions')).status).toBe(401);
  });

  test('is listed with where it is, and can be ended from another', async () => {
    const [here, there] = [await signIn(gateway, owner()), await signIn(gateway, owner())];
    const list = (await here.get('/api/sessions')).body.data;
    const own = list.filter((session: { current: boolean }) => session.current);
    expect(own).toHaveLength(1);
    expect(own[0].client).toBe('A program');
    const other = (await there.session()).body.session_id;
    expect((await here.delete(`/api/sessions/${other}`)).status).toBe(204);
    expect((await there.get('/api/sessions')).status).toBe(401);
    expect((await here.delete(`/api/sessions/${other}`)).status).toBe(404);
    expect((await here.delete('/api/sessions/not-an-id')).status).toBe(404);
  });

  test('can end all others at once', async () => {
    const [here, there] = [await signIn(gateway, owner()), await signIn(gateway, owner())];
    const answer = await here.delete('/api/sessions');
    expect(answer.body.revoked).toBeGreaterThan(0);
    expect((await there.get('/api/sessions')).status).toBe(401);
    expect((await here.get('/api/sessions')).body.data).toHaveLength(1);
  });

  test('whose cookie was altered by one character is none', async () => {
    const client = await signIn(gateway, owner());
    const value = client.cookies.get('shunt_session') ?? '';
    const at = 40;
    const other = value[at] === 'a' ? 'b' : 'a';
    client.cookies.set('shunt_session', value.slice(0, at) + other + value.slice(at + 1));
    expect((await client.get('/api/sessions')).status).toBe(401);
  });
});
