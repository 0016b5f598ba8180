import { generate } from 'otplib';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { anonymous, firstOwner, signIn } from '../../support/dashboard-client.js';
import { embeddedLogins } from '../../support/embedded-logins.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { huntTables, LeakHunt, randomUnit } from '../../support/leak-hunt.js';
import { mailedToken } from './accounts-mail.js';

// How long an answer takes is what a password costs.
vi.unmock('bcrypt');

const PASSWORD = 'a long enough password';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({ env: { SHUNT_TRUSTED_PROXIES: '127.0.0.1' } });
});
afterAll(() => gateway?.stop());

let addresses = 0;
/** Each from an address of its own, so that one test's failures slow no other. */
const from = (): Record<string, string> => {
  addresses += 1;
  return { 'x-forwarded-for': `192.0.2.${addresses}` };
};
const visitor = () => anonymous(gateway, from());
const account = (email: string) => ({ email, password: PASSWORD, organization_name: 'Acme' });

const median = (times: readonly number[]): number =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!;

describe('signing up', () => {
  test('answers a new and a taken address in the same words, and signs nobody in', async () => {
    const client = await visitor();
    const fresh = await client.post('/api/sign-up', account('fresh@example.test'));
    const taken = await client.post('/api/sign-up', account('fresh@example.test'));
    expect([fresh.status, taken.status]).toEqual([202, 202]);
    expect(taken.text).toBe(fresh.text);
    const named = (headers: Headers) => [...headers.keys()].filter((name) => name !== 'date');
    expect(named(taken.headers)).toEqual(named(fresh.headers));
    expect((await client.session()).body.signed_in).toBe(false);
    const signedIn = await signIn(gateway, { email: 'FRESH@example.test', password: PASSWORD });
    expect((await signedIn.session()).body.organizations).toMatchObject([
      { name: 'Acme', role: 'owner' },
    ]);
  });

  test('takes the same time for both', async () => {
    const timeOf = async (email: string): Promise<number> => {
      const client = await visitor();
      const began = performance.now();
      await client.post('/api/sign-up', account(email));
      return performance.now() - began;
    };
    const times: Record<'taken' | 'fresh', number[]> = { taken: [], fresh: [] };
    // In turns, so that whatever else the machine does falls on both.
    for (let i = 0; i < 5; i += 1) {
      times.taken.push(await timeOf('owner@example.test'));
      times.fresh.push(await timeOf(`${randomUnit()}@example.test`));
    }
    const [taken, fresh] = [median(times.taken), median(times.fresh)];
    expect(Math.min(taken, fresh)).toBeGreaterThan(650);
    expect(Math.abs(taken - fresh)).toBeLessThan(0.3 * Math.max(taken, fresh));
  });

  test.each([
    ['a short password', { password: 'short' }, /^password: /],
    ['a password that is the address', { password: 'someone@example.test' }, /^password: /],
    ['a password that no hash holds', { password: 'ö'.repeat(40) }, /^password: /],
    ['what is no address', { email: 'nobody' }, /^email: /],
    ['no name', { organization_name: ' ' }, /^organization_name: /],
  ])('says which field is wrong: %s', async (_, wrong, message) => {
    const answer = await (
      await visitor()
    ).post('/api/sign-up', {
      ...account('someone@example.test'),
      ...wrong,
    });
    expect([answer.status, answer.body.error.code]).toEqual([400, 'invalid_request']);
    expect(answer.body.error.message).toMatch(message);
  });

  test('is refused where the installation is closed', async () => {
    const closed = await startGateway({ env: { SHUNT_SIGN_UP: 'closed' } });
    try {
      const client = await anonymous(closed);
      const answer = await client.post('/api/sign-up', account('new@example.test'));
      expect([answer.status, answer.body.error.code]).toEqual([403, 'sign_up_closed']);
    } finally {
      await closed.stop();
    }
  });
});

describe('a forgotten password', () => {
  test('is asked for in the same words and time, whoever the address is', async () => {
    const ask = async (email: string) => {
      const client = await visitor();
      const began = performance.now();
      const { status, text } = await client.post('/api/password-reset', { email });
      return { status, text, ms: performance.now() - began };
    };
    const known = [];
    const unknown = [];
    for (let i = 0; i < 5; i += 1) {
      known.push(await ask('owner@example.test'));
      unknown.push(await ask('nobody@example.test'));
    }
    expect(known[0]).toMatchObject({ status: 202, text: unknown[0]!.text });
    const [a, b] = [median(known.map(({ ms }) => ms)), median(unknown.map(({ ms }) => ms))];
    expect(Math.min(a, b)).toBeGreaterThan(240);
    expect(Math.abs(a - b)).toBeLessThan(0.4 * Math.max(a, b));
  });

  test('is replaced through the mail alone; all sessions end', async () => {
    const email = 'forgetful@example.test';
    await (await visitor()).post('/api/sign-up', account(email));
    const before = await signIn(gateway, { email, password: PASSWORD }, from());
    const client = await visitor();
    await client.post('/api/password-reset', { email });
    const token = (await mailedToken(gateway, 'password_reset')) ?? '';
    expect(token).toHaveLength(43);
    const given = { token, password: 'a brand new password' };
    const weak = await client.post('/api/password-reset/confirm', { token, password: email });
    expect(weak.status).toBe(400);
    expect((await client.post('/api/password-reset/confirm', given)).status).toBe(204);
    const again = await client.post('/api/password-reset/confirm', given);
    expect([again.status, again.body.error.code]).toEqual([400, 'invalid_token']);
    expect((await before.get('/api/account')).status).toBe(401);
    await signIn(gateway, { email, password: given.password }, from());
  });
});

describe('an account', () => {
  test('changes its password with the old one, and goes on in a new session', async () => {
    const email = 'changing@example.test';
    await (await visitor()).post('/api/sign-up', account(email));
    const client = await signIn(gateway, { email, password: PASSWORD }, from());
    const other = await signIn(gateway, { email, password: PASSWORD }, from());
    const cookie = client.cookies.get('shunt_session');
    const wrong = { current_password: 'not the password', new_password: 'another password' };
    expect((await client.post('/api/account/password', wrong)).status).toBe(403);
    const right = { ...wrong, current_password: PASSWORD };
    expect((await client.post('/api/account/password', right)).status).toBe(200);
    expect(client.cookies.get('shunt_session')).not.toBe(cookie);
    expect((await client.delete('/api/sessions')).status).toBe(200);
    expect((await other.get('/api/account')).status).toBe(401);
  });

  test('says of each organization whether it wants reminders', async () => {
    const client = await signIn(gateway, firstOwner(gateway), from());
    const { orgId } = firstOwner(gateway);
    const change = { organization_id: orgId, reminders: false };
    const answer = await client.patch('/api/account', change);
    expect(answer.body.organizations).toMatchObject([{ id: orgId, reminders: false }]);
    const foreign = { ...change, organization_id: '0190f3a2-1111-4222-8333-444455556666' };
    expect((await client.patch('/api/account', foreign)).status).toBe(404);
  });

  test('gets a second factor, which its organization can ask of everybody', async () => {
    const email = 'careful@example.test';
    await (await visitor()).post('/api/sign-up', account(email));
    const client = await signIn(gateway, { email, password: PASSWORD }, from());
    const on = { require_totp: true };
    const early = await client.patch('/api/organization/security', on);
    expect([early.status, early.body.error.code]).toEqual([409, 'totp_not_enabled']);
    const guess = await client.post('/api/account/totp', { password: 'not the password' });
    expect([guess.status, guess.body.error.code]).toEqual([403, 'wrong_password']);
    const { secret, uri } = (await client.post('/api/account/totp', { password: PASSWORD })).body;
    expect(uri).toContain('otpauth://totp/Shunt:');
    const code = await generate({ secret });
    const confirmed = await client.post('/api/account/totp/confirm', { code });
    expect(confirmed.body.recovery_codes).toHaveLength(8);
    expect((await client.patch('/api/organization/security', on)).status).toBe(204);

    const needed = await (await visitor()).post('/api/login', { email, password: PASSWORD });
    expect([needed.status, needed.body.error.code]).toEqual([401, 'totp_needed']);
    const used = await (
      await visitor()
    ).post('/api/login', { email, password: PASSWORD, totp: code });
    expect([used.status, used.body.error.code]).toEqual([401, 'wrong_credentials']);
    const recovery = { email, password: PASSWORD, recovery_code: confirmed.body.recovery_codes[0] };
    expect((await (await visitor()).post('/api/login', recovery)).status).toBe(200);

    const invited = { email: 'colleague@example.test', role: 'member' };
    expect((await client.post('/api/invitations', invited)).status).toBe(201);
    const { organization_id: orgId } = (await client.session()).body;
    const colleague = await visitor();
    const token = await mailedToken(gateway, 'invitation', orgId);
    const accepted = await colleague.post('/api/invitations/accept', { token, password: PASSWORD });
    expect(accepted.status).toBe(200);
    const refused = await colleague.get('/api/members');
    expect([refused.status, refused.body.error.code]).toEqual([403, 'totp_required']);
    expect((await colleague.get('/api/account')).status).toBe(200);
    const begun = await colleague.post('/api/account/totp', { password: PASSWORD });
    const theirs = { code: await generate({ secret: begun.body.secret }) };
    expect((await colleague.post('/api/account/totp/confirm', theirs)).status).toBe(200);
    expect((await colleague.get('/api/members')).status).toBe(200);

    const removal = { password: 'not the password' };
    expect((await client.delete('/api/account/totp', removal)).status).toBe(403);
    expect((await client.delete('/api/account/totp', { password: PASSWORD })).status).toBe(204);
    expect((await client.get('/api/members')).body.error.code).toBe('totp_required');
  });
});

describe('an invitation', () => {
  test('is listed, withdrawn, and followed by who is signed in with its address', async () => {
    const owner = await signIn(gateway, firstOwner(gateway), from());
    const { orgId } = firstOwner(gateway);
    const email = 'guest@example.test';
    await (await visitor()).post('/api/sign-up', account(email));
    const first = await owner.post('/api/invitations', { email, role: 'admin' });
    const listed = (await owner.get('/api/invitations')).body.data;
    expect(listed).toMatchObject([{ id: first.body.id, email, role: 'admin' }]);
    const token = await mailedToken(gateway, 'invitation', orgId);
    expect((await owner.delete(`/api/invitations/${first.body.id}`)).status).toBe(204);
    const guest = await signIn(gateway, { email, password: PASSWORD }, from());
    const withdrawn = await guest.post('/api/invitations/accept', { token });
    expect([withdrawn.status, withdrawn.body.error.code]).toEqual([404, 'unknown_invitation']);
    await owner.post('/api/invitations', { email, role: 'admin' });
    const next = await mailedToken(gateway, 'invitation', orgId);
    const stranger = await visitor();
    const known = await stranger.post('/api/invitations/accept', {
      token: next,
      password: PASSWORD,
    });
    expect(known.body.error.code).toBe('sign_in_first');
    const accepted = await guest.post('/api/invitations/accept', { token: next });
    expect(accepted.body).toEqual({ organization_id: orgId });
    guest.use(orgId);
    const foreign = await guest.post('/api/invitations', {
      email: 'x@example.test',
      role: 'owner',
    });
    expect([foreign.status, foreign.body.error.code]).toEqual([403, 'not_permitted']);
    const { id } = (await guest.session()).body.user;
    expect((await guest.delete(`/api/members/${id}`)).status).toBe(204);
    expect((await guest.get('/api/members')).status).toBe(404);
  });
});

test('no address, password, token, code or secret is in a log or, but for the address of the account, in a table', async () => {
  const unit = () => randomUnit() + randomUnit();
  const [email, password, guess] = [`${unit()}@${unit()}.test`, unit(), unit()];
  const [invited, typo] = [`${unit()}@${unit()}.test`, `${unit()}@${unit()}.test`];
  const client = await visitor();
  await client.post('/api/sign-up', { email, password, organization_name: 'Acme' });
  await client.post('/api/sign-up', { email, password, organization_name: 'Acme' });
  await client.post('/api/login', { email: typo, password: guess });
  await client.post('/api/login', { email, password: guess });
  await client.post('/api/password-reset', { email: typo });
  await client.post('/api/password-reset', { email });
  const reset = (await mailedToken(gateway, 'password_reset')) ?? '';
  const member = await signIn(gateway, { email, password }, from());
  await member.post('/api/invitations', { email: invited, role: 'member' });
  const { organization_id: orgId } = (await member.session()).body;
  const invitation = (await mailedToken(gateway, 'invitation', orgId)) ?? '';
  const { secret } = (await member.post('/api/account/totp', { password })).body;
  const code = await generate({ secret });
  const { body } = await member.post('/api/account/totp/confirm', { code });
  await member.post('/api/nothing', { password });
  await fetch(`${gateway.origin}/api/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: gateway.origin },
    body: `{"email":"${email}","password":"${password}`,
  });
  await gateway.app.engine.services.failedSignIns.flush();

  const session = decodeURIComponent(member.cookies.get('shunt_session') ?? '');
  const needles = {
    email, invited, typo, password, guess, reset, secret,
    invitation: invitation.slice(32),
    session: session.split('.')[1] ?? '',
    csrf: member.csrfToken,
    recovery: body.recovery_codes[0] as string,
  }; // prettier-ignore
  for (const [name, text] of Object.entries(needles))
    expect([name, text.length > 12]).toEqual([name, true]);
  const hunt = new LeakHunt(Object.entries(needles).map(([name, text]) => ({ name, text })));
  hunt.text('the log', gateway.logs());
  const tables = await huntTables(hunt, embeddedLogins(gateway.dataDir).superuserUrl);
  expect(tables.get('sessions')).toBeGreaterThan(0);
  expect(tables.get('invitations')).toBeGreaterThan(0);
  const elsewhere = hunt.hits.filter(
    ({ needle, place }) => !(needle === 'email' && place === 'table users'),
  );
  expect(elsewhere).toEqual([]);
  expect(hunt.hits.length).toBeGreaterThan(0);
});
