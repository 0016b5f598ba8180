import { randomUUID } from 'node:crypto';
import { generate } from 'otplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GivenFactor } from '../../../src/modules/accounts/second-factor.js';
import { PASSWORD, startAccounts, type AccountsRig, type TestPerson } from './accounts-rig.js';

let rig: AccountsRig;
beforeAll(async () => {
  rig = await startAccounts();
});
afterAll(() => rig?.stop());

const STEP_SECONDS = 30;
/** The code of now, or of steps later: a clock may differ by one step. */
const codeOf = (secret: string, stepsLater = 0): Promise<string> =>
  generate({ secret, epoch: Math.floor(Date.now() / 1000) + stepsLater * STEP_SECONDS });

const signIn = async ({ email }: TestPerson, given: GivenFactor = {}): Promise<string> =>
  (await rig.signIns.signIn({ email, password: PASSWORD, client: 'x', ...given })).kind;

/** In a browser of whose session nothing is said. */
const at = ({ userId }: TestPerson) => ({ userId, sessionId: randomUUID() });

async function enrolled() {
  const { orgId, people } = await rig.organizationOf('owner');
  const person = people[0]!;
  const begun = await rig.totp.begin(person.userId, person.email);
  if (begun.kind !== 'begun') throw new Error(begun.kind);
  const confirmed = await rig.totp.confirm(at(person), await codeOf(begun.secret));
  if (confirmed.kind !== 'enabled') throw new Error(confirmed.kind);
  return { orgId, person, secret: begun.secret, recoveryCodes: confirmed.recoveryCodes };
}

describe('a second factor', () => {
  test('is asked for only after a right password', async () => {
    const { person } = await enrolled();
    expect(await signIn(person)).toBe('totp_needed');
    const wrong = { email: person.email, password: 'a wrong password', client: 'x' };
    expect((await rig.signIns.signIn(wrong)).kind).toBe('wrong_credentials');
  });

  test('is not asked for before its first code was right', async () => {
    const person = await rig.addPerson();
    const begun = await rig.totp.begin(person.userId, person.email);
    if (begun.kind !== 'begun') throw new Error(begun.kind);
    expect(begun.uri).toContain('otpauth://totp/');
    expect((await rig.totp.confirm(at(person), '000000')).kind).toBe('wrong_code');
    expect(await signIn(person)).toBe('signed_in');
    expect(await rig.totp.confirm(at(await rig.addPerson()), '000000')).toEqual({
      kind: 'not_begun',
    });
  });

  test('a code works once: not the one that enrolled, nor for two at the same time', async () => {
    const { person, secret } = await enrolled();
    expect(await signIn(person, { totp: await codeOf(secret) })).toBe('wrong_credentials');
    const next = await codeOf(secret, 1);
    const kinds = await Promise.all([
      signIn(person, { totp: next }),
      signIn(person, { totp: next }),
      signIn(person, { totp: next }),
    ]);
    expect(kinds.toSorted()).toEqual(['signed_in', 'wrong_credentials', 'wrong_credentials']);
    expect(await signIn(person, { totp: next })).toBe('wrong_credentials');
  });

  test.each(['', '12345', '1234567', 'abcdef', '000000 '])('%j is no code', async (totp) => {
    const { person } = await enrolled();
    expect(await signIn(person, { totp })).toBe('wrong_credentials');
  });

  test('has eight recovery codes, each of which works once, however it is typed', async () => {
    const { person, recoveryCodes } = await enrolled();
    expect(new Set(recoveryCodes).size).toBe(8);
    const [first = '', second = ''] = recoveryCodes;
    const typed = ` ${first.toUpperCase().replaceAll('-', ' ')} `;
    expect(await signIn(person, { recoveryCode: typed })).toBe('signed_in');
    expect(await signIn(person, { recoveryCode: first })).toBe('wrong_credentials');
    const kinds = await Promise.all([
      signIn(person, { recoveryCode: second }),
      signIn(person, { recoveryCode: second }),
    ]);
    expect(kinds.toSorted()).toEqual(['signed_in', 'wrong_credentials']);
    expect(await rig.totp.recoveryCodesLeft(person.userId)).toBe(6);
    const other = await enrolled();
    expect(await signIn(other.person, { recoveryCode: recoveryCodes[2] })).toBe(
      'wrong_credentials',
    );
  });

  test('cannot be replaced while it is in force, and is gone with its codes once it is removed', async () => {
    const { orgId, person } = await enrolled();
    expect((await rig.totp.begin(person.userId, person.email)).kind).toBe('already_enabled');
    expect((await rig.totp.confirm(at(person), '000000')).kind).toBe('already_enabled');
    expect(await rig.totp.disable(person.userId)).toBe(true);
    expect(await rig.totp.disable(person.userId)).toBe(false);
    expect(await rig.totp.recoveryCodesLeft(person.userId)).toBe(0);
    expect(await signIn(person)).toBe('signed_in');
    const told = (await rig.entries(orgId)).filter(({ action }) => action === 'user.totp_changed');
    expect(told.map(({ newValue }) => newValue)).toEqual(['disabled', 'enabled']);
  });

  test('ends every session that was opened without it, but for the one that set it up', async () => {
    const { people } = await rig.organizationOf('owner');
    const person = people[0]!;
    const [stolen, own] = [await rig.signedIn(person), await rig.signedIn(person)];
    const begun = await rig.totp.begin(person.userId, person.email);
    if (begun.kind !== 'begun') throw new Error(begun.kind);
    const user = { userId: person.userId, sessionId: own.sessionId };
    expect((await rig.totp.confirm(user, '000000')).kind).toBe('wrong_code');
    expect(await rig.sessions.find(stolen.token)).not.toBeNull();
    expect((await rig.totp.confirm(user, await codeOf(begun.secret))).kind).toBe('enabled');
    expect(await rig.sessions.find(stolen.token)).toBeNull();
    expect(await rig.sessions.find(own.token)).toMatchObject({ totpEnabled: true });
  });

  test('is removed by whoever runs the machine for who lost it: every session ends, and the trail names them', async () => {
    const { orgId, person, recoveryCodes } = await enrolled();
    const outcome = await rig.signIns.signIn({
      email: person.email,
      password: PASSWORD,
      client: 'x',
      recoveryCode: recoveryCodes[0],
    });
    if (outcome.kind !== 'signed_in') throw new Error(outcome.kind);
    const actor = { kind: 'command', name: 'root' } as const;
    expect(await rig.totp.reset(person.userId, actor)).toBe(true);
    expect(await rig.totp.reset(person.userId, actor)).toBe(false);
    expect(await rig.sessions.find(outcome.session.token)).toBeNull();
    expect(await rig.totp.recoveryCodesLeft(person.userId)).toBe(0);
    expect(await signIn(person)).toBe('signed_in');
    const told = (await rig.entries(orgId)).filter(({ actor: name }) => name === 'root');
    expect(told).toMatchObject([
      { actorKind: 'command', action: 'user.totp_changed', subject: person.userId },
    ]);
  });

  test('is not guessed from many addresses by who has the password: code after code waits longer', async () => {
    const { person, secret, recoveryCodes } = await enrolled();
    const guess = () => signIn(person, { totp: '000000' });
    const first = [await guess(), await guess(), await guess(), await guess(), await guess()];
    expect(new Set(first)).toEqual(new Set(['wrong_credentials']));
    // Not even the right one is looked at: who guesses does not learn which it was.
    expect(await signIn(person, { totp: await codeOf(secret, 1) })).toBe('too_many_codes');
    rig.pass(30_000);
    expect([await guess(), await guess()]).toEqual(['wrong_credentials', 'too_many_codes']);
    rig.pass(31_000);
    expect(await guess()).toBe('too_many_codes');
    // Somebody without the password changes nothing for anybody, and a recovery code is always looked at.
    const stranger = { email: person.email, password: 'a wrong password', client: 'x' };
    expect((await rig.signIns.signIn({ ...stranger, totp: '000000' })).kind).toBe(
      'wrong_credentials',
    );
    expect(await signIn(person, { recoveryCode: recoveryCodes[0] })).toBe('signed_in');
    expect(await signIn(person, { totp: await codeOf(secret, 1) })).toBe('signed_in');
  });

  test('with a new password it is looked at again at once, however much was guessed before', async () => {
    const { person, secret } = await enrolled();
    for (let i = 0; i < 5; i += 1) await signIn(person, { totp: '000000' });
    const totp = await codeOf(secret, 1);
    expect(await signIn(person, { totp })).toBe('too_many_codes');
    const newPassword = 'another long enough password';
    const changed = await rig.passwords.change({
      ...person,
      currentPassword: PASSWORD,
      newPassword,
      client: 'x',
      currentOrgId: null,
    });
    expect(changed.kind).toBe('changed');
    const given = { email: person.email, password: newPassword, client: 'x', totp };
    expect((await rig.signIns.signIn(given)).kind).toBe('signed_in');
  });

  test('its secret is sealed, and its codes are hashed', async () => {
    const { person, secret, recoveryCodes } = await enrolled();
    const [row] = await rig.db.database.query<{ sealed: Buffer }>(
      'SELECT totp_secret_sealed AS sealed FROM users WHERE id = $1',
      [person.userId],
    );
    expect(row?.sealed.toString('latin1')).not.toContain(secret);
    const stored = await rig.db.database.query('SELECT * FROM recovery_codes WHERE user_id = $1', [
      person.userId,
    ]);
    expect(JSON.stringify(stored)).not.toContain(recoveryCodes[0]);
  });
});

describe('an organization that asks for it', () => {
  test('is told so by an owner who has one, and the trail knows', async () => {
    const { orgId, person } = await enrolled();
    const actor = rig.actor(person, 'owner');
    expect(await rig.members.requireTotp(orgId, true, actor)).toBe('done');
    expect(await rig.members.requireTotp(orgId, true, actor)).toBe('done');
    const told = (await rig.entries(orgId)).filter(
      ({ action }) => action === 'organization.security_changed',
    );
    expect(told).toHaveLength(1);
    expect(await rig.memberAccess.find(orgId, person.userId)).toEqual({
      role: 'owner',
      requireTotp: true,
    });
  });

  test('is not locked by an owner who has none, nor by anybody else', async () => {
    const { orgId, people } = await rig.organizationOf('owner', 'admin');
    const [owner, admin] = [rig.actor(people[0]!, 'owner'), rig.actor(people[1]!, 'admin')];
    expect(await rig.members.requireTotp(orgId, true, owner)).toBe('totp_not_enabled');
    expect(await rig.members.requireTotp(orgId, true, admin)).toBe('not_permitted');
  });
});
