import { afterAll, beforeAll, expect, test } from 'vitest';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { signInOperator, type AdminClient } from '../../support/admin-client.js';
import { anonymous } from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';

let gateway: TestGateway;
let operator: AdminClient;
beforeAll(async () => {
  gateway = await startGateway();
  operator = await signInOperator(gateway);
});
afterAll(() => gateway?.stop());

test('with mail off an operator hands over a reset link, which works, and the trail tells that it was opened', async () => {
  const person = await anonymous(gateway);
  expect((await person.post('/api/password-reset', { email: 'owner@example.test' })).status).toBe(
    202,
  );
  const listed = await operator.call<{ data: { id: string; has_link: boolean }[] }>('GET', '/mail');
  const { data } = listed.body;
  const waiting = data.find((item) => item.has_link)!;
  // Letter case makes no other id.
  const path = `/mail/${INSTALLATION_ID}/${waiting.id.toUpperCase()}`;
  const opened = await operator.call('POST', `${path}/link`, {});
  expect(opened.status).toBe(200);
  const token = /#token=(.+)$/.exec(String(opened.body['path']))?.[1];
  const body = { token, password: 'a new and long password' };
  expect((await person.post('/api/password-reset/confirm', body)).status).toBeLessThan(300);
  const trail = await gateway.app.engine.services.auditTrail.list(INSTALLATION_ID, { limit: 50 });
  expect(trail.find(({ action }) => action === 'mail.link_opened')).toMatchObject({
    actorKind: 'operator',
    subject: waiting.id,
  });
  expect(JSON.stringify(trail)).not.toContain(token);
  expect((await operator.call('POST', `${path}/resend`, {})).status).toBe(409);
  expect((await operator.call('POST', `${path.slice(0, -1)}x/link`, {})).status).toBe(400);
});
