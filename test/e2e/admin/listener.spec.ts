import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signInOperator } from '../../support/admin-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { sendRaw } from '../../support/raw-http.js';

let gateway: TestGateway;
let common: string;
let admin: string;
beforeAll(async () => {
  gateway = await startGateway({ env: { SHUNT_ADMIN_PORT: '0' } });
  common = gateway.origin;
  admin = gateway.app.adminOrigin!;
});
afterAll(() => gateway?.stop());

/** The target exactly as written, which no client that tidies URLs would send. */
async function raw(origin: string, target: string, headers = ''): Promise<string> {
  const { host } = new URL(origin);
  return sendRaw(
    origin,
    `GET ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n${headers}\r\n`,
  );
}

const statusOf = (answer: string): number => Number(answer.split(' ')[1]);

const ADMIN_WRITTEN = [
  '/admin', '/admin/', '/admin/api/session', '/admin/api/session?x=1', '//admin', '//admin/api/session', '/ADMIN',
  '/Admin/api/session', '/admin/..%2f', '/admin/..%2fadmin/api/session', '/%61dmin/api/session', '/./admin/api/session',
  '/x/../admin/api/session', '/admin%2fapi%2fsession', '/admin/api/%73ession', '/%2561dmin/api/session',
  '/v1/../admin/api/session', '/admin/api//session', '/admin;x/api/session', '/\\admin/api/session',
]; // prettier-ignore

describe('with a listener of their own for operators', () => {
  test('the common one has nothing under /admin, however it is written, not even for an operator', async () => {
    const { cookie } = await signInOperator(gateway);
    const port = new URL(common).port;
    for (const target of [...ADMIN_WRITTEN, `http://127.0.0.1:${port}/admin/api/session`]) {
      const answer = await raw(common, target, `cookie: ${cookie}\r\n`);
      // Paths of the gateway with ".." in them are refused by the gateway.
      expect([target, [400, 401, 404].includes(statusOf(answer))]).toEqual([target, true]);
      expect(answer).not.toContain('expires_at');
      expect(answer).not.toContain('not_signed_in');
    }
    const login = await fetch(`${common}/admin/api/login`, { method: 'POST', body: '{}' });
    expect(login.status).toBe(404);
  });

  test('theirs serves the admin API', async () => {
    const operator = await signInOperator(gateway);
    expect(await operator.call('GET', '/session')).toMatchObject({
      status: 200,
      body: { operator: { name: 'operator' } },
    });
  });

  test('theirs serves the probes, and nothing else: no calls, no dashboard, no application API', async () => {
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      expect(statusOf(await raw(admin, path))).toBe(200);
    }
    const others = [
      '/', '/api/session', '/api/projects', '/shunt/v1/project', '/v1/models', '/openai/v1/models', '/webhooks/paddle',
      '/admin/../api/session', '/admin/..%2fapi/session', '/admin/%2e%2e/shunt/v1/project', '//admin/api/session',
      '/ADMIN/api/session', '/administrator', '/healthz/../api/session', '/healthz%2f..%2fapi', '/readyzz',
      '/admin%2f..%2fapi', '/admin/api//session', '/admin\\..\\api', `${common}/admin/api/session`,
    ]; // prettier-ignore
    for (const target of others) {
      const answer = await raw(admin, target, `authorization: Bearer ${gateway.projectKey}\r\n`);
      expect([target, statusOf(answer)]).toEqual([target, 404]);
    }
  });

  test('a page of the common one may change nothing there', async () => {
    const { cookie } = await signInOperator(gateway);
    const headers = { cookie, origin: common, 'content-type': 'application/json' };
    const answer = await fetch(`${admin}/admin/api/logout`, {
      method: 'POST',
      headers,
      body: '{}',
    });
    expect(answer.status).toBe(403);
  });

  test('the answers of both carry the security headers', async () => {
    for (const [origin, path] of [
      [admin, '/admin/api/session'],
      [admin, '/nothing'],
      [common, '/admin'],
    ] as const) {
      const answer = await fetch(origin + path);
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      expect(answer.headers.get('content-security-policy')).not.toBeNull();
      expect(answer.headers.get('cache-control')).toBe('no-store');
    }
  });
});

test('without one the common listener serves /admin', async () => {
  const plain = await startGateway();
  try {
    expect(plain.app.adminOrigin).toBeNull();
    const operator = await signInOperator(plain);
    expect((await operator.call('GET', '/session')).status).toBe(200);
  } finally {
    await plain.stop();
  }
});

test('when the process ends, an answer under way on the operators’ listener is still given, and then it is closed', async () => {
  const other = await startGateway({ env: { SHUNT_ADMIN_PORT: '0' } });
  const origin = other.app.adminOrigin!;
  const body = JSON.stringify({ name: 'operator', secret: 'wrong', totp: '000000' });
  // A wrong login takes a second: long enough to stop meanwhile.
  const under = fetch(`${origin}/admin/api/login`, {
    method: 'POST',
    headers: { origin, 'content-type': 'application/json' },
    body,
  });
  const { operatorSignIn } = other.app.engine.services;
  const original = operatorSignIn.signIn.bind(operatorSignIn);
  const begun = new Promise<void>((resolve) => {
    operatorSignIn.signIn = (...args) => {
      resolve();
      return original(...args);
    };
  });
  await begun;
  const stopped = other.stop();
  expect((await under).status).toBe(401);
  await stopped;
  await expect(fetch(`${origin}/healthz`)).rejects.toThrow();
});
