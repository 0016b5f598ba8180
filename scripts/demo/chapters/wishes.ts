import { must } from '../screen.js';
import { ask, type Answered, type Running, type Stage } from '../traffic.js';

const CONTROL_CALLS_MAX = 200;
const OVERRIDE = 'gpt-6.1-terra';

/** Calls that the router leaves alone, and that never count as savings. */
export async function respectWishes(
  stage: Stage,
  routed: Running,
  optedOut: Running,
): Promise<void> {
  const { screen, installation } = stage;
  const rows: [string, Answered, string][] = [
    ['no wish', await untilDecision(stage, routed, 'classifier'), 'classifier'],
    [
      `x-shunt-model: ${OVERRIDE}`,
      await ask(stage, routed, { 'x-shunt-model': OVERRIDE }),
      'override',
    ],
    ['x-shunt-route: off', await ask(stage, routed, { 'x-shunt-route': 'off' }), 'passthrough'],
    ['project opted out', await ask(stage, optedOut), 'passthrough'],
    ['session of the control group', await untilDecision(stage, routed, 'control'), 'control'],
  ];
  const entries = await entriesOf(stage);
  screen.table(
    ['wish', 'decision', 'asked for', 'answered', 'ledger entries'],
    rows.map(([wish, { decision, requested, served, requestId }]) => [
      wish,
      decision,
      requested,
      served,
      String(entries.get(requestId) ?? 0),
    ]),
  );
  for (const [wish, { decision, requestId }, expected] of rows) {
    must(decision === expected, `${wish}: decided as ${decision}`);
    const expectedEntries = expected === 'classifier' ? 1 : 0;
    must((entries.get(requestId) ?? 0) === expectedEntries, `${wish}: a wrong ledger entry`);
  }
  must(rows[1]?.[1].served === OVERRIDE, 'the override was not served');
  await installation.records();
  screen.found(
    'wishes',
    rows.map(([wish, { decision, requested, served }]) => ({ wish, decision, requested, served })),
  );
}

async function untilDecision(stage: Stage, application: Running, wanted: string) {
  for (let calls = 0; calls < CONTROL_CALLS_MAX; calls += 1) {
    const answer = await ask(stage, application);
    if (answer.decision === wanted) return answer;
  }
  must(false, `no call of ${CONTROL_CALLS_MAX} was decided as ${wanted}`);
}

async function entriesOf({ installation }: Stage): Promise<ReadonlyMap<string, number>> {
  await installation.records();
  const { app, orgId } = installation;
  const rows = await app.engine.database.tenant(orgId, (q) =>
    q.query<{ id: string; count: number }>(
      'SELECT request_id AS id, count(*)::int AS count FROM savings_ledger GROUP BY 1',
    ),
  );
  return new Map(rows.map(({ id, count }) => [id, count]));
}
