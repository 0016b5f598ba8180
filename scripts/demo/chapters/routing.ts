import { must, usd } from '../screen.js';
import { ask, converse, type Answered, type Running, type Stage } from '../traffic.js';

/** Of the sessions, in hundredths of a percent: the usual 2 % would show nobody in so few sessions. */
const CONTROL_SHARE_BP = 2_000;
const FOLLOWS_MS_MAX = 10_000;

/** A person enables routing, and says what may answer instead of what. */
export async function enable(
  stage: Stage,
  applications: readonly Running[],
  reportId: string,
): Promise<void> {
  const { screen, installation } = stage;
  const { owner } = installation;
  await owner.ask('PATCH', '/organization', { control_share_bp: CONTROL_SHARE_BP });
  const rules: string[][] = [];
  for (const { name, projectId, rule, model } of applications) {
    if (rule === null) continue;
    const targets = [rule];
    await owner.ask('POST', '/route-rules', { project_id: projectId, route_class: '*', targets });
    rules.push([name, model, rule.model]);
  }
  screen.table(['rule for', 'instead of', 'may answer'], rules);
  const activated = await owner.ask<{ status: string }>('POST', '/activation', {
    confirm: true,
    report_id: reportId,
  });
  must(activated.status === 'active', `after the activation the status is ${activated.status}`);
  screen.say(
    `Enabled by the owner, with the report that was reviewed. ${CONTROL_SHARE_BP / 100} % of the sessions keep their ` +
      'model, for comparison.',
  );
  screen.found('activation', { ...activated, rules, control_share_bp: CONTROL_SHARE_BP });
}

/** The first call of an application that the router decided; the replica follows within a second. */
export async function untilDecided(stage: Stage, application: Running): Promise<Answered> {
  const endsAt = performance.now() + FOLLOWS_MS_MAX;
  for (;;) {
    const answer = await ask(stage, application);
    if (answer.decision !== 'passthrough') return answer;
    must(performance.now() < endsAt, 'the gateway does not follow the activation');
  }
}

/** The same applications, the same kind of sessions; `first` was decided before them and is in the ledger with them. */
export async function routed(
  stage: Stage,
  applications: readonly Running[],
  calls: number,
  first: Answered,
): Promise<void> {
  const { screen } = stage;
  const answers = [first, ...(await converse(stage, applications, calls))];
  screen.say(`${answers.length} calls, the first that the router decided among them.`);
  showDecisions(stage, answers);
  const moved = answers.filter(({ requested, served }) => requested !== served);
  must(moved.length > 0, 'no call was routed');
  const byRule = new Map(applications.map(({ model, rule }) => [model, rule?.model]));
  must(
    moved.every(({ requested, served }) => byRule.get(requested) === served),
    'a call went to a model that no rule names',
  );
  must(
    answers.some(({ decision }) => decision === 'control'),
    'no session is in the control group',
  );
  const entries = await showSavings(stage);
  must(entries === moved.length, `${moved.length} routed calls have ${entries} entries`);
  screen.found('routed', { calls: answers.length, moved: moved.length });
}

function showDecisions({ screen }: Stage, answers: readonly Answered[]): void {
  const counts = new Map<string, number>();
  for (const { decision, requested, served } of answers) {
    const key = JSON.stringify([decision, requested, served]);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const rows = [...counts].map(([key, count]) => [...(JSON.parse(key) as string[]), String(count)]);
  rows.sort((a, b) => Number(b[3]) - Number(a[3]));
  screen.table(['decision', 'asked for', 'answered', 'calls'], rows);
}

export interface SavingsLine {
  readonly entries: number;
  readonly baseline_nano_usd: string;
  readonly actual_nano_usd: string;
  readonly savings_nano_usd: string;
}
export interface Savings {
  readonly figures: {
    readonly total: SavingsLine;
    readonly by_models: readonly (SavingsLine & {
      readonly baseline_model: string;
      readonly served_model: string;
    })[];
    readonly measured: {
      readonly control: { readonly sessions: number; readonly mean_nano_usd: string };
      readonly routed: { readonly sessions: number; readonly mean_nano_usd: string };
      readonly difference_nano_usd: string | null;
      readonly interval_95: { low_nano_usd: string; high_nano_usd: string } | null;
      readonly smallest_effect_nano_usd: string | null;
      readonly unreliable: readonly string[];
    };
  };
}

export async function readSavings({ installation }: Stage): Promise<Savings['figures']> {
  await installation.records();
  const { figures } = await installation.owner.get<Savings>('/savings?include_synthetic=true');
  return figures;
}

/** Gives the number of entries. */
async function showSavings(stage: Stage): Promise<number> {
  const { screen } = stage;
  const { total, by_models: pairs, measured } = await readSavings(stage);
  const rowOf = (name: string, line: SavingsLine): string[] => [
    name,
    String(line.entries),
    usd(line.baseline_nano_usd),
    usd(line.actual_nano_usd),
    usd(line.savings_nano_usd),
  ];
  screen.table(
    ['synthetic: instead of', 'entries', 'baseline USD', 'actual USD', 'saved USD'],
    [
      ...pairs.map((line) => rowOf(`${line.baseline_model} -> ${line.served_model}`, line)),
      rowOf('all', total),
    ],
  );
  must(total.entries > 0, 'the ledger has no entry');
  const { control, routed: moved, interval_95: interval } = measured;
  screen.table(
    ['measured on sessions', 'sessions', 'USD a session'],
    [
      ['control group', String(control.sessions), usd(control.mean_nano_usd)],
      ['routed', String(moved.sessions), usd(moved.mean_nano_usd)],
      ['difference', '', usd(measured.difference_nano_usd)],
      [
        '95 % interval',
        '',
        interval === null ? '-' : `${usd(interval.low_nano_usd)} to ${usd(interval.high_nano_usd)}`,
      ],
      ['smallest effect it could show', '', usd(measured.smallest_effect_nano_usd)],
      ['not to be relied on', '', measured.unreliable.join(', ').replaceAll('_', ' ') || '-'],
    ],
  );
  screen.found('savings', { total, by_models: pairs, measured });
  return total.entries;
}
