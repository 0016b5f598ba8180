import { AheadWorker } from '../ahead-worker.js';
import { APPLICATIONS } from '../applications.js';
import { must, usd, type Screen } from '../screen.js';
import { converse, type Running, type Stage } from '../traffic.js';

const OBSERVATION_DAYS = 14;
const HALF_DAY = 0.5;

/** Each application is a project with a key of its own. */
export async function introduce(stage: Stage): Promise<Running[]> {
  const { owner } = stage.installation;
  const running: Running[] = [];
  for (const application of APPLICATIONS) {
    const { name, optedOut = false } = application;
    const project = await owner.ask<{ id: string }>('POST', '/projects', {
      name,
      routing_opt_out: optedOut,
    });
    const { token: key } = await owner.ask<{ token: string }>('POST', '/keys', {
      project_id: project.id,
      name: 'demo',
    });
    running.push({ ...application, projectId: project.id, key });
  }
  stage.screen.table(
    ['application', 'provider', 'model', 'system prompt', 'calls a session', 'routing'],
    running.map((one) => [
      one.name,
      one.provider,
      one.model,
      `${one.system.length} characters`,
      one.turns.join(' to '),
      one.optedOut === true ? 'opted out' : 'yes',
    ]),
  );
  const named = running.map(({ name, provider, model }) => ({ name, provider, model }));
  stage.screen.found('applications', named);
  return running;
}

/** Their traffic before anybody has enabled anything. */
export async function observe(
  stage: Stage,
  applications: readonly Running[],
  calls: number,
): Promise<void> {
  const { installation, screen } = stage;
  const answers = await converse(stage, applications, calls);
  const touched = answers.filter(
    ({ decision, requested, served }) => decision !== 'passthrough' || requested !== served,
  );
  must(touched.length === 0, `${touched.length} calls were touched during the observation`);
  const records = await installation.records();
  must(records.length === answers.length, `${records.length} records of ${answers.length} calls`);
  must(
    records.every(({ metering, pricing }) => metering === 'reported' && pricing === 'priced'),
    'a call of the observation has no usage or no price',
  );
  screen.say(
    `${answers.length} calls, each passed through with its model as it was asked for; as many records, each with its ` +
      'usage and its price.',
  );
  screen.found('observed', { calls: answers.length, records: records.length });
}

interface Observation {
  readonly steps: readonly { readonly step: string; readonly outcome: string | null; at: string }[];
}
interface Mail {
  readonly data: readonly { readonly kind: string; readonly state: string }[];
}

/** Two weeks of the job that takes the organization through them. */
export async function passTwoWeeks(stage: Stage): Promise<void> {
  const { installation, screen, signal } = stage;
  const { owner, operator, orgId, app, logger } = installation;
  const worker = new AheadWorker(app.engine.database, logger);
  for (let day = 0; day <= OBSERVATION_DAYS + HALF_DAY; day += HALF_DAY) {
    signal.throwIfAborted();
    screen.progress(`day ${day}`);
    await worker.runOnDay(day);
  }
  const { steps } = await owner.get<Observation>('/observation');
  const { data: mails } = await operator.get<Mail>(`/mail?organization_id=${orgId}`);
  screen.table(
    ['step', 'outcome', 'at (clock of the job)'],
    steps.map(({ step, outcome, at }) => [step, outcome ?? 'to come', at ?? '-']),
  );
  const kinds = mails.map(({ kind }) => kind).toReversed();
  screen.say(
    `Mails written, and kept in the outbox as there is no mail server: ${kinds.join(', ')}.`,
  );
  const done = steps.filter(({ outcome }) => outcome === 'done').map(({ step }) => step);
  must(done.includes('conversion_report'), 'the observation ended without a report');
  const { status } = await owner.get<{ status: string }>('/organization');
  must(status === 'observation_ended', `after two weeks the status is ${status}`);
  screen.found('observation', { steps, mails: kinds, status });
}

interface ReportJson {
  readonly id: string;
  readonly kind: string;
  readonly figures: {
    readonly calls: number;
    readonly excluded: { readonly synthetic_calls: number };
  };
}
interface UsageLine {
  readonly calls: number;
  readonly priced: number;
  readonly cost_nano_usd: string;
  readonly projected_cost_nano_usd: string;
}
interface Usage extends UsageLine {
  readonly models: readonly (UsageLine & { readonly provider: string; readonly model: string })[];
}

/** What was found, as a person reviews it. Gives the id of the report. */
export async function review(stage: Stage, calls: number): Promise<string> {
  const { screen, installation } = stage;
  const { owner } = installation;
  const { data } = await owner.get<{ data: readonly ReportJson[] }>('/reports');
  const report = data.find(({ kind }) => kind === 'conversion');
  must(report !== undefined, 'there is no conversion report');
  const { figures } = report;
  must(
    figures.calls === 0 && figures.excluded.synthetic_calls === calls,
    'the report took calls of the sandbox for real ones',
  );
  const usage = await owner.get<Usage>('/usage?include_synthetic=true');
  must(usage.calls === calls, `the sums are over ${usage.calls} of ${calls} calls`);
  screen.say(
    `The report of the two weeks leaves all ${figures.excluded.synthetic_calls} calls out, as the sandbox answered them. ` +
      'The same sums with them:',
  );
  showUsage(screen, usage);
  screen.say(
    'Only where the form of a call says that a smaller model will do is one projected. Whatever else could be saved ' +
      'takes a rule by its owner, who knows the application.',
  );
  screen.found('report', { report_id: report.id, figures, with_synthetic: usage });
  return report.id;
}

function showUsage(screen: Screen, usage: Usage): void {
  const rowOf = (name: string, line: UsageLine): string[] => [
    name,
    String(line.calls),
    usd(line.cost_nano_usd),
    usd(line.projected_cost_nano_usd),
    usd(String(BigInt(line.cost_nano_usd) - BigInt(line.projected_cost_nano_usd))),
  ];
  screen.table(
    ['synthetic: model', 'calls', 'spend USD', 'projected USD', 'projected savings USD'],
    [
      ...usage.models.map((line) => rowOf(`${line.provider} ${line.model}`, line)),
      rowOf('all', usage),
    ],
  );
}
