import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { PASSWORD, startAccounts, type AccountsRig, type TestPerson } from './accounts-rig.js';

let rig: AccountsRig;
beforeAll(async () => {
  rig = await startAccounts();
});
afterAll(() => rig?.stop());

const NEW = 'another long password';
const canSignIn = async ({ email }: TestPerson, password: string): Promise<boolean> =>
  (await rig.signIns.signIn({ email, password, client: 'x' })).kind === 'signed_in';

async function resetToken(person: TestPerson): Promise<string> {
  await rig.passwords.requestReset(person.email);
  const mails = await rig.mails('password_reset');
  return mails.findLast(({ recipient }) => recipient === person.userId)?.secret.token ?? '';
}

describe('a forgotten password', () => {
  test('is replaced by who gets the mail; every session ends, and a mail says so', async () => {
    const { orgId, people } = await rig.organizationOf('owner');
    const person = people[0]!;
    const { token: session } = await rig.signedIn(person);
    const token = await resetToken(person);
    expect(await rig.passwords.reset(token, NEW)).toEqual({ kind: 'reset' });
    expect(await rig.sessions.find(session)).toBeNull();
    expect(await canSignIn(person, PASSWORD)).toBe(false);
    expect(await canSignIn(person, NEW)).toBe(true);
    expect((await rig.mails('password_changed')).map(({ recipient }) => recipient)).toContain(
      person.userId,
    );
    expect(await rig.actions(orgId)).toContain('user.password_changed');
  });

  test('the link works once, also for two at the same time, and not after an hour', async () => {
    const person = await rig.addPerson();
    const token = await resetToken(person);
    const outcomes = await Promise.all([
      rig.passwords.reset(token, NEW),
      rig.passwords.reset(token, `${NEW} of somebody else`),
    ]);
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['invalid_token', 'reset']);
    expect((await rig.passwords.reset(token, NEW)).kind).toBe('invalid_token');
    rig.pass(3 * 60_000);
    const late = await resetToken(person);
    rig.pass(60 * 60_000);
    expect((await rig.passwords.reset(late, NEW)).kind).toBe('invalid_token');
  });

  test('of two links of one account at the same time one sets the password', async () => {
    const person = await rig.addPerson();
    const first = await resetToken(person);
    rig.pass(3 * 60_000);
    const second = await resetToken(person);
    const outcomes = await Promise.all([
      rig.passwords.reset(first, NEW),
      rig.passwords.reset(second, NEW),
    ]);
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['invalid_token', 'reset']);
  });

  test('a refused new password does not use the link up', async () => {
    const person = await rig.addPerson();
    const token = await resetToken(person);
    expect((await rig.passwords.reset(token, 'short')).kind).toBe('weak_password');
    expect((await rig.passwords.reset(token, person.email)).kind).toBe('weak_password');
    expect((await rig.passwords.reset(token, NEW)).kind).toBe('reset');
  });

  test('an address is not flooded, and an unknown one gets nothing', async () => {
    const person = await rig.addPerson();
    const sent = async () =>
      (await rig.mails('password_reset')).filter(({ recipient }) => recipient === person.userId);
    for (let i = 0; i < 10; i += 1) await rig.passwords.requestReset(person.email);
    expect(await sent()).toHaveLength(1);
    for (let i = 0; i < 10; i += 1) {
      rig.pass(3 * 60_000);
      await rig.passwords.requestReset(person.email);
    }
    expect(await sent()).toHaveLength(5);
    const before = (await rig.mails('password_reset')).length;
    await rig.passwords.requestReset('nobody@example.test');
    expect(await rig.mails('password_reset')).toHaveLength(before);
  });
});

describe('a changed password', () => {
  const changeOf = (person: TestPerson, currentPassword = PASSWORD) =>
    rig.passwords.change({
      ...person,
      currentPassword,
      newPassword: NEW,
      client: 'x',
      currentOrgId: null,
    });

  test('ends every session; the one that changed it goes on as a new one', async () => {
    const person = await rig.addPerson();
    const [own, other] = [await rig.signedIn(person), await rig.signedIn(person)];
    const open = await resetToken(person);
    const changed = await changeOf(person);
    if (changed.kind !== 'changed') throw new Error(changed.kind);
    expect(await rig.sessions.find(own.token)).toBeNull();
    expect(await rig.sessions.find(other.token)).toBeNull();
    expect(await rig.sessions.find(changed.session.token)).not.toBeNull();
    expect((await rig.passwords.reset(open, NEW)).kind).toBe('invalid_token');
    // Of somebody in no organization the installation's trail tells.
    expect(await rig.actions(INSTALLATION_ID)).toContain('user.password_changed');
  });

  test('needs the current one', async () => {
    const person = await rig.addPerson();
    const { token } = await rig.signedIn(person);
    expect((await changeOf(person, 'not the password')).kind).toBe('wrong_password');
    expect(await rig.sessions.find(token)).not.toBeNull();
  });
});

describe('signing up', () => {
  const account = (email: string) => ({ email, password: NEW, organizationName: 'Acme' });

  test('makes a person and an organization that is theirs', async () => {
    expect(await rig.signUps.signUp(account('new@example.test'))).toEqual({ kind: 'accepted' });
    const session = await rig.signIns.signIn({ ...account('NEW@example.test'), client: 'x' });
    if (session.kind !== 'signed_in') throw new Error(session.kind);
    const [own, ...others] = await rig.accounts.organizationsOf(session.userId);
    expect(own).toMatchObject({ name: 'Acme', role: 'owner' });
    expect(others).toEqual([]);
    expect(await rig.actions(own!.id)).toEqual(
      expect.arrayContaining(['organization.created', 'member.joined', 'user.signed_up']),
    );
  });

  test('with a taken address answers the same, changes nothing, and tells its owner once a day', async () => {
    const person = await rig.addPerson();
    for (let i = 0; i < 3; i += 1) {
      expect(await rig.signUps.signUp(account(person.email))).toEqual({ kind: 'accepted' });
    }
    expect(await canSignIn(person, PASSWORD)).toBe(true);
    expect(await canSignIn(person, NEW)).toBe(false);
    const told = (await rig.mails('email_taken')).filter(
      ({ recipient }) => recipient === person.userId,
    );
    expect(told).toHaveLength(1);
  });

  test('of two at the same time with one address one gets it', async () => {
    const email = 'twice@example.test';
    const outcomes = await Promise.all([
      rig.signUps.signUp(account(email)),
      rig.signUps.signUp({ ...account(email), password: 'a different password' }),
    ]);
    expect(outcomes).toEqual([{ kind: 'accepted' }, { kind: 'accepted' }]);
    const rows = await rig.db.database.query('SELECT id FROM users WHERE email = $1', [email]);
    expect(rows).toHaveLength(1);
  });
});
