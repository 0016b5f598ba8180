import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  SESSION_IDLE_MS_MAX,
  SESSION_MS_MAX,
} from '../../../src/modules/accounts/session.service.js';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { PASSWORD, startAccounts, type AccountsRig } from './accounts-rig.js';

// How long an answer takes is what a password costs.
vi.unmock('bcrypt');

let rig: AccountsRig;
beforeAll(async () => {
  rig = await startAccounts();
});
afterAll(() => rig?.stop());

const HOUR_MS = 60 * 60_000;
const rowOf = async (id: string) => {
  const [row] = await rig.db.database.query<{ seen: Date; hash: Buffer }>(
    'SELECT last_seen_at AS seen, secret_hash AS hash FROM sessions WHERE id = $1',
    [id],
  );
  return row;
};

describe('a session', () => {
  test('ends when nobody used it for three days', async () => {
    const { token } = await rig.signedIn(await rig.addPerson());
    rig.pass(SESSION_IDLE_MS_MAX - 1);
    expect(await rig.sessions.find(token)).not.toBeNull();
    rig.pass(SESSION_IDLE_MS_MAX - 1);
    expect(await rig.sessions.find(token)).not.toBeNull();
    rig.pass(SESSION_IDLE_MS_MAX);
    expect(await rig.sessions.find(token)).toBeNull();
  });

  test('ends fourteen days after the sign-in, however much it is used', async () => {
    const { token, expiresAtMs } = await rig.signedIn(await rig.addPerson());
    expect(expiresAtMs - rig.clock.nowMs()).toBe(SESSION_MS_MAX);
    while (rig.clock.nowMs() + 12 * HOUR_MS < expiresAtMs) {
      rig.pass(12 * HOUR_MS);
      expect(await rig.sessions.find(token)).not.toBeNull();
    }
    rig.pass(12 * HOUR_MS);
    expect(await rig.sessions.find(token)).toBeNull();
  });

  test('is written to at most once a minute, however often it is used', async () => {
    const { token, sessionId } = await rig.signedIn(await rig.addPerson());
    const begun = (await rowOf(sessionId))?.seen.getTime() ?? 0;
    rig.pass(59_000);
    await rig.sessions.find(token);
    expect((await rowOf(sessionId))?.seen.getTime()).toBe(begun);
    rig.pass(1_000);
    await rig.sessions.find(token);
    expect((await rowOf(sessionId))?.seen.getTime()).toBe(begun + 60_000);
  });

  test('is stored as a hash, and opens with the secret alone', async () => {
    const { token, sessionId } = await rig.signedIn(await rig.addPerson());
    const secret = token.split('.')[1] ?? '';
    const row = await rowOf(sessionId);
    expect(row?.hash.toString('base64url')).not.toBe(secret);
    const other = secret.startsWith('A') ? `B${secret.slice(1)}` : `A${secret.slice(1)}`;
    expect(await rig.sessions.find(`${sessionId}.${other}`)).toBeNull();
    expect(await rig.sessions.find(sessionId)).toBeNull();
    expect(await rig.sessions.find('')).toBeNull();
  });

  test('of another person can be neither listed nor ended', async () => {
    const [a, b] = [await rig.addPerson(), await rig.addPerson()];
    const theirs = await rig.signedIn(b);
    expect(await rig.sessions.revoke(a.userId, theirs.sessionId)).toBe(false);
    expect(await rig.sessions.list(a.userId)).toEqual([]);
    expect(await rig.sessions.revokeOthers(a.userId, (await rig.signedIn(a)).sessionId)).toBe(0);
    expect(await rig.sessions.find(theirs.token)).not.toBeNull();
  });
});

test('what has expired is cleared away, and nothing else', async () => {
  const { orgId, people } = await rig.organizationOf('owner');
  const owner = people[0]!;
  await rig.signedIn(owner);
  await rig.passwords.requestReset(owner.email);
  await rig.invitations.invite(
    orgId,
    { email: 'invited@example.test', role: 'member' },
    rig.actor(owner, 'owner'),
  );
  rig.pass(2 * HOUR_MS);
  expect((await rig.accountSweeper.sweep()).tokens).toBe(1);
  rig.pass(8 * 24 * HOUR_MS);
  const kept = await rig.signedIn(await rig.addPerson());
  expect((await rig.accountSweeper.sweep(AbortSignal.abort())).invitations).toBe(0);
  const swept = await rig.accountSweeper.sweep();
  expect(swept.invitations).toBe(1);
  expect(await rig.sessions.find(kept.token)).not.toBeNull();
  expect(await rig.accountSweeper.sweep()).toEqual({ sessions: 0, tokens: 0, invitations: 0 });
});

describe('the trail', () => {
  test('tells of a sign-in in each organization of the person', async () => {
    const { orgId, people } = await rig.organizationOf('owner');
    const other = await rig.organizationOf('owner');
    await rig.join(other.orgId, people[0]!.userId, 'admin');
    await rig.signedIn(people[0]!);
    for (const id of [orgId, other.orgId]) {
      const [last] = await rig.entries(id);
      expect(last).toMatchObject({
        action: 'user.signed_in',
        actorKind: 'member',
        actor: people[0]!.userId,
      });
    }
  });

  test('tells of failed sign-ins at once, then as one number a minute, and of nobody', async () => {
    const before = (await rig.actions(INSTALLATION_ID)).length;
    const person = await rig.addPerson();
    for (let i = 0; i < 5; i += 1) {
      const given = { email: person.email, password: 'wrong password', client: 'x' };
      expect((await rig.signIns.signIn(given)).kind).toBe('wrong_credentials');
    }
    await rig.failedSignIns.flush();
    const entries = (await rig.entries(INSTALLATION_ID)).slice(0, -before || undefined);
    const told = { action: 'user.sign_in_failed', actorKind: 'system' };
    expect(entries).toMatchObject([told, told]);
    const counts = entries.map(({ details }) => JSON.parse(details) as unknown);
    expect(counts).toEqual(expect.arrayContaining([{ attempts: 4 }, { attempts: 1 }]));
    expect(JSON.stringify(entries)).not.toContain(person.email);
    await rig.failedSignIns.flush();
    expect(await rig.actions(INSTALLATION_ID)).toHaveLength(before + 2);
  });
});

test('one person has a bounded number of sessions: the one used the longest time ago ends', async () => {
  const person = await rig.addPerson();
  const first = await rig.signedIn(person);
  await rig.db.database.query(
    `INSERT INTO sessions (id, user_id, secret_hash, created_at, last_seen_at, expires_at, client)
     SELECT gen_random_uuid(), $1, sha256(i::text::bytea), $2, $2, $3, 'x' FROM generate_series(1, 49) AS i`,
    [person.userId, new Date(rig.clock.nowMs() + 1_000), new Date(rig.clock.nowMs() + HOUR_MS)],
  );
  rig.pass(2_000);
  const last = await rig.signedIn(person);
  expect(await rig.sessions.find(first.token)).toBeNull();
  expect(await rig.sessions.find(last.token)).not.toBeNull();
  expect(await rig.sessions.list(person.userId)).toHaveLength(50);
});

test('an address of nobody costs a password hash too', async () => {
  const person = await rig.addPerson();
  const timeOf = async (email: string): Promise<number> => {
    const times = [];
    for (let i = 0; i < 5; i += 1) {
      const began = performance.now();
      await rig.signIns.signIn({ email, password: PASSWORD.toUpperCase(), client: 'x' });
      times.push(performance.now() - began);
    }
    return times.toSorted((a, b) => a - b)[2]!;
  };
  await timeOf(person.email);
  const [known, unknown] = [await timeOf(person.email), await timeOf('nobody@example.test')];
  expect(unknown).toBeGreaterThan(known * 0.5);
  expect(unknown).toBeLessThan(known * 2);
});
