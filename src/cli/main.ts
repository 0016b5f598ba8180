import { parseArgs } from 'node:util';
import { ConfigError } from '../config/environment.js';
import { EmbeddedPostgresError } from '../platform/embedded-postgres/embedded-postgres-error.js';
import { isUnavailable } from '../platform/postgres/query-error.js';
import { CliError, type Arguments } from './arguments.js';
import { breakerCommands } from './breakers.js';
import type { Command, Output } from './command.js';
import { keyCommands } from './keys.js';
import { killCommands } from './kill.js';
import { ledgerExportCommands } from './ledger-export.js';
import { memberCommands } from './members.js';
import { operatorCommands } from './operators.js';
import { orgCommands } from './orgs.js';
import { priceCommands } from './prices.js';
import { projectCommands } from './projects.js';
import { providerKeyCommands } from './provider-keys.js';
import { rekeyCommands } from './rekey.js';
import { invoiceCommands } from './invoices.js';
import { reportCommands } from './report.js';
import { requestCommands } from './requests.js';
import { savingsCommands } from './savings.js';
import { openSession } from './session.js';
import { auditCommands } from './verify-audit.js';
import { ledgerCommands } from './verify-ledger.js';

const COMMANDS: readonly Command[] = [
  ...orgCommands,
  ...memberCommands,
  ...projectCommands,
  ...keyCommands,
  ...providerKeyCommands,
  ...priceCommands,
  ...rekeyCommands,
  ...operatorCommands,
  ...killCommands,
  ...breakerCommands,
  ...auditCommands,
  ...reportCommands,
  ...savingsCommands,
  ...requestCommands,
  ...invoiceCommands,
  ...ledgerExportCommands,
  ...ledgerCommands,
];

const USAGE_EXIT_CODE = 2;

async function main(argv: readonly string[]): Promise<void> {
  const wantsHelp = argv.includes('--help') || argv.includes('-h');
  const command = commandOf(argv);
  if (!command) {
    const words = argv.filter((word) => !word.startsWith('-'));
    if (wantsHelp || argv.length === 0) return say(overview(words[0]));
    throw new CliError(
      `There is no command "${words.slice(0, 2).join(' ')}".\n\n${overview(words[0])}`,
      USAGE_EXIT_CODE,
    );
  }
  if (wantsHelp) return say(helpOf(command));
  const args = argumentsOf(command, argv.slice(command.name.split(' ').length));
  const alone = command.runAlone?.(args) ?? null;
  if (alone !== null) return conclude(await alone, args);
  const session = await openSession();
  try {
    conclude(await command.run(session, args), args);
  } finally {
    await session.close();
  }
}

/** `prices` alone is `prices list`. */
function listing(argv: readonly string[]): readonly string[] {
  const [group = '', ...rest] = argv;
  const isAlone = rest[0] === undefined || rest[0].startsWith('--');
  const hasList = COMMANDS.some(({ name }) => name === `${group} list`);
  return isAlone && hasList && !rest.includes('--help') ? [group, 'list', ...rest] : argv;
}

function commandOf(argv: readonly string[]): Command | undefined {
  return COMMANDS.find(({ name }) => {
    const words = name.split(' ');
    return words.every((word, index) => argv[index] === word);
  });
}

function argumentsOf(command: Command, argv: readonly string[]): Arguments {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: { ...command.options, json: { type: 'boolean' } },
      allowPositionals: (command.positionals ?? 0) > 0,
      strict: true,
    });
    if (positionals.length === (command.positionals ?? 0)) {
      return { options: values as Arguments['options'], positionals };
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!code?.startsWith('ERR_PARSE_ARGS')) throw error;
    // Unexpected words are not repeated: one of them may be a key.
    const said =
      code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL' ? 'There are words too many.' : message;
    throw new CliError(`${said}\n\n${helpOf(command)}`, USAGE_EXIT_CODE);
  }
  throw new CliError(helpOf(command), USAGE_EXIT_CODE);
}

function overview(group: string | undefined): string {
  const some = COMMANDS.filter(({ name }) => name.split(' ')[0] === group);
  const shown = some.length > 0 ? some : COMMANDS;
  const width = Math.max(...shown.map(({ name }) => name.length));
  return [
    'Usage: npm run shunt -- <command> [options]',
    '',
    ...shown.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'Each command has --help, and --json for scripts. It works on DATABASE_URL, or on the embedded',
    'Postgres in SHUNT_DATA_DIR, with the environment that the server has. Exit code 0: done, 1: it did',
    'not work, 2: it was not understood.',
  ].join('\n');
}

function helpOf(command: Command): string {
  return [
    command.summary,
    '',
    `Usage: npm run shunt -- ${command.name}${command.options && Object.keys(command.options).length > 0 ? ' [options]' : ''}`,
    ...command.usage.map((line) => `  ${line}`),
    '  --json  the answer as JSON',
  ].join('\n');
}

function conclude(output: Output, args: Arguments): void {
  say(args.options['json'] ? JSON.stringify(output.json, null, 2) : output.text);
  process.exitCode = output.exitCode ?? 0;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** What can be mended is said in words; of anything else the class and place, as its message may quote a secret. */
function explain(error: unknown): string {
  if (error instanceof CliError) return error.message;
  if (error instanceof ConfigError || error instanceof EmbeddedPostgresError) return error.message;
  if (isUnavailable(error)) {
    return (
      'The database does not answer. Is it running, and is DATABASE_URL right? ' +
      'To stop routing without it: npm run shunt -- kill --local --reason "..." on each machine.'
    );
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

try {
  await main(listing(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = error instanceof CliError ? error.exitCode : 1;
}
