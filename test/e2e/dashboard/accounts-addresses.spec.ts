import { generate } from 'otplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  anonymous,
  firstOwner,
  signIn,
  type DashboardClient,
} from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { TestSmtpServer } from '../../support/smtp.js';

const PASSWORD = 'a long enough password';
const NEW = 'another long password';

let smtp: TestSmtpServer;
let gateway: TestGateway;
beforeAll(async () => {
  smtp = await TestSmtpServer.start();
  gateway = await startGateway({
    env: { SMTP_URL: smtp.url, MAIL_FROM: 'shunt@example.test' },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await smtp?.stop();
});

async function signUp(email: string): Promise<DashboardClient> {
  const visitor = await anonymous(gateway);
  const account = { email, password: PASSWORD, organization_name: 'Acme' };
  expect((await visitor.post('/api/sign-up', account)).status).toBe(202);
  return signIn(gateway, { email, password: PASSWORD });
}

/** The newest mail to an address, once everything due has been sent. */
async function lastMailTo(email: string): Promise<string> {
  await gateway.app.engine.services.mail.sendDue();
  const mail = await smtp.parse(smtp.accepted.findLast(({ to }) => to.includes(email)));
  return mail.text ?? '';
}

async function tokenMailedTo(email: string, path: string): Promise<string> {
  return new RegExp(`${path}#token=([\\w-]+)`).exec(await lastMailTo(email))?.[1] ?? '';
}

test('a newcomer works at once, and invites people and enables routing once the address is confirmed', async () => {
  const email = 'newcomer@example.test';
  const newcomer = await signUp(email);
  expect((await newcomer.session()).body.user).toMatchObject({ email, address_confirmed: false });
  const project = await newcomer.post('/api/projects', { name: 'First' });
  const key = await newcomer.post('/api/keys', { project_id: project.body.id, name: 'k' });
  expect([project.status, key.status]).toEqual([201, 201]);
  const call = await fetch(`${gateway.origin}/shunt/v1/project`, {
    headers: { authorization: `Bearer ${key.body.token}` },
  });
  expect(call.status).toBe(200);

  const invite = () =>
    newcomer.post('/api/invitations', { email: 'guest@example.test', role: 'member' });
  const activate = () => newcomer.post('/api/activation', { confirm: true, report_id: 'none' });
  for (const refused of [await invite(), await activate()]) {
    expect([refused.status, refused.body.error.code]).toEqual([403, 'address_not_confirmed']);
    expect(refused.body.error.message).toContain('/api/account/address/mail');
  }
  const again = await newcomer.post('/api/account/address/mail');
  expect([again.status, again.body.error.code]).toEqual([429, 'too_many_mails']);
  expect(Number(again.headers.get('retry-after'))).toBeGreaterThan(60);

  const token = await tokenMailedTo(email, '/confirm-address');
  const owner = await signIn(gateway, firstOwner(gateway));
  expect((await owner.get('/api/account')).body.address_confirmed).toBe(true);
  const foreign = await owner.post('/api/account/address/confirm', { token });
  expect([foreign.status, foreign.body.error.code]).toEqual([400, 'invalid_token']);
  expect((await newcomer.post('/api/account/address/confirm', { token })).status).toBe(204);
  expect((await newcomer.get('/api/account')).body.address_confirmed).toBe(true);
  expect((await newcomer.post('/api/account/address/confirm', { token })).status).toBe(400);
  const late = await newcomer.post('/api/account/address/mail');
  expect([late.status, late.body.error.code]).toEqual([409, 'already_confirmed']);
  expect((await invite()).status).toBe(201);
  expect((await activate()).body.error.code).toBe('unknown_report');
});

test('whose address a stranger signed up with, second factor and all, gets the account through the mail', async () => {
  const email = 'colleague@example.test';
  const stranger = await signUp(email);
  const { secret } = (await stranger.post('/api/account/totp', { password: PASSWORD })).body;
  const code = await generate({ secret });
  expect((await stranger.post('/api/account/totp/confirm', { code })).status).toBe(200);

  const colleague = await anonymous(gateway);
  await colleague.post('/api/password-reset', { email });
  const token = await tokenMailedTo(email, '/reset-password');
  const reset = await colleague.post('/api/password-reset/confirm', { token, password: NEW });
  expect(reset.status).toBe(204);
  expect((await stranger.get('/api/account')).status).toBe(401);
  const theirs = await signIn(gateway, { email, password: NEW });
  expect((await theirs.get('/api/account')).body).toMatchObject({
    address_confirmed: true,
    totp_enabled: false,
    recovery_codes_left: 0,
  });
  expect(await lastMailTo(email)).toContain('Project keys and provider keys stay as they were');
});
