import { formatUsd } from '../domain/money/nano-usd.js';
import {
  includesSynthetic,
  type EvidenceFigures,
  type Report,
  type ReportFigures,
  type ReportLine,
} from '../modules/observation/report.js';
import { CliError } from './arguments.js';
import type { Command } from './command.js';
import { shortDay } from './report-period.js';
import { chosenOrganization } from './session.js';
import { table } from './table.js';

const LINES_SHOWN = 20;
const CLASS_CHARS_SHOWN = 12;

/** Behind each heading whose figures have the sandbox in them. */
const SANDBOX_MARK = ' (sandbox included)';

const usd = (amount: string): string => `$${formatUsd(BigInt(amount))}`;

const report: Command = {
  name: 'report',
  summary: 'What calls cost, what routing would have cost, and what evidence would take',
  usage: [
    '--org <id or name>   the organization; not needed while there is only one',
    '--new                make one now, of everything since the observation began (one a minute);',
    '                     without it the newest one is shown',
    '--include-synthetic  with --new: count calls of the sandbox too',
  ],
  options: {
    org: { type: 'string' },
    new: { type: 'boolean' },
    'include-synthetic': { type: 'boolean' },
  },
  async run(session, args) {
    const { id: orgId } = await chosenOrganization(session, args);
    const includeSynthetic = args.options['include-synthetic'] === true;
    if (args.options['new'] !== true) {
      if (includeSynthetic) throw new CliError('--include-synthetic takes --new beside it.', 2);
      const [newest] = await session.reports.list(orgId);
      if (newest === undefined) {
        throw new CliError('There is no report yet. Make one: npm run shunt -- report --new');
      }
      return { json: newest, text: told(newest) };
    }
    const created = await session.reports.create(orgId, session.actor, includeSynthetic);
    if (created.kind === 'too_soon') {
      throw new CliError(`There is one a minute. Try again in ${created.retryAfterSeconds} s.`);
    }
    if (created.kind === 'not_found') throw new CliError('The organization is gone.');
    return { json: created.report, text: told(created.report) };
  },
};

function told({ kind, period, figures }: Report): string {
  const mark = includesSynthetic(figures) ? SANDBOX_MARK : '';
  const models = figures.models.map(
    (line) => [`${line.provider} ${line.model ?? '(none)'}`, line] as const,
  );
  const classes = figures.route_classes.map((line) => [classOf(line.route_class), line] as const);
  return [
    `Report (${kind}) of ${shortDay(period.fromMs)} to ${shortDay(period.toMs)}${mark}`,
    ...sandboxTold(figures),
    '',
    totalTold(figures, mark),
    ...linesTold(`model${mark}`, models),
    ...linesTold(`route class${mark}`, classes),
    ...(figures.version === 2 ? evidenceTold(figures.evidence, mark) : []),
  ].join('\n');
}

/** Who tries Shunt out has calls of the sandbox alone, and a report without them says nothing. */
function sandboxTold(figures: ReportFigures): string[] {
  if (includesSynthetic(figures)) {
    return [`Calls of the sandbox: ${figures.synthetic_calls ?? 0}. Nobody paid for them.`];
  }
  if (figures.calls > 0 || figures.excluded.synthetic_calls === 0) return [];
  return [
    'All calls are of the sandbox, which is left out. To count it: npm run shunt -- report --new --include-synthetic',
  ];
}

function totalTold(figures: ReportFigures, mark: string): string {
  const { refused_calls: refused, synthetic_calls: synthetic } = figures.excluded;
  const outside = (name: string, calls: number): string[] => [
    name,
    String(calls),
    'not in the sums',
  ];
  return table(
    [`all calls${mark}`, 'calls', 'amount'],
    [
      ['spend', String(figures.calls), usd(figures.spend_nano_usd)],
      ['with routing it would have been', '', usd(figures.projected_nano_usd)],
      [
        'saved, projected on',
        String(figures.projected_calls),
        usd(figures.projected_savings_nano_usd),
      ],
      outside('without a count of tokens', figures.unmetered_calls),
      outside('without a price', figures.unpriceable_calls),
      outside('refused', refused),
      ...(mark === '' ? [outside('of the sandbox', synthetic)] : []),
    ],
  );
}

function linesTold(heading: string, lines: readonly (readonly [string, ReportLine])[]): string[] {
  if (lines.length === 0) return [];
  const rows = lines
    .slice(0, LINES_SHOWN)
    .map(([name, line]) => [
      name,
      String(line.calls),
      line.calls_with_evidence === undefined ? '-' : String(line.calls_with_evidence),
      usd(line.spend_nano_usd),
      usd(line.projected_savings_nano_usd),
    ]);
  const headings = [heading, 'calls', 'with evidence', 'spend', 'would have saved'];
  return ['', table(headings, rows), ...moreTold(lines.length)];
}

function moreTold(count: number): string[] {
  return count > LINES_SHOWN ? [`(${count - LINES_SHOWN} more are in --json)`] : [];
}

function classOf(name: string | null): string {
  return name === null ? '(none)' : name.slice(0, CLASS_CHARS_SHOWN);
}

function evidenceTold(
  { classes, stays, ineligible, goal }: EvidenceFigures,
  mark: string,
): string[] {
  const plans = classes
    .slice(0, LINES_SHOWN)
    .map(({ route_class: name, calls, evidence, plan }) => [
      classOf(name),
      String(calls),
      evidence === 'rule' ? 'rule by hand' : 'none',
      plan === null
        ? '-'
        : `${plan.labels} labels, ${usd(plan.cost_nano_usd)}, ${plan.days} days, to use ${plan.candidate_model}`,
      plan === null ? '-' : `at most ${usd(plan.saving_per_30_days_nano_usd)} in 30 days`,
    ]);
  const reasons = stays.map((line) => [line.reason, String(line.calls), usd(line.spend_nano_usd)]);
  const obstacles = ineligible.map((line) => [line.reason, String(line.calls)]);
  return [
    '',
    `Without evidence a class stays at what was asked for. Evidence means: with ${goal.confidence_bp / 100} % confidence`,
    `at most ${goal.tolerance_bp / 100} % of the answers are worse.`,
    ...tableUnlessEmpty(
      [`route class${mark}`, 'calls', 'evidence', 'evidence would take', 'and save'],
      plans,
    ),
    ...moreTold(classes.length),
    ...tableUnlessEmpty([`what stays${mark}`, 'calls', 'spend'], reasons),
    ...tableUnlessEmpty([`what kept models out${mark}`, 'calls'], obstacles),
  ];
}

function tableUnlessEmpty(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  return rows.length === 0 ? [] : ['', table(headings, rows)];
}

export const reportCommands: readonly Command[] = [report];
