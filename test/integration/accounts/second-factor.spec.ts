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

async function enrolled() {
  const { orgId, people } = await rig.organizationOf('owner');
  const person = people[0]!;
  const begun = await rig.totp.begin(person.userId, person.email);
  if (begun.kind !== 'begun') throw new Error(begun.kind);
  const confirmed = await rig.totp.confirm(person.userId, await codeOf(begun.secret));
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
    expect((await rig.totp.confirm(person.userId, '000000')).kind).toBe('wrong_code');
    expect(await signIn(person)).toBe('signed_in');
    expect(await rig.totp.confirm((await rig.addPerson()).userId, '000000')).toEqual({
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
    expect((await rig.totp.confirm(person.userId, '000000')).kind).toBe('already_enabled');
    expect(await rig.totp.disable(person.userId)).toBe(true);
    expect(await rig.totp.disable(person.userId)).toBe(false);
    expect(await rig.totp.recoveryCodesLeft(person.userId)).toBe(0);
    expect(await signIn(person)).toBe('signed_in');
    const told = (await rig.entries(orgId)).filter(({ action }) => action === 'user.totp_changed');
    expect(told.map(({ newValue }) => newValue)).toEqual(['disabled', 'enabled']);
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
