import type { RekeyReport } from '../modules/bootstrap/rekey.service.js';
import { CliError } from './arguments.js';
import type { Command } from './command.js';

const rekey: Command = {
  name: 'rekey',
  summary: 'Seal every stored secret anew under SHUNT_ENCRYPTION_KEY',
  usage: [
    'Set SHUNT_ENCRYPTION_KEY to the new key and SHUNT_ENCRYPTION_KEY_PREVIOUS to the old one, restart',
    'every replica with both, then run this. It can be interrupted and run again.',
  ],
  options: {},
  async run(session) {
    const report = await session.rekey.run(session.actor);
    if (report.unreadable > 0) throw new CliError(unreadable(report, session.hasPreviousKey));
    const { providerKeys, hashKeys, invitations, mail, users, operators } = report.resealed;
    return {
      json: report,
      text: [
        `Sealed anew: ${providerKeys} provider keys, ${hashKeys} organization keys, ${mail} mails,`,
        `${invitations} invitations, ${users} second factors, ${operators} operator secrets`,
        `(organizations: ${report.organizations}). ${report.alreadyCurrent} values were under the current key already.`,
        'SHUNT_ENCRYPTION_KEY_PREVIOUS is no longer needed.',
      ].join('\n'),
    };
  },
};

function unreadable(report: RekeyReport, hasPrevious: boolean): string {
  const advice = hasPrevious
    ? 'SHUNT_ENCRYPTION_KEY_PREVIOUS is not the key that sealed them.'
    : 'Set SHUNT_ENCRYPTION_KEY_PREVIOUS to the key that sealed them.';
  return `${report.unreadable} values open with neither key; they were left as they are. ${advice}`;
}

export const rekeyCommands: readonly Command[] = [rekey];
