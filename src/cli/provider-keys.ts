import { PROVIDERS, type Provider } from '../domain/routing/provider.js';
import { isUsableKey } from '../modules/provider-keys/provider-key.service.js';
import { CliError } from './arguments.js';
import type { Command } from './command.js';
import { chosenOrganization } from './session.js';
import { shortTime, table } from './table.js';

const ORG = '--org <id or name>  the organization; not needed while there is only one';
const PROVIDER = `<provider>          ${PROVIDERS.join(', ')}`;
const VARIABLE = 'SHUNT_PROVIDER_KEY';
const INPUT_BYTES_MAX = 16_384;

const list: Command = {
  name: 'provider-keys list',
  summary: 'List the provider keys of an organization, masked',
  usage: [ORG],
  options: { org: { type: 'string' } },
  async run(session, args) {
    const organization = await chosenOrganization(session, args);
    const keys = await session.providerKeys.list(organization.id);
    const rows = keys.map((key) => [key.provider, key.preview, key.id, shortTime(key.createdAt)]);
    const none = 'No provider key yet: npm run shunt -- provider-keys set openai < key.txt';
    return {
      json: keys,
      text: rows.length > 0 ? table(['provider', 'key', 'id', 'since'], rows) : none,
    };
  },
};

const set: Command = {
  name: 'provider-keys set',
  summary: `Set or replace a provider key, read from ${VARIABLE} or standard input`,
  usage: [
    PROVIDER,
    ORG,
    'The key is never an argument: arguments show in the process list and in shell history.',
  ],
  options: { org: { type: 'string' } },
  positionals: 1,
  async run(session, args) {
    const provider = providerFrom(args.positionals);
    const organization = await chosenOrganization(session, args);
    const secret = await readSecret();
    const key = await session.providerKeys.set(organization.id, provider, secret, session.actor);
    return { json: key, text: `Set the ${provider} key of "${organization.name}": ${key.preview}` };
  },
};

const remove: Command = {
  name: 'provider-keys remove',
  summary: 'Remove a provider key; its secret is deleted',
  usage: [PROVIDER, ORG],
  options: { org: { type: 'string' } },
  positionals: 1,
  async run(session, args) {
    const provider = providerFrom(args.positionals);
    const organization = await chosenOrganization(session, args);
    const removed = await session.providerKeys.remove(organization.id, provider, session.actor);
    if (!removed) throw new CliError(`"${organization.name}" has no ${provider} key.`);
    return { json: { provider, removed }, text: `Removed the ${provider} key.` };
  },
};

function providerFrom(positionals: readonly string[]): Provider {
  const [name = ''] = positionals;
  const provider = PROVIDERS.find((candidate) => candidate === name);
  if (provider) return provider;
  // Not quoted: whoever pasted the key here should not find it in a log.
  throw new CliError(`Name the provider: ${PROVIDERS.join(', ')}.`, 2);
}

async function readSecret(): Promise<string> {
  const given = process.env[VARIABLE];
  if (given === undefined && process.stdin.isTTY) {
    process.stderr.write('Paste the key, then Enter and Ctrl-D:\n');
  }
  const secret = (given ?? (await readInput())).trim();
  if (secret !== '' && isUsableKey(secret)) return secret;
  throw new CliError(
    `No usable key arrived. Pipe it in (... provider-keys set openai < key.txt) or set ${VARIABLE}.`,
    2,
  );
}

async function readInput(): Promise<string> {
  let input = '';
  for await (const chunk of process.stdin) {
    input += String(chunk);
    if (input.length > INPUT_BYTES_MAX) throw new CliError('That is too long for a key.', 2);
  }
  return input;
}

export const providerKeyCommands: readonly Command[] = [list, set, remove];
