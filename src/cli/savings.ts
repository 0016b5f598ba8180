import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { formatUsd } from '../domain/money/nano-usd.js';
import { UnreadableCsv } from '../domain/reports/csv-lines.js';
import type { SavingsLine, SavingsReport } from '../modules/reports/savings-report.js';
import {
  recountStatement,
  type RecountDifference,
  type StatedSums,
} from '../modules/reports/statement-recount.js';
import { isGenuineStatement } from '../modules/reports/statement.js';
import { CliError, requiredText, text, type Arguments } from './arguments.js';
import type { Command, Output } from './command.js';
import { PERIOD_OPTIONS, PERIOD_USAGE, periodFrom, shortDay } from './report-period.js';
import { chosenOrganization } from './session.js';
import { table } from './table.js';

const FILE_BYTES_MAX = 4 * 1024 * 1024;
const ORG = '--org <id or name>   the organization; not needed while there is only one';

/** Behind each heading whose figures have the sandbox in them. */
const SANDBOX_MARK = ' (sandbox included)';

const usd = (amount: string): string => `$${formatUsd(BigInt(amount))}`;

const savings: Command = {
  name: 'savings',
  summary: 'What routing saved: by the ledger, and as the control group shows it',
  usage: [ORG, ...PERIOD_USAGE, '--include-synthetic  count calls of the sandbox too'],
  options: { org: { type: 'string' }, 'include-synthetic': { type: 'boolean' }, ...PERIOD_OPTIONS },
  async run(session, args) {
    const { id } = await chosenOrganization(session, args);
    const report = await session.savingsReports.report(id, {
      period: periodFrom(args),
      includeSynthetic: args.options['include-synthetic'] === true,
    });
    return { json: report, text: told(report) };
  },
};

const statement: Command = {
  name: 'savings statement',
  summary: 'Make the signed statement of a month that is over; --json is the file to hand on',
  usage: [ORG, '--month <month>      such as 2026-10, in UTC'],
  options: { org: { type: 'string' }, month: { type: 'string' } },
  async run(session, args) {
    const { id } = await chosenOrganization(session, args);
    const month = requiredText(args, 'month');
    const made = await session.statements.create(id, month, session.actor);
    switch (made.kind) {
      case 'created': {
        const { id: statementId, text: signed, signature, publicKey } = made.statement;
        return {
          json: { id: statementId, month, text: signed, signature, public_key: publicKey },
          text: `Statement ${statementId} of ${month}, number ${made.statement.number}.\n${signed}\nSignature: ${signature}`,
        };
      }
      case 'invalid_month':
        throw new CliError('--month takes a month such as 2026-10.', 2);
      case 'month_not_over':
        throw new CliError(
          `The month (UTC) and its last calls are not over: from ${made.from} on.`,
        );
      case 'not_sealed':
        throw new CliError(
          `Entries of the month still wait for their seal, which the server puts once a minute. Try again in ${made.retryAfterSeconds} s; where that does not help: npm run shunt -- verify-ledger.`,
        );
      case 'too_soon':
        throw new CliError(`There is one a minute. Try again in ${made.retryAfterSeconds} s.`);
      case 'too_many':
        throw new CliError('The month has as many statements as there can be.');
    }
  },
};

const verifyStatement: Command = {
  name: 'savings verify-statement',
  summary: 'Check a statement that somebody handed you; needs no database and no server',
  usage: [
    '<file>               the answer of GET /api/statements/<id>, or of savings statement --json',
    '--public-key <file>  the key (PEM) that you keep; without it the one in the file is used, which',
    '                     shows that nothing was changed, and not who signed',
    "--ledger <file>      the ledger's export (CSV): its entries are added up and held against the statement.",
    '                     That the export holds: node scripts/verify-ledger/verify-ledger.mjs <file> --public-key <key>',
  ],
  options: { 'public-key': { type: 'string' }, ledger: { type: 'string' } },
  positionals: 1,
  runAlone: verifyStatementFile,
  run: (_session, args) => verifyStatementFile(args),
};

/** Whoever checks a statement has nothing but the file. */
export async function verifyStatementFile(args: Arguments): Promise<Output> {
  const file = args.positionals[0] ?? '';
  const given = parsed(await contentOf(file));
  const keyFile = text(args, 'public-key');
  const publicKey = keyFile === undefined ? given.public_key : await contentOf(keyFile);
  const genuine = isGenuineStatement(publicKey, given.text, given.signature);
  const by = keyFile === undefined ? 'the key in the file itself' : 'your key';
  const checkedWith = keyFile === undefined ? 'own' : 'given';
  if (!genuine) {
    return {
      json: { genuine, checked_with: checkedWith, differences: null, statement: null },
      text: `NOT GENUINE: this is not a statement that was signed by ${by}.`,
      exitCode: 1,
    };
  }
  const body = JSON.parse(given.text) as StatedSums;
  const differences = await recounted(body, text(args, 'ledger'));
  return {
    json: { genuine, checked_with: checkedWith, differences, statement: body },
    text: [
      `Genuine: signed by ${by}, and nothing was changed.`,
      ...recountTold(body, differences),
      JSON.stringify(body, null, 2),
    ].join('\n'),
    ...(differences !== null && differences.length > 0 ? { exitCode: 1 as const } : {}),
  };
}

/** Null where no export was given. */
async function recounted(
  body: StatedSums,
  file: string | undefined,
): Promise<readonly RecountDifference[] | null> {
  if (file === undefined) return null;
  try {
    return await recountStatement(body, createReadStream(file));
  } catch (error) {
    if (error instanceof UnreadableCsv) throw new CliError(`${file} is no CSV: ${error.message}.`);
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new CliError(`${file} cannot be read.`);
  }
}

function recountTold(
  { ledger_head: head }: StatedSums,
  differences: readonly RecountDifference[] | null,
): string[] {
  if (differences === null) return [];
  if (differences.length === 0) {
    const chain = head === null ? '' : ` --head ${head.seal}:${head.hash}`;
    return [
      "Its sums are those of the export's entries, to the nano-USD. That the export holds:",
      `  node scripts/verify-ledger/verify-ledger.mjs <file> --public-key <key>${chain}`,
    ];
  }
  return [
    "NOT THE SAME as the export's entries:",
    table(
      ['', 'in the statement', 'in the export'],
      differences.map((d) => [d.of, d.stated, d.found]),
    ),
  ];
}

async function contentOf(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > FILE_BYTES_MAX) throw new CliError(`${file} is too large.`);
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${file} cannot be read.`);
  }
}

function parsed(content: string): Readonly<Record<'text' | 'signature' | 'public_key', string>> {
  try {
    const {
      text: signed,
      signature,
      public_key: key,
    } = JSON.parse(content) as Record<string, unknown>;
    if (typeof signed === 'string' && typeof signature === 'string' && typeof key === 'string') {
      return { text: signed, signature, public_key: key };
    }
  } catch {
    // Said below, in words that say what it should be.
  }
  throw new CliError(
    'The file is no statement: it has to hold text, signature and public_key as JSON.',
  );
}

function told({ period, figures }: SavingsReport): string {
  const row = (name: string, line: SavingsLine): string[] => [
    name,
    String(line.entries),
    usd(line.baseline_nano_usd),
    usd(line.actual_nano_usd),
    usd(line.savings_nano_usd),
  ];
  const { measured, calls } = figures;
  const mark = figures.synthetic_included ? SANDBOX_MARK : '';
  return [
    `Savings of ${shortDay(period.fromMs)} to ${shortDay(period.toMs)}${mark}`,
    '',
    `By the ledger, whose every entry can be recomputed (verify-ledger)${mark}:`,
    table(
      ['', 'entries', 'as asked for', 'as served', 'saved'],
      [
        ...figures.by_kind.map((line) => row(line.kind.replace('_', ' '), line)),
        row('in all', figures.total),
      ],
    ),
    '',
    `Beside it, for calls that asked for shunt/auto, against the project's default model${mark}:`,
    table(['', 'entries', 'by default', 'as served', 'saved'], [row('shunt/auto', figures.auto)]),
    '',
    figures.synthetic.entries > 0
      ? `${figures.synthetic.entries} entries of the sandbox, ${usd(figures.synthetic.savings_nano_usd)}, ${figures.synthetic_included ? 'are in it: nobody paid or saved them' : 'are left out'}.`
      : 'Nothing of it is of the sandbox.',
    '',
    `By the control group, per session that would have been routed${mark}:`,
    ...measuredTold(measured),
    '',
    table(
      [`calls${mark}`, ''],
      Object.entries(calls).map(([reason, count]) => [reason, String(count)]),
    ),
  ].join('\n');
}

function measuredTold(measured: SavingsReport['figures']['measured']): string[] {
  const { control, routed, interval_95: interval } = measured;
  const rows = [
    ['as asked for (control)', String(control.sessions), usd(control.mean_nano_usd)],
    ['routed', String(routed.sessions), usd(routed.mean_nano_usd)],
    [
      'difference',
      '',
      measured.difference_nano_usd === null ? '-' : usd(measured.difference_nano_usd),
    ],
  ];
  const said =
    interval === null
      ? `No interval: ${(measured.no_interval ?? '').replaceAll('_', ' ')}.`
      : `95 % interval: ${usd(interval.low_nano_usd)} to ${usd(interval.high_nano_usd)}; the smallest effect that so few sessions show: ${usd(measured.smallest_effect_nano_usd ?? '0')}.`;
  const {
    control: ofControl,
    routed: ofRouted,
    each_at_most_nano_usd: most,
  } = measured.unknown_costs;
  const unknown =
    ofControl + ofRouted > 0
      ? [
          `Of unknown cost: ${ofControl} (control) and ${ofRouted} (routed) calls and attempts, at most ${usd(most)} each; the interval holds both ends of that.`,
        ]
      : [];
  const warning =
    measured.unreliable.length > 0
      ? [`Do not rely on the interval: ${measured.unreliable.join(', ').replaceAll('_', ' ')}.`]
      : [];
  return [table(['', 'sessions', 'mean'], rows), said, ...unknown, ...warning];
}

/** Longer names first: the first that fits is taken. */
export const savingsCommands: readonly Command[] = [verifyStatement, statement, savings];
