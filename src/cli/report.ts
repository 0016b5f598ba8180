import { formatUsd } from '../domain/money/nano-usd.js';
import type { Report, ReportFigures } from '../modules/observation/report.js';
import { CliError } from './arguments.js';
import type { Command } from './command.js';
import { shortDay } from './report-period.js';
import { chosenOrganization } from './session.js';
import { table } from './table.js';

const LINES_SHOWN = 20;
const CLASS_CHARS_SHOWN = 12;

const usd = (amount: string): string => `$${formatUsd(BigInt(amount))}`;

const report: Command = {
  name: 'report',
  summary: 'What calls cost, what routing would have cost, and what evidence would take',
  usage: [
    '--org <id or name>   the organization; not needed while there is only one',
    '--new                make one now, of everything since the observation began (one a minute);',
    '                     without it the newest one is shown',
  ],
  options: { org: { type: 'string' }, new: { type: 'boolean' } },
  async run(session, args) {
    const { id: orgId } = await chosenOrganization(session, args);
    if (args.options['new'] !== true) {
      const [newest] = await session.reports.list(orgId);
      if (newest === undefined) {
        throw new CliError('There is no report yet. Make one: npm run shunt -- report --new');
      }
      return { json: newest, text: told(newest) };
    }
    const created = await session.reports.create(orgId, session.actor);
    if (created.kind === 'too_soon') {
      throw new CliError(`There is one a minute. Try again in ${created.retryAfterSeconds} s.`);
    }
    if (created.kind === 'not_found') throw new CliError('The organization is gone.');
    return { json: created.report, text: told(created.report) };
  },
};

function told({ kind, period, figures }: Report): string {
  const lines = [
    `Report (${kind}) of ${shortDay(period.fromMs)} to ${shortDay(period.toMs)}`,
    '',
    table(
      ['', 'calls', 'amount'],
      [
        ['spend', String(figures.calls), usd(figures.spend_nano_usd)],
        ['with routing it would have been', '', usd(figures.projected_nano_usd)],
        ['saved by', String(figures.projected_calls), usd(figures.projected_savings_nano_usd)],
        ['without a count of tokens', String(figures.unmetered_calls), 'not in the sums'],
        ['without a price', String(figures.unpriceable_calls), 'not in the sums'],
        ['of the sandbox', String(figures.excluded.synthetic_calls), 'not in the sums'],
      ],
    ),
    '',
    table(
      ['provider', 'model', 'calls', 'spend', 'would have saved'],
      figures.models
        .slice(0, LINES_SHOWN)
        .map((line) => [
          line.provider,
          line.model ?? '(none)',
          String(line.calls),
          usd(line.spend_nano_usd),
          usd(line.projected_savings_nano_usd),
        ]),
    ),
  ];
  return [...lines, ...evidenceTold(figures)].join('\n');
}

function evidenceTold(figures: ReportFigures): string[] {
  if (figures.version !== 2) return [];
  const { classes, stays, goal } = figures.evidence;
  const rows = classes
    .slice(0, LINES_SHOWN)
    .map(({ route_class: name, calls, spend_nano_usd: spend, evidence, plan }) => [
      name.slice(0, CLASS_CHARS_SHOWN),
      String(calls),
      usd(spend),
      evidence === 'rule' ? 'rule by hand' : 'none',
      plan === null
        ? '-'
        : `${plan.labels} labels, ${usd(plan.cost_nano_usd)}, ${plan.days} days, to use ${plan.candidate_model}`,
      plan === null ? '-' : `at most ${usd(plan.saving_per_30_days_nano_usd)} in 30 days`,
    ]);
  return [
    '',
    `Without evidence a class stays at what was asked for. Evidence means: with ${goal.confidence_bp / 100} % confidence`,
    `at most ${goal.tolerance_bp / 100} % of the answers are worse.`,
    '',
    table(['route class', 'calls', 'spend', 'evidence', 'evidence would take', 'and save'], rows),
    '',
    table(
      ['what stays', 'calls', 'spend'],
      stays.map((line) => [line.reason, String(line.calls), usd(line.spend_nano_usd)]),
    ),
  ];
}

export const reportCommands: readonly Command[] = [report];
