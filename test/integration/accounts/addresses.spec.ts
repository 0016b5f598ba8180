import { randomUUID } from 'node:crypto';
import { generate } from 'otplib';
import type { QueryRunner } from 'typeorm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfirmedAddresses1763930000000 } from '../../../migrations/1763930000000-confirmed-addresses.js';
import { PASSWORD, startAccounts, type AccountsRig, type TestPerson } from './accounts-rig.js';

let rig: AccountsRig;
beforeAll(async () => {
  rig = await startAccounts();
});
afterAll(() => rig?.stop());

const DAY_MS = 24 * 60 * 60_000;
const NEW = 'another long password';

const mailsTo = async (kind: string, { userId }: TestPerson) =>
  (await rig.mails(kind)).filter(({ recipient }) => recipient === userId);
const lastToken = async (kind: string, person: TestPerson): Promise<string> =>
  (await mailsTo(kind, person)).at(-1)?.secret.token ?? '';

async function isConfirmed({ userId }: TestPerson): Promise<boolean> {
  const [row] = await rig.db.database.query<{ at: Date | null }>(
    'SELECT confirmed_at AS at FROM users WHERE id = $1',
    [userId],
  );
  return row?.at !== null;
}

async function unconfirmedOwner(): Promise<TestPerson & { readonly orgId: string }> {
  const person = await rig.addPerson({ confirmed: false });
  const { orgId } = await rig.db.createTenant();
  await rig.join(orgId, person.userId, 'owner');
  return { ...person, orgId };
}

async function addFactor(person: TestPerson): Promise<void> {
  const begun = await rig.totp.begin(person.userId, person.email);
  if (begun.kind !== 'begun') throw new Error(begun.kind);
  const code = await generate({ secret: begun.secret });
  const at = { userId: person.userId, sessionId: randomUUID() };
  expect((await rig.totp.confirm(at, code)).kind).toBe('enabled');
}

describe('an address', () => {
  test('is confirmed by the link that signing up mails, once, by who made the account', async () => {
    const email = 'new@example.test';
    await rig.signUps.signUp({ email, password: PASSWORD, organizationName: 'Acme' });
    const session = await rig.signedIn({ userId: '', email });
    const found = await rig.sessions.find(session.token);
    expect(found).toMatchObject({ addressConfirmed: false });
    const person = { email, userId: found?.userId ?? '' };
    const token = await lastToken('address_confirmation', person);
    const stranger = await rig.addPerson({ confirmed: false });
    expect(await rig.addresses.confirm(stranger.userId, token)).toBe(false);
    // Nor does what is mailed for one thing open another.
    expect((await rig.passwords.reset(token, NEW)).kind).toBe('invalid_token');
    expect(await rig.addresses.confirm(person.userId, token)).toBe(true);
    expect(await rig.addresses.confirm(person.userId, token)).toBe(false);
    expect(await rig.sessions.find(session.token)).toMatchObject({ addressConfirmed: true });
    const [own] = await rig.accounts.organizationsOf(person.userId);
    expect((await rig.entries(own!.id))[0]).toMatchObject({
      action: 'user.address_confirmed',
      subject: person.userId,
      details: '{"by": "mail"}',
    });
    expect(await isConfirmed(stranger)).toBe(false);
  });

  test('is not confirmed by a link that is a day old', async () => {
    const person = await rig.addPerson({ confirmed: false });
    await rig.addresses.mailLink(person.userId);
    rig.pass(DAY_MS);
    const token = await lastToken('address_confirmation', person);
    expect(await rig.addresses.confirm(person.userId, token)).toBe(false);
    expect(await isConfirmed(person)).toBe(false);
  });

  test('gets another link every two minutes, five a day, and none once it is confirmed', async () => {
    const person = await rig.addPerson({ confirmed: false });
    const send = () => rig.addresses.mailLink(person.userId);
    expect(await send()).toEqual({ kind: 'mailed' });
    expect(await send()).toEqual({ kind: 'too_many', retryAfterSeconds: 120 });
    for (let i = 0; i < 4; i += 1) {
      rig.pass(120_000);
      expect(await send()).toEqual({ kind: 'mailed' });
    }
    rig.pass(120_000);
    expect(await send()).toEqual({ kind: 'too_many', retryAfterSeconds: DAY_MS / 1_000 - 600 });
    // A forgotten password does not wait for that.
    await rig.passwords.requestReset(person.email);
    expect(await mailsTo('password_reset', person)).toHaveLength(1);
    const token = await lastToken('address_confirmation', person);
    expect(await rig.addresses.confirm(person.userId, token)).toBe(true);
    expect(await send()).toEqual({ kind: 'already_confirmed' });
    expect(await mailsTo('address_confirmation', person)).toHaveLength(5);
  });

  test('is confirmed by an invitation that is accepted, with an account or by a new one', async () => {
    const { orgId, people } = await rig.organizationOf('owner');
    const actor = rig.actor(people[0]!, 'owner');
    const known = await rig.addPerson({ confirmed: false });
    for (const email of [known.email, 'brand-new@example.test']) {
      await rig.invitations.invite(orgId, { email, role: 'member' }, actor);
    }
    const mails = await rig.mails('invitation', orgId);
    const tokenFor = (email: string) =>
      mails.find(({ secret }) => secret.address === email)?.secret.token ?? '';
    const joined = await rig.invitations.accept(tokenFor(known.email), { kind: 'user', ...known });
    expect(joined.kind).toBe('joined');
    expect(await isConfirmed(known)).toBe(true);
    expect(await rig.actions(orgId)).toContain('user.address_confirmed');
    const made = await rig.invitations.accept(tokenFor('brand-new@example.test'), {
      kind: 'new',
      password: PASSWORD,
      client: 'x',
    });
    if (made.kind !== 'joined' || made.session === null) throw new Error(made.kind);
    expect(await rig.sessions.find(made.session.token)).toMatchObject({ addressConfirmed: true });
  });
});

describe('a reset password', () => {
  test('of an unconfirmed address gives the account to its owner: the second factor and the sessions of whoever made it are gone', async () => {
    const person = await unconfirmedOwner();
    const { token: session } = await rig.signedIn(person);
    await addFactor(person);
    await rig.addresses.mailLink(person.userId);
    const link = await lastToken('address_confirmation', person);
    await rig.passwords.requestReset(person.email);
    const token = await lastToken('password_reset', person);
    expect(await rig.passwords.reset(token, NEW)).toEqual({ kind: 'reset' });

    expect(await rig.sessions.find(session)).toBeNull();
    expect(await rig.totp.recoveryCodesLeft(person.userId)).toBe(0);
    const given = { email: person.email, password: NEW, client: 'x' };
    expect((await rig.signIns.signIn(given)).kind).toBe('signed_in');
    expect(await isConfirmed(person)).toBe(true);
    expect(await rig.addresses.confirm(person.userId, link)).toBe(false);
    const told = (await rig.entries(person.orgId)).map(
      ({ action, newValue, details }) => `${action} ${newValue ?? details}`,
    );
    expect(told.slice(1, 4)).toEqual([
      'user.password_changed {"by": "reset"}',
      'user.totp_changed disabled',
      'user.address_confirmed {"by": "reset"}',
    ]);
    expect(await mailsTo('password_changed', person)).toMatchObject([
      { data: { taken_over: true } },
    ]);
  });

  test('is chosen at the command line too for who never confirmed the address, and for nobody else', async () => {
    const person = await unconfirmedOwner();
    const { token: session } = await rig.signedIn(person);
    await addFactor(person);
    const actor = { kind: 'command', name: 'root' } as const;
    expect(await rig.passwords.handOver(person.userId, NEW, actor)).toBe(true);
    expect(await rig.sessions.find(session)).toBeNull();
    const given = { email: person.email, password: NEW, client: 'x' };
    expect((await rig.signIns.signIn(given)).kind).toBe('signed_in');
    const told = (await rig.entries(person.orgId)).filter(({ actor: name }) => name === 'root');
    expect(told.map(({ action }) => action)).toEqual([
      'user.password_changed',
      'user.totp_changed',
      'user.address_confirmed',
    ]);
    expect(await rig.passwords.handOver(person.userId, PASSWORD, actor)).toBe(false);
    expect((await rig.signIns.signIn(given)).kind).toBe('signed_in');
  });

  test('of a confirmed one leaves the second factor as it is', async () => {
    const person = await rig.addPerson();
    await addFactor(person);
    await rig.passwords.requestReset(person.email);
    const token = await lastToken('password_reset', person);
    expect(await rig.passwords.reset(token, NEW)).toEqual({ kind: 'reset' });
    const given = { email: person.email, password: NEW, client: 'x' };
    expect((await rig.signIns.signIn(given)).kind).toBe('totp_needed');
    expect(await mailsTo('password_changed', person)).toMatchObject([
      { data: { taken_over: false } },
    ]);
  });

  test('a changed one confirms nothing, and spares the link that does', async () => {
    const person = await rig.addPerson({ confirmed: false });
    await rig.addresses.mailLink(person.userId);
    const changed = await rig.passwords.change({
      ...person,
      currentPassword: PASSWORD,
      newPassword: NEW,
      client: 'x',
      currentOrgId: null,
    });
    expect(changed.kind).toBe('changed');
    expect(await isConfirmed(person)).toBe(false);
    const token = await lastToken('address_confirmation', person);
    expect(await rig.addresses.confirm(person.userId, token)).toBe(true);
  });
});

test('whoever had an account before addresses were confirmed has a confirmed one', async () => {
  const person = await rig.addPerson({ confirmed: false });
  await rig.addresses.mailLink(person.userId);
  const runner = { query: (sql: string) => rig.db.owner.query(sql) } as unknown as QueryRunner;
  const migration = new ConfirmedAddresses1763930000000();
  await migration.down(runner);
  await migration.up(runner);
  expect(await isConfirmed(person)).toBe(true);
});
