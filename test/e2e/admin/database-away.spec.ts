import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { adminCall, signInOperator, type AdminClient } from '../../support/admin-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { PausablePostgres } from '../reliability/pausable-postgres.js';

// How long an answer takes is what a password costs.
vi.unmock('bcrypt');

/** An operator in a hurry is not kept waiting for a database that is gone. */
const ANSWER_MS_MAX = 6_000;

let postgres: PausablePostgres;
let gateway: TestGateway;
let operator: AdminClient;
let orgId: string;
beforeAll(async () => {
  postgres = await PausablePostgres.start();
  gateway = await startGateway({ env: postgres.env });
  operator = await signInOperator(gateway);
  const found = await gateway.app.engine.principals.find(gateway.projectKey);
  if (found.kind !== 'known') throw new Error(found.kind);
  ({ orgId } = found.principal);
  await postgres.pause();
});
afterAll(async () => {
  await postgres?.resume();
  await gateway?.stop();
  await postgres?.remove();
});

test('without the database the kill switch says so at once, and what works instead', async () => {
  const startedMs = performance.now();
  const killed = await operator.call<{ error: { code: string; message: string } }>(
    'POST',
    `/organizations/${orgId}/kill`,
    { reason: 'an incident' },
  );
  expect(killed.status).toBe(503);
  expect(killed.body.error.code).toBe('database_unavailable');
  expect(killed.body.error.message).toContain('kill --local');
  expect(performance.now() - startedMs).toBeLessThan(ANSWER_MS_MAX);
});

test('without the database nobody is let in, and nobody is told that the credentials were wrong', async () => {
  const body = { name: 'operator', secret: 'anything', totp: '123456' };
  const login = await adminCall(gateway.origin, 'POST', '/login', { body });
  expect(login).toMatchObject({ status: 503, body: { error: { code: 'database_unavailable' } } });
});

test('calls go on', async () => {
  const answer = await fetch(`${gateway.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.projectKey}`, 'content-type': 'application/json' },
    body: '{"model":"gpt-5.4","messages":[{"role":"user","content":"hello"}]}',
  });
  expect(answer.status).toBe(200);
});
