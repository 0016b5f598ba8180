import type { ApiKey, IssuedApiKey } from '../modules/api-keys/api-key.service.js';
import { isUuid } from '../platform/uuid.js';
import { CliError, requiredText, text, wholeNumber } from './arguments.js';
import type { Command } from './command.js';
import { chosenOrganization, chosenProject } from './session.js';
import { shortTime, table } from './table.js';

const HOUR_MS = 3_600_000;
const OVERLAP_HOURS_MAX = 24 * 90;
const ORG = '--org <id or name>      the organization; not needed while there is only one';

const list: Command = {
  name: 'keys list',
  summary: 'List the project keys of an organization',
  usage: [ORG],
  options: { org: { type: 'string' } },
  async run(session, args) {
    const organization = await chosenOrganization(session, args);
    const [keys, projects] = await Promise.all([
      session.apiKeys.list(organization.id),
      session.projects.list(organization.id),
    ]);
    const names = new Map(projects.map((project) => [project.id, project.name]));
    const rows = keys.map((key) => [
      key.id,
      key.name,
      key.preview,
      names.get(key.projectId) ?? key.projectId,
      stateOf(key),
      shortTime(key.createdAt),
    ]);
    const headings = ['id', 'name', 'key', 'project', 'state', 'created'];
    const none = `No key yet: npm run shunt -- keys create --org ${organization.id} --name "Production"`;
    return { json: keys, text: rows.length > 0 ? table(headings, rows) : none };
  },
};

const create: Command = {
  name: 'keys create',
  summary: 'Create a project key; it is printed once',
  usage: [
    ORG,
    '--project <id or name>  the project; not needed while there is only one',
    '--name <name>           what the key is for',
  ],
  options: { org: { type: 'string' }, project: { type: 'string' }, name: { type: 'string' } },
  async run(session, args) {
    const name = requiredText(args, 'name');
    const organization = await chosenOrganization(session, args);
    const project = await chosenProject(session, organization.id, args);
    return issued(
      await session.apiKeys.create(organization.id, { projectId: project.id, name }, session.actor),
    );
  },
};

const rotate: Command = {
  name: 'keys rotate',
  summary: 'Replace a key; the old one stays valid for a while',
  usage: [
    '<key id>                as "keys list" shows it',
    ORG,
    '--overlap-hours <n>     how long the old key stays valid (24; 0 ends it now)',
  ],
  options: { org: { type: 'string' }, 'overlap-hours': { type: 'string' } },
  positionals: 1,
  async run(session, args) {
    const organization = await chosenOrganization(session, args);
    const hours = text(args, 'overlap-hours') ?? '24';
    const overlapMs = wholeNumber(hours, 'overlap-hours', 0, OVERLAP_HOURS_MAX) * HOUR_MS;
    const keyId = keyIdFrom(args.positionals);
    const output = issued(
      await session.apiKeys.rotate(organization.id, keyId, overlapMs, session.actor),
    );
    return { ...output, text: `${output.text}\nThe old key ends in ${hours} h.` };
  },
};

const revoke: Command = {
  name: 'keys revoke',
  summary: 'Refuse a key from now on, on every replica within a second',
  usage: ['<key id>                as "keys list" shows it', ORG],
  options: { org: { type: 'string' } },
  positionals: 1,
  async run(session, args) {
    const organization = await chosenOrganization(session, args);
    const keyId = keyIdFrom(args.positionals);
    const revoked = await session.apiKeys.revoke(organization.id, keyId, session.actor);
    if (!revoked) {
      throw new CliError(
        `No live key has the id ${keyId}. npm run shunt -- keys list --org ${organization.id}`,
      );
    }
    return { json: { id: keyId, revoked: true }, text: `Revoked ${keyId}.` };
  },
};

function keyIdFrom(positionals: readonly string[]): string {
  const [keyId = ''] = positionals;
  if (isUuid(keyId)) return keyId;
  throw new CliError('Give the id of the key, as "keys list" shows it; never the key itself.', 2);
}

function issued(result: IssuedApiKey): { json: unknown; text: string } {
  if (result.kind === 'not_found') throw new CliError('There is no such live key or project.');
  if (result.kind === 'too_many') {
    throw new CliError('The organization has as many live keys as it may have: revoke some first.');
  }
  const { key, token } = result;
  return {
    json: { ...key, token },
    text: `Created key "${key.name}" (${key.id}). It is shown only now:\n\n  ${token}\n`,
  };
}

function stateOf(key: ApiKey): string {
  if (key.revokedAt) return `revoked ${shortTime(key.revokedAt)}`;
  if (!key.expiresAt) return 'live';
  return `${key.expiresAt.getTime() <= Date.now() ? 'ended' : 'ends'} ${shortTime(key.expiresAt)}`;
}

export const keyCommands: readonly Command[] = [list, create, rotate, revoke];
