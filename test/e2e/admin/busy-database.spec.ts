import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import { signInOperator } from '../../support/admin-client.js';
import { firstOwner, signIn } from '../../support/dashboard-client.js';
import { embeddedLogins } from '../../support/embedded-logins.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';

// How long an answer takes is what a password costs.
vi.unmock('bcrypt');

/** More than the pool of the runtime has connections. */
const READERS = 15;

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway?.stop());

test('however many slow sums members ask for, the kill switch finds the database free', async () => {
  const operator = await signInOperator(gateway);
  const owner = firstOwner(gateway);
  const member = await signIn(gateway, owner);
  const { superuserUrl } = embeddedLogins(gateway.dataDir);
  const asked = await withConnection(
    { url: superuserUrl, statementTimeoutMs: 20_000 },
    async (q) => {
      // As a log of very many calls would: who reads it does not come to an end.
      await q.query('BEGIN');
      await q.query('LOCK TABLE request_log IN ACCESS EXCLUSIVE MODE');
      const sums = Array.from({ length: READERS }, () => member.get('/api/usage'));
      const waiting = 'SELECT pid FROM pg_locks WHERE NOT granted';
      await expect.poll(() => q.query(waiting), { timeout: 10_000 }).not.toEqual([]);
      const killed = await operator.call('POST', `/organizations/${owner.orgId}/kill`, {
        reason: 'test',
      });
      expect([killed.status, killed.body['hold']]).toEqual([200, true]);
      await q.query('ROLLBACK');
      return Promise.all(sums);
    },
  );
  expect(asked.map(({ status }) => status)).toEqual(Array.from({ length: READERS }, () => 200));
});
