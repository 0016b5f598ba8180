import { randomBytes } from 'node:crypto';
import type { Organization } from '../modules/organizations/organization.js';
import { CliError, requiredText, text } from './arguments.js';
import type { Command } from './command.js';
import type { Session } from './session.js';
import { listOrAny, shortTime, table } from './table.js';

const list: Command = {
  name: 'orgs list',
  summary: 'List the organizations',
  usage: [],
  options: {},
  async run(session) {
    const organizations = await session.organizations.list();
    const rows = organizations.map((organization) => [
      organization.id,
      organization.name,
      organization.status,
      organization.requestsPerMinute?.toString() ?? 'default',
      listOrAny(organization.allowedProviders),
      shortTime(organization.createdAt),
    ]);
    const headings = ['id', 'name', 'status', 'calls/min', 'providers', 'created'];
    const none = 'No organization yet: npm run shunt -- orgs create --name "Acme"';
    return { json: organizations, text: rows.length > 0 ? table(headings, rows) : none };
  },
};

const create: Command = {
  name: 'orgs create',
  summary: 'Create an organization, with an owner if an address is given',
  usage: [
    '--name <name>           its name',
    '--owner-email <address> who owns it; new, or never confirmed, they get a password, printed once',
  ],
  options: { name: { type: 'string' }, 'owner-email': { type: 'string' } },
  async run(session, args) {
    const name = requiredText(args, 'name');
    const email = text(args, 'owner-email');
    const owner = email === undefined ? null : await ensureUser(session, email);
    // The first one has the sandbox outside production, whoever makes it.
    const isFirst = (await session.organizations.list()).length === 0;
    const organization = await session.organizations.create({ name, isFirst }, session.actor);
    if (owner) {
      const { userId } = owner;
      await session.organizations.addMember(organization.id, userId, 'owner', session.actor);
    }
    return {
      json: { ...organization, ownerPassword: owner?.password ?? null },
      text: told(organization, email, owner?.password ?? null),
    };
  },
};

/** Somebody new gets a password, which is shown once; so does who signed up and never confirmed the address. */
export async function ensureUser(
  session: Session,
  email: string,
): Promise<{ userId: string; password: string | null }> {
  const existing = await session.users.findByEmail(email);
  const password = randomBytes(15).toString('base64url');
  if (existing) {
    const handedOver = await session.passwords.handOver(existing, password, session.actor);
    return { userId: existing, password: handedOver ? password : null };
  }
  const made = await session.users.create(email, password);
  if (made.kind === 'created') return { userId: made.userId, password };
  throw new CliError('Somebody created a user with that address just now: run the command again.');
}

function told(
  organization: Organization,
  email: string | undefined,
  password: string | null,
): string {
  const lines = [`Created organization "${organization.name}" (${organization.id}), observing.`];
  if (email) lines.push(`Owner: ${email}`);
  if (password) lines.push(`Password, shown only now: ${password}`);
  lines.push(`Next: npm run shunt -- projects create --org ${organization.id} --name "My app"`);
  return lines.join('\n');
}

export const orgCommands: readonly Command[] = [list, create];
