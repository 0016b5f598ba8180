import bcrypt from 'bcrypt';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startAccounts, type AccountsRig } from './accounts-rig.js';

let rig: AccountsRig;
beforeAll(async () => {
  rig = await startAccounts();
});
afterAll(() => rig?.stop());

const ROUNDS = 20;

describe('the last owner', () => {
  test('can be neither demoted nor removed, nor leave', async () => {
    const { orgId, people } = await rig.organizationOf('owner', 'admin');
    const owner = people[0]!;
    const actor = rig.actor(owner, 'owner');
    expect(await rig.members.changeRole(orgId, owner.userId, 'admin', actor)).toBe('last_owner');
    expect(await rig.members.remove(orgId, owner.userId, actor)).toBe('last_owner');
    expect((await rig.rolesIn(orgId))[owner.userId]).toBe('owner');
  });

  test('stays when two owners demote each other at the same time', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { orgId, people } = await rig.organizationOf('owner', 'owner');
      const [a, b] = [people[0]!, people[1]!];
      const outcomes = await Promise.all([
        rig.members.changeRole(orgId, b.userId, 'member', rig.actor(a, 'owner')),
        rig.members.changeRole(orgId, a.userId, 'member', rig.actor(b, 'owner')),
      ]);
      const owners = Object.values(await rig.rolesIn(orgId)).filter((role) => role === 'owner');
      expect(owners).toHaveLength(1);
      expect(outcomes.toSorted()).toEqual(['done', 'not_permitted']);
    }
  });

  test('stays when all owners leave at the same time', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { orgId, people } = await rig.organizationOf('owner', 'owner', 'owner');
      const outcomes = await Promise.all(
        people.map((person) =>
          rig.members.remove(orgId, person.userId, rig.actor(person, 'owner')),
        ),
      );
      expect(outcomes.toSorted()).toEqual(['done', 'done', 'last_owner']);
      expect(Object.values(await rig.rolesIn(orgId))).toEqual(['owner']);
    }
  });
});

describe('members', () => {
  test('may leave, and change or remove nobody', async () => {
    const { orgId, people } = await rig.organizationOf('owner', 'admin', 'member');
    const [owner, admin, member] = [people[0]!, people[1]!, people[2]!];
    for (const [actor, role] of [
      [admin, 'admin'],
      [member, 'member'],
    ] as const) {
      const as = rig.actor(actor, role);
      expect(await rig.members.changeRole(orgId, actor.userId, 'owner', as)).toBe('not_permitted');
      expect(await rig.members.remove(orgId, owner.userId, as)).toBe('not_permitted');
    }
    expect(await rig.members.remove(orgId, member.userId, rig.actor(member, 'member'))).toBe(
      'done',
    );
    expect(Object.keys(await rig.rolesIn(orgId))).not.toContain(member.userId);
    const [entry] = await rig.entries(orgId);
    expect(entry).toMatchObject({
      action: 'member.removed',
      subject: member.userId,
      oldValue: 'member',
    });
  });

  test('are changed and removed by whoever runs the machine, but for the last owner', async () => {
    const { orgId, people } = await rig.organizationOf('owner', 'member');
    const [owner, member] = [people[0]!, people[1]!];
    const actor = { kind: 'command', name: 'root' } as const;
    const stranger = (await rig.addPerson()).userId;
    expect(await rig.members.changeRole(orgId, owner.userId, 'member', actor)).toBe('last_owner');
    expect(await rig.members.remove(orgId, owner.userId, actor)).toBe('last_owner');
    expect(await rig.members.remove(orgId, stranger, actor)).toBe('unknown_member');
    expect(await rig.members.changeRole(orgId, member.userId, 'owner', actor)).toBe('done');
    expect(await rig.members.remove(orgId, owner.userId, actor)).toBe('done');
    expect(await rig.rolesIn(orgId)).toEqual({ [member.userId]: 'owner' });
    const told = (await rig.entries(orgId)).filter(({ actorKind }) => actorKind === 'command');
    expect(told.map(({ action, actor: name }) => `${action} ${name}`)).toEqual([
      'member.removed root',
      'member.role_changed root',
    ]);
    expect(JSON.parse(told[0]!.details)).toEqual({ left: false });
  });

  test('of another organization are unknown here', async () => {
    const [ours, theirs] = [await rig.organizationOf('owner'), await rig.organizationOf('owner')];
    const actor = rig.actor(ours.people[0]!, 'owner');
    const { userId } = theirs.people[0]!;
    expect(await rig.members.changeRole(ours.orgId, userId, 'member', actor)).toBe(
      'unknown_member',
    );
    expect(await rig.members.remove(ours.orgId, userId, actor)).toBe('unknown_member');
  });

  test('a changed role is in the trail, with what it was and became; the same role again is not', async () => {
    const { orgId, people } = await rig.organizationOf('owner', 'member');
    const actor = rig.actor(people[0]!, 'owner');
    const change = () => rig.members.changeRole(orgId, people[1]!.userId, 'admin', actor);
    expect([await change(), await change()]).toEqual(['done', 'done']);
    const told = (await rig.entries(orgId)).filter(
      ({ action }) => action === 'member.role_changed',
    );
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ oldValue: 'member', newValue: 'admin', actor: actor.id });
  });
});

describe('an invitation', () => {
  const email = 'Invited@example.test';
  const invite = async (role: 'owner' | 'admin' | 'member', by: 'owner' | 'admin' | 'member') => {
    const { orgId, people } = await rig.organizationOf('owner', by);
    const inviter = people[1]!;
    const outcome = await rig.invitations.invite(orgId, { email, role }, rig.actor(inviter, by));
    const [mail] = await rig.mails('invitation', orgId);
    return { orgId, inviter, owner: people[0]!, outcome, token: mail?.secret.token ?? '', mail };
  };
  const asNew = (password: string | null = 'a new password') =>
    ({ kind: 'new', password, client: 'A program' }) as const;

  test('goes by mail, to the address that is in no table as it stands', async () => {
    const { orgId, mail, outcome } = await invite('admin', 'admin');
    expect(outcome.kind).toBe('invited');
    expect(mail).toMatchObject({ recipient: null, secret: { address: email } });
    expect(await rig.invitations.list(orgId)).toMatchObject([{ email, role: 'admin' }]);
    const told = JSON.stringify(await rig.entries(orgId));
    expect(told).toContain('member.invited');
    expect(told).not.toContain('nvited@example');
  });

  test('of an owner is an owner’s to send', async () => {
    expect((await invite('owner', 'admin')).outcome.kind).toBe('not_permitted');
    expect((await invite('member', 'member')).outcome.kind).toBe('not_permitted');
    expect((await invite('owner', 'owner')).outcome.kind).toBe('invited');
  });

  test('is followed once, by one of many who try at the same time', async () => {
    const { orgId, token } = await invite('member', 'admin');
    const address = (await rig.mails('invitation', orgId))[0]!.secret.address!;
    await forget(address);
    const tries = Array.from({ length: 5 }, () => rig.invitations.accept(token, asNew()));
    const kinds = (await Promise.all(tries)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'joined')).toHaveLength(1);
    expect((await rig.invitations.accept(token, asNew())).kind).toBe('unknown');
    expect(Object.values(await rig.rolesIn(orgId)).toSorted()).toEqual([
      'admin',
      'member',
      'owner',
    ]);
    expect(await rig.actions(orgId)).toEqual(
      expect.arrayContaining(['member.joined', 'user.signed_up']),
    );
    await forget(address);
  });

  test('is void once it is withdrawn, expired, or its sender could not send it any more', async () => {
    const withdrawn = await invite('member', 'admin');
    const id = withdrawn.outcome.kind === 'invited' ? withdrawn.outcome.invitationId : '';
    const actor = rig.actor(withdrawn.inviter, 'admin');
    expect(await rig.invitations.withdraw(withdrawn.orgId, id, actor)).toBe(true);
    expect(await rig.invitations.withdraw(withdrawn.orgId, id, actor)).toBe(false);
    expect((await rig.invitations.accept(withdrawn.token, asNew())).kind).toBe('unknown');

    const demoted = await invite('member', 'admin');
    const owner = rig.actor(demoted.owner, 'owner');
    await rig.members.changeRole(demoted.orgId, demoted.inviter.userId, 'member', owner);
    expect((await rig.invitations.accept(demoted.token, asNew())).kind).toBe('unknown');

    const late = await invite('member', 'admin');
    rig.pass(7 * 24 * 60 * 60_000);
    expect((await rig.invitations.accept(late.token, asNew())).kind).toBe('unknown');
    expect(await rig.invitations.list(late.orgId)).toEqual([]);
  });

  test('is for the person of its address: another account does not follow it', async () => {
    const { orgId, token } = await invite('member', 'admin');
    const stranger = await rig.addPerson();
    const as = { kind: 'user', ...stranger } as const;
    expect((await rig.invitations.accept(token, as)).kind).toBe('other_address');
    const known = await rig.addPerson();
    const inviter = (await rig.members.list(orgId)).find(({ role }) => role === 'owner')!;
    await rig.invitations.invite(
      orgId,
      { email: known.email.toUpperCase(), role: 'member' },
      rig.actor({ userId: inviter.userId, email: '' }, 'owner'),
    );
    const mail = (await rig.mails('invitation', orgId)).find(
      ({ secret }) => secret.address === known.email.toUpperCase(),
    );
    const theirs = mail?.secret.token ?? '';
    expect((await rig.invitations.accept(theirs, asNew())).kind).toBe('sign_in_first');
    const accepted = await rig.invitations.accept(theirs, { kind: 'user', ...known });
    expect(accepted).toEqual({ kind: 'joined', orgId, session: null });
  });

  test('whose sealing key is gone is void, and breaks no list', async () => {
    const { orgId, token } = await invite('member', 'admin');
    await rig.db.database.tenant(orgId, (q) =>
      q.query(
        `INSERT INTO invitations (org_id, id, token_hash, role, address_sealed, invited_by, created_at, expires_at)
         SELECT org_id, gen_random_uuid(), sha256('x'), role, '', invited_by, created_at, expires_at FROM invitations`,
      ),
    );
    expect(await rig.invitations.list(orgId)).toHaveLength(1);
    expect(token).not.toBe('');
  });

  test('that opens nothing gets nobody a password hashed', async () => {
    const { token } = await invite('member', 'admin');
    const other = token.replace(/.$/, (last) => (last === 'x' ? 'y' : 'x'));
    const hashed = vi.spyOn(bcrypt, 'hash');
    try {
      expect((await rig.invitations.accept(other, asNew())).kind).toBe('unknown');
      expect((await rig.invitations.accept(token, asNew('short'))).kind).toBe('weak_password');
      expect(hashed).not.toHaveBeenCalled();
    } finally {
      hashed.mockRestore();
    }
  });

  test('asks for a password that is one', async () => {
    const { token } = await invite('member', 'admin');
    expect((await rig.invitations.accept(token, asNew(null))).kind).toBe('password_needed');
    expect((await rig.invitations.accept(token, asNew('short'))).kind).toBe('weak_password');
  });

  test('is sent a bounded number of times a day, withdrawn ones included', async () => {
    const { orgId, people } = await rig.organizationOf('owner');
    const actor = rig.actor(people[0]!, 'owner');
    const outcomes: string[] = [];
    for (let i = 0; i < 101; i += 1) {
      const given = { email: `i${i}@example.test`, role: 'member' } as const;
      const outcome = await rig.invitations.invite(orgId, given, actor);
      outcomes.push(outcome.kind);
      if (outcome.kind === 'invited')
        await rig.invitations.withdraw(orgId, outcome.invitationId, actor);
    }
    expect(outcomes.filter((kind) => kind === 'invited')).toHaveLength(100);
    expect(outcomes.at(-1)).toBe('too_many');
  });

  async function forget(address: string): Promise<void> {
    await rig.db.owner.query('DELETE FROM sessions');
    await rig.db.owner.query("UPDATE users SET email = 'x' || id::text || '@x' WHERE email = $1", [
      address,
    ]);
  }
});
