import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { anonymous, firstOwner, signIn } from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { PausablePostgres } from '../reliability/pausable-postgres.js';
import {
  productionEnvironment,
  startDatabaseServer,
  type DatabaseServer,
} from '../operations/production-environment.js';

// How long an answer takes is what a password costs.
vi.unmock('bcrypt');

let postgres: PausablePostgres;
let gateway: TestGateway;
let server: DatabaseServer;
beforeAll(async () => {
  postgres = await PausablePostgres.start();
  gateway = await startGateway({ env: postgres.env });
  server = await startDatabaseServer();
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.remove();
  await server?.stop();
});

test('without the database the API says so and when to try again; the session goes on afterwards', async () => {
  const client = await signIn(gateway, firstOwner(gateway));
  await postgres.pause();
  try {
    for (const path of ['/api/account', '/api/members', '/api/session']) {
      const answer = await client.get(path);
      expect([path, answer.status, answer.body.error.code]).toEqual([
        path,
        503,
        'temporarily_unavailable',
      ]);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    const { email, password } = firstOwner(gateway);
    expect((await client.post('/api/login', { email, password })).status).toBe(503);
  } finally {
    await postgres.resume();
  }
  await expect.poll(async () => (await client.get('/api/account')).status).toBe(200);
});

test('in production every cookie is Secure and bound to the host', async () => {
  const env = { ...productionEnvironment(), ...(await server.freshDatabase()) };
  const production = await startGateway({ env });
  try {
    const origin = production.origin.replace('http:', 'https:');
    const https = { 'x-forwarded-proto': 'https', origin };
    const client = await anonymous(production, https);
    expect([...client.cookies.keys()]).toEqual(['__Host-shunt_anonymous']);
    const credentials = {
      email: env['SHUNT_BOOTSTRAP_EMAIL'],
      password: env['SHUNT_BOOTSTRAP_PASSWORD'],
    };
    const answer = await client.post('/api/login', credentials);
    expect(answer.status).toBe(200);
    const lines = answer.headers.getSetCookie();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^__Host-shunt_session=/);
    for (const flag of ['Secure', 'HttpOnly', 'SameSite=Lax', 'Path=/']) {
      expect(lines[0]!.split('; ')).toContain(flag);
    }
    expect(lines[0]).not.toMatch(/domain=/i);
    expect((await client.get('/api/account')).status).toBe(200);
    const out = await client.post('/api/logout');
    expect(out.headers.getSetCookie()[0]).toMatch(/^__Host-shunt_session=;.*; Secure/);
  } finally {
    await production.stop();
  }
});
