import { MEMBER_ROLES, type MemberRole } from '../domain/policy/permissions.js';
import type { MemberOutcome } from '../modules/accounts/member.service.js';
import { CliError, requiredText, text, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { ensureUser } from './orgs.js';
import { chosenOrganization, type Session } from './session.js';
import { shortTime, table } from './table.js';

const EMAIL = '--email <address>    who';
const ORG = '--org <id or name>   the organization; not needed while there is only one';

const list: Command = {
  name: 'members list',
  summary: 'List the people of an organization',
  usage: [ORG],
  options: { org: { type: 'string' } },
  async run(session, args) {
    const organization = await chosenOrganization(session, args);
    const members = await session.members.list(organization.id);
    const rows = members.map((member) => [
      member.userId,
      member.email,
      member.role,
      member.totpEnabled ? 'on' : 'off',
      shortTime(member.joinedAt),
    ]);
    const none = `Nobody yet: npm run shunt -- members add --org ${organization.id} --email you@example.com`;
    return {
      json: members,
      text: rows.length > 0 ? table(['id', 'address', 'role', 'totp', 'since'], rows) : none,
    };
  },
};

const add: Command = {
  name: 'members add',
  summary: 'Add somebody to an organization, without an invitation by mail',
  usage: [
    ORG,
    '--email <address>    who; new, or never confirmed, they get a password, printed once',
    `--role <role>        ${MEMBER_ROLES.join(', ')} (member)`,
  ],
  options: { org: { type: 'string' }, email: { type: 'string' }, role: { type: 'string' } },
  async run(session, args) {
    const email = requiredText(args, 'email');
    const role = roleFrom(text(args, 'role') ?? 'member');
    const organization = await chosenOrganization(session, args);
    const { userId, password } = await ensureUser(session, email);
    const members = await session.members.list(organization.id);
    if (members.some((member) => member.userId === userId)) {
      throw new CliError(`They are in "${organization.name}" already.`);
    }
    await session.organizations.addMember(organization.id, userId, role, session.actor);
    const lines = [`Added ${email} to "${organization.name}" as ${role}.`];
    if (password) lines.push(`Password, shown only now: ${password}`);
    return { json: { userId, role, password }, text: lines.join('\n') };
  },
};

const changeRole: Command = {
  name: 'members role',
  summary: 'Give somebody another role in an organization',
  usage: [ORG, EMAIL, `--role <role>        ${MEMBER_ROLES.join(', ')}`],
  options: { org: { type: 'string' }, email: { type: 'string' }, role: { type: 'string' } },
  async run(session, args) {
    const wanted = roleFrom(requiredText(args, 'role'));
    const { orgId, userId, email } = await chosenMember(session, args);
    assertDone(await session.members.changeRole(orgId, userId, wanted, session.actor));
    return { json: { userId, role: wanted }, text: `${email} is ${wanted} now.` };
  },
};

const remove: Command = {
  name: 'members remove',
  summary: 'Take somebody out of an organization',
  usage: [ORG, EMAIL],
  options: { org: { type: 'string' }, email: { type: 'string' } },
  async run(session, args) {
    const { orgId, userId, email } = await chosenMember(session, args);
    assertDone(await session.members.remove(orgId, userId, session.actor));
    return { json: { userId, removed: true }, text: `${email} is no member any more.` };
  },
};

const resetTotp: Command = {
  name: 'members reset-totp',
  summary: 'Remove the second factor of somebody who lost it; every session of theirs ends',
  usage: [EMAIL],
  options: { email: { type: 'string' } },
  async run(session, args) {
    const email = requiredText(args, 'email');
    const userId = await session.users.findByEmail(email);
    if (userId === null) throw new CliError('Nobody has this address here.');
    const changed = await session.totp.reset(userId, session.actor);
    const said = changed
      ? `${email} signs in with the password alone, and can set up a second factor anew.`
      : `${email} has no second factor.`;
    return { json: { userId, changed }, text: said };
  },
};

async function chosenMember(
  session: Session,
  args: Arguments,
): Promise<{ orgId: string; userId: string; email: string }> {
  const email = requiredText(args, 'email');
  const { id: orgId } = await chosenOrganization(session, args);
  const userId = await session.users.findByEmail(email);
  if (userId === null) throw unknownMember();
  return { orgId, userId, email };
}

function assertDone(outcome: MemberOutcome): void {
  switch (outcome) {
    case 'done':
      return;
    case 'unknown_member':
      throw unknownMember();
    case 'last_owner':
      throw new CliError('An organization has an owner: make somebody else owner first.');
    case 'not_permitted':
      throw new Error('The command line is permitted everything');
  }
}

function unknownMember(): CliError {
  return new CliError(
    'Nobody of this address is in the organization. They are listed by: npm run shunt -- members list',
  );
}

function roleFrom(name: string): MemberRole {
  const role = MEMBER_ROLES.find((known) => known === name);
  if (role) return role;
  throw new CliError(`--role takes ${MEMBER_ROLES.join(', ')}.`, 2);
}

export const memberCommands: readonly Command[] = [list, add, changeRole, remove, resetTotp];
