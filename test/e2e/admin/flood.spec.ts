import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { adminCall, codeOf, firstOperator, forgetCodes } from '../../support/admin-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { measured } from '../reliability/until.js';

// How long an answer takes is what a password costs.
vi.unmock('bcrypt');

const ATTACKERS = 2_000;
/** However many strangers are at it: from a right login's first byte to its answer. */
const RIGHT_LOGIN_MS_MAX = 5_000;
/** Two of each name per minute; it may turn once while the test runs. */
const ENTRIES_MAX = 8;

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({ env: { SHUNT_TRUSTED_PROXIES: '127.0.0.1', LOG_LEVEL: 'warn' } });
});
afterAll(() => gateway?.stop());

const from = (address: string) => ({ origin: gateway.origin, 'x-forwarded-for': address });

async function attack(i: number): Promise<number> {
  // Half of them know the name, and some the secret; none of them has the code.
  const { secret } = firstOperator(gateway);
  const body = {
    name: i % 2 === 0 ? 'operator' : `guess-${i}`,
    secret: i % 10 === 0 ? secret : `guess ${i}`,
    totp: 'none',
  };
  const headers = from(`203.${i % 200}.${Math.floor(i / 200)}.7`);
  return (await adminCall(gateway.origin, 'POST', '/login', { body, headers })).status;
}

async function rightLogin(address: string): Promise<{ status: number; ms: number }> {
  await forgetCodes(gateway);
  const first = firstOperator(gateway);
  const body = { name: 'operator', secret: first.secret, totp: await codeOf(first) };
  const startedMs = performance.now();
  const answer = await adminCall(gateway.origin, 'POST', '/login', {
    body,
    headers: from(address),
  });
  return { status: answer.status, ms: Math.round(performance.now() - startedMs) };
}

test('while 2,000 strangers guess at once, the operator gets in, and is not made to wait for them', async () => {
  const calm = await rightLogin('192.0.2.1');
  expect(calm.status).toBe(200);
  const statuses: Promise<number>[] = [];
  for (let i = 0; i < ATTACKERS; i += 1) statuses.push(attack(i));
  const flooded = await rightLogin('192.0.2.2');
  // From the address of a guesser too: whoever shares one with a stranger is not shut out either.
  const shared = await rightLogin('203.0.0.7');
  const third = await rightLogin('192.0.2.3');
  const all = await Promise.all(statuses);
  const counts = Object.groupBy(all, (status) => status);
  const answered = Object.entries(counts).map(([status, list]) => `${status}: ${list?.length}`);
  measured('a right login in quiet', `${calm.ms} ms`);
  measured(
    `right logins during ${ATTACKERS} wrong ones`,
    `${flooded.ms} ms, ${shared.ms} ms from a guesser's address, ${third.ms} ms`,
  );
  measured('the wrong ones were answered', answered.join(', '));
  for (const { status, ms } of [flooded, shared, third]) {
    expect(status).toBe(200);
    expect(ms).toBeLessThan(RIGHT_LOGIN_MS_MAX);
  }
  expect(all.every((status) => status === 401 || status === 429)).toBe(true);
  await gateway.app.engine.services.failedSignIns.flush();
  const { database } = gateway.app.engine;
  const [trail] = await database.tenant('00000000-0000-0000-0000-000000000000', (q) =>
    q.query<{ entries: number; attempts: number }>(
      `SELECT count(*)::int AS entries, sum((details ->> 'attempts')::int)::int AS attempts
         FROM audit_log WHERE action = 'operator.sign_in_failed'`,
    ),
  );
  expect(trail!.attempts).toBe(ATTACKERS);
  expect(trail!.entries).toBeLessThanOrEqual(ENTRIES_MAX);
}, 180_000);
