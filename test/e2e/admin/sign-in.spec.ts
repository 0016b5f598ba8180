import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import {
  adminCall,
  codeOf,
  firstOperator,
  forgetCodes,
  signInOperator,
  type AdminAnswer,
  type OperatorCredentials,
} from '../../support/admin-client.js';
import { embeddedLogins } from '../../support/embedded-logins.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { measured } from '../reliability/until.js';

// How long an answer takes is what a password costs.
vi.unmock('bcrypt');

let gateway: TestGateway;
let first: OperatorCredentials;
beforeAll(async () => {
  gateway = await startGateway({ env: { SHUNT_TRUSTED_PROXIES: '127.0.0.1' } });
  first = firstOperator(gateway);
});
afterAll(() => gateway?.stop());
beforeEach(() => forgetCodes(gateway));

interface Created {
  readonly name: string;
  readonly secret: string;
  readonly totp_secret: string;
}

let addresses = 0;
/** From an address that nobody used before, so that one test's failures do not slow another. */
async function login(body: Readonly<Record<string, unknown>>): Promise<AdminAnswer> {
  addresses += 1;
  const headers = {
    origin: gateway.origin,
    'x-forwarded-for': `198.51.${Math.floor(addresses / 250)}.${(addresses % 250) + 1}`,
  };
  return adminCall(gateway.origin, 'POST', '/login', { body, headers });
}

async function rightLogin(): Promise<{ name: string; secret: string; totp: string }> {
  return { name: 'operator', secret: first.secret, totp: await codeOf(first) };
}

async function newOperator(name: string): Promise<OperatorCredentials> {
  const operator = await signInOperator(gateway);
  const { status, body } = await operator.call<Created>('POST', '/operators', { name });
  expect(status).toBe(201);
  return { name, secret: body.secret, totpSecret: body.totp_secret };
}

async function trailOf(name: string): Promise<Record<string, unknown>[]> {
  const { body } = await (
    await signInOperator(gateway)
  ).call<{ data: Record<string, unknown>[] }>('GET', '/audit?limit=500');
  return body.data.filter((entry) => (entry['actor'] as { name: string }).name === name);
}

test('the cookie is for /admin alone, for 15 minutes, out of reach of scripts and other sites', async () => {
  const answer = await login(await rightLogin());
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({ operator: { name: 'operator' } });
  expect(answer.headers.get('set-cookie')).toMatch(
    /^shunt_admin=[0-9a-f-]{36}\.[\w-]{43}; Path=\/admin; Max-Age=900; HttpOnly; SameSite=Strict$/,
  );
  expect(answer.headers.get('cache-control')).toBe('no-store');
});

test('the name may be left out only while one operator is enabled', async () => {
  const { secret, totp } = await rightLogin();
  expect((await login({ secret, totp })).status).toBe(200);
  await newOperator('second');
  await forgetCodes(gateway);
  expect((await login({ secret, totp: await codeOf(first) })).status).toBe(401);
  expect(await (await signInOperator(gateway)).call('DELETE', '/operators/second')).toMatchObject({
    status: 200,
  });
});

test('a code works once', async () => {
  const right = await rightLogin();
  expect((await login(right)).status).toBe(200);
  expect(await login(right)).toMatchObject({
    status: 401,
    body: { error: { code: 'wrong_credentials' } },
  });
});

test('of twelve logins with one code at the same time, one gets in', async () => {
  const right = await rightLogin();
  const answers = await Promise.all(Array.from({ length: 12 }, () => login(right)));
  const statuses = answers.map(({ status }) => status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(1);
  expect(statuses.filter((status) => status === 401)).toHaveLength(11);
});

test('whichever part is wrong, the answer is the same, and so is the time it takes', async () => {
  const right = await rightLogin();
  const wrongCode = right.totp === '000000' ? '000001' : '000000';
  const wrong = {
    name: { ...right, name: 'nobody' },
    secret: { ...right, secret: 'not the secret' },
    code: { ...right, totp: wrongCode },
    everything: { name: 'nobody', secret: 'x', totp: 'abc' },
  };
  const fastest: Record<string, number> = {};
  const bodies = new Set<string>();
  for (const [what, body] of Object.entries(wrong)) {
    const times: number[] = [];
    for (let i = 0; i < 3; i += 1) {
      const startedMs = performance.now();
      const answer = await login(body);
      times.push(performance.now() - startedMs);
      bodies.add(JSON.stringify([answer.status, answer.body]));
    }
    fastest[what] = Math.round(Math.min(...times));
  }
  measured('a refusal takes, fastest of 3, in ms', JSON.stringify(fastest));
  expect(bodies.size).toBe(1);
  // An answer waits for the next whole second: a busy machine may take more of them, and tells nothing by it.
  const withinSecond = Object.values(fastest).map((ms) => ms % 1_000);
  expect(Math.max(...withinSecond) - Math.min(...withinSecond)).toBeLessThan(150);
});

test('a session ends with its logout, and the cookie with it', async () => {
  const operator = await signInOperator(gateway);
  expect((await operator.call('GET', '/session')).status).toBe(200);
  const out = await operator.call('POST', '/logout');
  expect(out.headers.get('set-cookie')).toMatch(/^shunt_admin=; Path=\/admin; Max-Age=0;/);
  expect(await operator.call('GET', '/session')).toMatchObject({
    status: 401,
    body: { error: { code: 'not_signed_in' } },
  });
});

test('a session ends after 15 minutes, whatever the cookie says', async () => {
  const operator = await signInOperator(gateway);
  const { superuserUrl } = embeddedLogins(gateway.dataDir);
  await withConnection({ url: superuserUrl, statementTimeoutMs: 5_000 }, (q) =>
    q.query(
      `UPDATE operator_sessions SET created_at = created_at - interval '15 minutes',
              expires_at = expires_at - interval '15 minutes'`,
    ),
  );
  expect((await operator.call('GET', '/session')).status).toBe(401);
});

test('a cookie that was altered, made up, or signed by somebody else opens nothing', async () => {
  const { cookie } = await signInOperator(gateway);
  const [, id = '', mac = ''] = /=([^.]+)\.(.+)$/.exec(cookie) ?? [];
  const otherMac = createHmac('sha256', 'another secret').update(`shunt_admin ${id}`);
  const flipped = (mac.startsWith('A') ? 'B' : 'A') + mac.slice(1);
  for (const value of [
    `${id}.${flipped}`,
    `${id}.`,
    id,
    `${id.replace(/^./, (c) => (c === '0' ? '1' : '0'))}.${mac}`,
    `${id}.${otherMac.digest('base64url')}`,
    `' OR true --.${mac}`,
  ]) {
    const answer = await adminCall(gateway.origin, 'GET', '/session', {
      cookie: `shunt_admin=${value}`,
    });
    expect([value, answer.status]).toEqual([value, 401]);
  }
  const both = `shunt_admin=${id}.${flipped}; ${cookie}`;
  expect((await adminCall(gateway.origin, 'GET', '/session', { cookie: both })).status).toBe(200);
});

test('who is disabled, or whose credentials are rotated, is out at once and cannot come back with them', async () => {
  const eve = await newOperator('eve');
  const session = await signInOperator(gateway, eve);
  const operator = await signInOperator(gateway);
  const rotated = await operator.call<Created>('POST', '/operators/eve/rotate', {});
  expect(rotated.status).toBe(200);
  expect((await session.call('GET', '/session')).status).toBe(401);
  await expect(signInOperator(gateway, eve)).rejects.toThrow('401');
  const renewed = {
    name: 'eve',
    secret: rotated.body.secret,
    totpSecret: rotated.body.totp_secret,
  };
  const again = await signInOperator(gateway, renewed);
  expect(await operator.call('DELETE', '/operators/eve')).toMatchObject({
    status: 200,
    body: { changed: true },
  });
  expect((await again.call('GET', '/session')).status).toBe(401);
  await expect(signInOperator(gateway, renewed)).rejects.toThrow('401');
  expect((await operator.call('DELETE', '/operators/eve')).body).toMatchObject({ changed: false });
  expect((await operator.call('POST', '/operators', { name: 'eve' })).status).toBe(409);
});

test('the last enabled operator cannot be disabled', async () => {
  const operator = await signInOperator(gateway);
  expect(await operator.call('DELETE', '/operators/operator')).toMatchObject({
    status: 409,
    body: { error: { code: 'last_operator' } },
  });
});

test('a change is refused that does not say that it comes from here, the login too', async () => {
  const { cookie } = await signInOperator(gateway);
  const foreign: Readonly<Record<string, string>>[] = [
    {},
    { origin: 'https://elsewhere.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { origin: gateway.origin, 'sec-fetch-site': 'cross-site' },
    { referer: gateway.origin },
  ];
  for (const headers of foreign) {
    for (const [method, path] of [
      ['POST', '/login'],
      ['POST', '/logout'],
      ['PUT', '/routing'],
      ['DELETE', '/operators/operator'],
    ] as const) {
      const answer = await adminCall(gateway.origin, method, path, { cookie, headers, body: {} });
      expect([headers, path, answer.status]).toEqual([headers, path, 403]);
    }
  }
  const own = { 'sec-fetch-site': 'same-origin' };
  const read = await adminCall(gateway.origin, 'GET', '/session', { cookie, headers: {} });
  expect(read.status).toBe(200);
  const out = await adminCall(gateway.origin, 'POST', '/logout', { cookie, headers: own });
  expect(out.status).toBe(200);
});

test('logins stand in the trail under the name, failures too, and a flood of them as few entries', async () => {
  const known = await newOperator('frank');
  await signInOperator(gateway, known);
  const attempts = Array.from({ length: 6 }, () =>
    login({ name: 'frank', secret: 'x', totp: '0' }),
  );
  const strangers = Array.from({ length: 6 }, (_, i) =>
    login({ name: `stranger-${i}`, secret: 'x', totp: '0' }),
  );
  await Promise.all([...attempts, ...strangers]);
  await gateway.app.engine.services.failedSignIns.flush();
  const franks = await trailOf('frank');
  expect(franks.map(({ action }) => action)).toContain('operator.signed_in');
  const failures = franks.filter(({ action }) => action === 'operator.sign_in_failed');
  expect(failures.length).toBeLessThanOrEqual(2);
  const counted = (entries: Record<string, unknown>[]): number =>
    entries.reduce((sum, { details }) => sum + (details as { attempts: number }).attempts, 0);
  expect(counted(failures)).toBe(6);
  const unknown = await trailOf('unknown');
  expect(counted(unknown)).toBeGreaterThanOrEqual(6);
  expect(JSON.stringify(unknown)).not.toContain('stranger');
});

test('no log line holds a secret, a code or a cookie', async () => {
  const right = await rightLogin();
  const answer = await login(right);
  const logs = gateway.logs();
  expect(logs.length).toBeGreaterThan(0);
  for (const secret of [
    right.secret,
    first.totpSecret,
    answer.headers.get('set-cookie')!.slice(12, 60),
  ]) {
    expect(logs).not.toContain(secret);
  }
});
