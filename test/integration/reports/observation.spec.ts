import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ReportService, newestReport } from '../../../src/modules/observation/report.service.js';
import type { ReportFigures } from '../../../src/modules/observation/report.js';
import { PriceBook } from '../../../src/modules/catalog/price-book.js';
import { NO_USAGE } from '../../../src/domain/pricing/usage.js';
import { DAY_MS, OWNER, reportsRig, type ReportsRig, type TestCall } from './reports-rig.js';

let rig: ReportsRig;
beforeAll(async () => {
  rig = await reportsRig();
});
afterAll(() => rig?.close());

const PERIOD_DAYS = 10;
const STAYS = { projected_model: 'gpt-6-sol', requested_model: 'gpt-6-sol' } as const;

async function organizationWithProjects() {
  const { orgId, projectId } = await rig.db.createTenant();
  const other = randomUUID();
  await rig.db.database.tenant(orgId, (q) =>
    q.query(`INSERT INTO projects (org_id, id, name) VALUES ($1, $2, 'other')`, [orgId, other]),
  );
  return { orgId, projectId, other };
}

async function reportOf(orgId: string, includeSynthetic = false): Promise<ReportFigures> {
  const nowMs = rig.clock.nowMs();
  const started = nowMs - PERIOD_DAYS * DAY_MS;
  await rig.db.database.tenant(orgId, (q) =>
    q.query(`INSERT INTO observations (org_id, started_at, ends_at) VALUES ($1, $2, $3)`, [
      orgId,
      new Date(started),
      new Date(nowMs + DAY_MS),
    ]),
  );
  const created = await new ReportService(rig.db.database, rig.clock).create(
    orgId,
    OWNER,
    includeSynthetic,
  );
  if (created.kind !== 'created') throw new Error(created.kind);
  expect(created.report.period).toEqual({ fromMs: started, toMs: nowMs });
  return created.report.figures;
}

const times = (count: number, call: Partial<TestCall>): TestCall[] =>
  Array.from({ length: count }, (_, i) => ({
    atMs: rig.clock.nowMs() - ((i % 9) + 0.5) * DAY_MS - i,
    ...call,
  }));

test('a class without evidence has its plan: labels, dollars, days and what it could save', async () => {
  const { orgId, projectId, other } = await organizationWithProjects();
  const usage = { inputTokens: 10_000, outputTokens: 500 };
  const sol = { ...STAYS, project_id: projectId, usage, cost_nano_usd: '50000000' };
  await rig.calls(orgId, [
    ...times(100, { ...sol, route_class: 'plain' }),
    ...times(20, { ...sol, route_class: 'ruled' }),
    ...times(10, { ...sol, project_id: other, route_class: 'all-of-it' }),
    ...times(5, { ...sol, requested_model: 'unheard-of', projected_model: 'unheard-of', route_class: 'unknown' }),
    ...times(3, { ...sol, route_class: 'plain', synthetic: true }),
  ]); // prettier-ignore
  for (const [project, of] of [
    [projectId, 'ruled'],
    [other, '*'],
  ]) {
    await rig.db.database.tenant(orgId, (q) =>
      q.query(
        `INSERT INTO route_rules (org_id, id, project_id, route_class, targets, created_by, created_at)
         VALUES ($1, $2, $3, $4, '[{"provider":"openai","model":"gpt-6-luna"}]', 'test', now())`,
        [orgId, randomUUID(), project, of],
      ),
    );
  }
  const figures = await reportOf(orgId);
  if (figures.version !== 2) throw new Error(String(figures.version));
  const { evidence } = figures;
  expect(evidence.goal).toEqual({ tolerance_bp: 500, confidence_bp: 9_500, expected_loss_bp: 200 });
  expect(evidence.classes.map((c) => [c.route_class, c.calls, c.evidence, c.plan === null])).toEqual([
    ['plain', 100, 'none', false],
    ['ruled', 20, 'rule', true],
    ['all-of-it', 10, 'rule', true],
    ['unknown', 5, 'none', true],
  ]); // prettier-ignore
  const [plain] = evidence.classes;
  const rated = new PriceBook().rate({
    provider: 'openai',
    model: 'gpt-6-luna',
    atMs: rig.clock.nowMs(),
    usage: { ...NO_USAGE, ...usage },
    serviceTier: null,
    speed: null,
    region: null,
  });
  if (rated.kind !== 'priced') throw new Error(rated.kind);
  const perCall = rated.costNanoUsd;
  expect(plain?.plan).toEqual({
    method: 'one-sided-clopper-pearson-1',
    provider: 'openai',
    requested_model: 'gpt-6-sol',
    candidate_model: 'gpt-6-luna',
    labels: 181,
    cost_nano_usd: String(181n * perCall),
    // 181 labels at 10 calls a day.
    days: 19,
    saving_per_30_days_nano_usd: String(300n * (50_000_000n - perCall)),
  });
});

test('each line says how many of its calls have evidence', async () => {
  const { orgId, projectId } = await organizationWithProjects();
  const call = { ...STAYS, project_id: projectId, cost_nano_usd: '10' };
  await rig.calls(orgId, [
    ...times(3, { ...call, route_class: 'ruled' }),
    ...times(2, { ...call, route_class: 'plain' }),
    ...times(1, { ...call, requested_model: 'gpt-5.1', route_class: null }),
  ]);
  await rig.db.database.tenant(orgId, (q) =>
    q.query(
      `INSERT INTO route_rules (org_id, id, project_id, route_class, targets, created_by, created_at)
       VALUES ($1, $2, $3, 'ruled', '[{"provider":"openai","model":"gpt-6-luna"}]', 'test', now())`,
      [orgId, randomUUID(), projectId],
    ),
  );
  const figures = await reportOf(orgId);
  expect(figures.calls_with_evidence).toBe(3);
  expect(figures.models.map((line) => [line.model, line.calls, line.calls_with_evidence])).toEqual([
    ['gpt-6-sol', 5, 3],
    ['gpt-5.1', 1, 0],
  ]);
  const classes = figures.route_classes.map((line) => [line.route_class, line.calls_with_evidence]);
  expect(classes).toEqual([['ruled', 3], ['plain', 0], [null, 0]]);
}); // prettier-ignore

test('calls of the sandbox are in a report that asks for them, which says so, and in no mail', async () => {
  const { orgId, projectId } = await organizationWithProjects();
  const call = { ...STAYS, project_id: projectId, cost_nano_usd: '10', route_class: 'plain' };
  await rig.calls(orgId, [...times(2, { ...call, synthetic: true }), ...times(1, call)]);
  const real = await reportOf(orgId);
  expect(real).toMatchObject({
    synthetic_included: false,
    calls: 1,
    spend_nano_usd: '10',
    synthetic_calls: 0,
    excluded: { synthetic_calls: 2 },
  });
  rig.clock.atMs += 60_000;
  const made = await new ReportService(rig.db.database, rig.clock).create(orgId, OWNER, true);
  if (made.kind !== 'created') throw new Error(made.kind);
  expect(made.report.figures).toMatchObject({
    synthetic_included: true,
    calls: 3,
    spend_nano_usd: '30',
    synthetic_calls: 2,
    models: [{ calls: 3, synthetic_calls: 2 }],
    route_classes: [{ calls: 3, synthetic_calls: 2 }],
    excluded: { synthetic_calls: 0 },
    evidence: { classes: [{ calls: 3 }] },
  });
  const mailed = await rig.db.database.tenant(orgId, (q) => newestReport(q, orgId));
  expect(mailed?.figures).toEqual(real);
});

test('a call that went to another provider is of the provider that was asked', async () => {
  const { orgId, projectId } = await organizationWithProjects();
  const storedRouting = {
    inputs: { requested: { provider: 'openai', model: 'gpt-6-sol' } },
    decision: { wouldRoute: null },
  } as unknown as TestCall['storedRouting'];
  const call = { ...STAYS, project_id: projectId, cost_nano_usd: '10', route_class: 'plain' };
  await rig.calls(orgId, [
    ...times(1, { ...call, provider: 'anthropic', storedRouting }),
    ...times(1, call),
  ]);
  const { models } = await reportOf(orgId);
  expect(models).toMatchObject([{ provider: 'openai', model: 'gpt-6-sol', calls: 2 }]);
});

test('what would stay is told with why, and what kept candidates out', async () => {
  const { orgId, projectId } = await organizationWithProjects();
  const call = { ...STAYS, project_id: projectId, cost_nano_usd: '10' };
  const abstained = { version: 'structural-1', verdict: 'abstain', reason: 'no_evidence', projection: 'abstained' };
  const none = { version: 'structural-1', verdict: 'cheaper_suffices', score: 0.1, projection: 'none_eligible' };
  await rig.calls(orgId, [
    ...times(4, { ...call, classification: abstained }),
    ...times(2, { ...call, classification: none }),
    ...times(1, { ...call, projected_model: 'gpt-6-luna' }),
    ...times(1, { ...call, classification: none, routing: { control: false, would: true } }),
  ]);
  await rig.db.database.tenant(orgId, (q) =>
    q.query(
      `UPDATE request_log SET routing = '{"inputs":{"candidates":[{"ineligible":["tools","images"]},{"ineligible":["tools"]}]},
         "decision":{"reason":"none_eligible","wouldRoute":null}}'
        WHERE classification ->> 'projection' = 'none_eligible' AND routing IS NULL`,
    ),
  );
  const figures = await reportOf(orgId);
  if (figures.version !== 2) throw new Error(String(figures.version));
  expect(figures.evidence.stays).toEqual([
    { reason: 'no_evidence', calls: 4, spend_nano_usd: '40' },
    { reason: 'none_eligible', calls: 2, spend_nano_usd: '20' },
  ]);
  expect(figures.evidence.ineligible).toEqual([
    { reason: 'images', calls: 2 },
    { reason: 'tools', calls: 2 },
  ]);
}); // prettier-ignore

test('a report of version 1 can be read as it was made', async () => {
  const { orgId } = await rig.db.createTenant();
  const id = randomUUID();
  const figures = { version: 1, calls: 3, spend_nano_usd: '7', models: [], route_classes: [] };
  await rig.db.database.tenant(orgId, (q) =>
    q.query(
      `INSERT INTO reports (org_id, id, kind, created_at, period_from, period_to, figures, price_versions)
       VALUES ($1, $2, 'interim', now(), now(), now(), $3, '{}')`,
      [orgId, id, JSON.stringify(figures)],
    ),
  );
  const found = await new ReportService(rig.db.database, rig.clock).find(orgId, id);
  expect(found?.figures).toEqual(figures);
});
