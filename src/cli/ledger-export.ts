import { open, rename, rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { CliError, requiredText } from './arguments.js';
import type { Command, Output } from './command.js';
import { chosenOrganization, type Session } from './session.js';

const EXPORT_MS_MAX = 3_600_000;

const exportLedger: Command = {
  name: 'ledger export',
  summary: 'Write the savings ledger with its seals to a file, for verification elsewhere',
  usage: [
    '--org <id or name>  the organization; not needed while there is only one',
    '--out <file>        where to; it must not exist yet',
    'Check it with plain Node and nothing else:',
    '  node scripts/verify-ledger/verify-ledger.mjs <file> --public-key shunt.pem     (see "ledger public-key")',
  ],
  options: { org: { type: 'string' }, out: { type: 'string' } },
  async run(session, args) {
    const out = requiredText(args, 'out');
    const organization = await chosenOrganization(session, args);
    return wholeFile(out, (part) => exported(session, organization.id, part, out));
  },
};

const publicKey: Command = {
  name: 'ledger public-key',
  summary: 'Print the public key that exports, statements and heads are signed with',
  usage: [
    'Take it once and keep it where Shunt cannot write: npm run -s shunt -- ledger public-key > shunt.pem',
  ],
  options: {},
  run: async (session) => {
    const pem = session.ledgerHeads.publicKey;
    return { json: { public_key: pem }, text: pem.trimEnd() };
  },
};

/** There is a file of that name only once all of it is there: until then it is written beside it. */
async function wholeFile(out: string, write: (part: string) => Promise<Output>): Promise<Output> {
  if (await exists(out)) throw new CliError(`${out} exists already.`);
  const part = `${out}.${process.pid}.part`;
  try {
    const output = await write(part);
    if (await exists(out)) throw new CliError(`${out} exists already.`);
    await rename(part, out);
    return output;
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** The file is opened first: what cannot be written is not asked for, and leaves nothing in the trail. */
async function exported(
  session: Session,
  orgId: string,
  part: string,
  out: string,
): Promise<Output> {
  const file = await open(part, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(`${out} cannot be written (${error.code ?? 'unknown'}).`);
  });
  const stream = file.createWriteStream();
  try {
    const lines = await session.ledgerExport.open(orgId, session.actor);
    if (lines === null) throw new CliError('Another export is under way. Try again in a minute.');
    await pipeline(lines, stream, { signal: AbortSignal.timeout(EXPORT_MS_MAX) });
  } finally {
    stream.destroy();
  }
  const bytes = stream.bytesWritten;
  return {
    json: { organization: orgId, file: out, bytes },
    text: `Wrote ${bytes} bytes to ${out}.`,
  };
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new CliError(`${file} cannot be written (${(error as NodeJS.ErrnoException).code}).`);
  }
}

export const ledgerExportCommands: readonly Command[] = [exportLedger, publicKey];
