import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { CliError, requiredText } from './arguments.js';
import type { Command } from './command.js';
import { chosenOrganization } from './session.js';

const EXPORT_MS_MAX = 3_600_000;

const exportLedger: Command = {
  name: 'ledger export',
  summary: 'Write the savings ledger with its seals to a file, for verification elsewhere',
  usage: [
    '--org <id or name>  the organization; not needed while there is only one',
    '--out <file>        where to; it must not exist yet',
    'Check it with plain Node and nothing else: node scripts/verify-ledger/verify-ledger.mjs <file>',
  ],
  options: { org: { type: 'string' }, out: { type: 'string' } },
  async run(session, args) {
    const out = requiredText(args, 'out');
    const organization = await chosenOrganization(session, args);
    const lines = await session.ledgerExport.open(organization.id, session.actor);
    if (lines === null) throw new CliError('Another export is under way. Try again in a minute.');
    const file = createWriteStream(out, { flags: 'wx', mode: 0o600 });
    try {
      await pipeline(lines, file, { signal: AbortSignal.timeout(EXPORT_MS_MAX) });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') throw new CliError(`${out} exists already.`);
      if (code === 'ENOENT' || code === 'EACCES') throw new CliError(`${out} cannot be written.`);
      throw error;
    }
    return {
      json: { organization: organization.id, file: out, bytes: file.bytesWritten },
      text: `Wrote ${file.bytesWritten} bytes to ${out}.`,
    };
  },
};

export const ledgerExportCommands: readonly Command[] = [exportLedger];
