import { MEMBER_ROLES, type MemberRole } from '../domain/policy/permissions.js';
import { CliError, requiredText, text } from './arguments.js';
import type { Command } from './command.js';
import { ensureUser } from './orgs.js';
import { chosenOrganization } from './session.js';
import { shortTime, table } from './table.js';

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
    '--email <address>    who; a new person gets a password, printed once',
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

function roleFrom(name: string): MemberRole {
  const role = MEMBER_ROLES.find((known) => known === name);
  if (role) return role;
  throw new CliError(`--role takes ${MEMBER_ROLES.join(', ')}.`, 2);
}

export const memberCommands: readonly Command[] = [list, add];
