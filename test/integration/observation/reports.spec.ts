import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { UNMETERED } from '../records/record-samples.js';
import { DAY_MS, OWNER, funnelRig, type FunnelRig } from './funnel-rig.js';

let rig: FunnelRig;
beforeAll(async () => {
  rig = await funnelRig();
});
afterAll(() => rig?.close());

const NOT_PROJECTED = { projected_model: null, projected_cost_nano_usd: null } as const;
/** One more than a double holds exactly. */
const HUGE = '90071992547409930000000000001';

const CALLS: readonly Partial<CallRecord>[] = [
  { cost_nano_usd: '1000', projected_cost_nano_usd: '400' },
  { cost_nano_usd: HUGE, projected_cost_nano_usd: '1', price_version: '2026-11-02' },
  // A projection that would have cost more counts against the others.
  {
    requested_model: 'gpt-5-mini',
    route_class: 'b',
    cost_nano_usd: '10',
    projected_cost_nano_usd: '30',
  },
  { cost_nano_usd: '7', ...NOT_PROJECTED },
  { ...UNMETERED, ...NOT_PROJECTED },
  {
    ...NOT_PROJECTED,
    pricing: 'unpriceable',
    unpriceable_reason: 'no_price',
    price_version: null,
    frozen_prices: null,
    cost_nano_usd: null,
    baseline_cost_nano_usd: null,
  },
  { synthetic: true, cost_nano_usd: '5000000' },
  {
    ...UNMETERED,
    ...NOT_PROJECTED,
    outcome: 'refused',
    metering: 'not_applicable',
    unmetered_reason: null,
  },
];

test('a report adds up exactly what was priced, and counts what was not', async () => {
  rig.clock.day = 0;
  const orgId = await rig.organization();
  await rig.calls(orgId, CALLS, 0);
  await rig.calls(orgId, [{ cost_nano_usd: '999' }], 2);
  await rig.funnel().runDue();
  rig.clock.day = 1;
  const created = await rig.reports.create(orgId, OWNER);
  if (created.kind !== 'created') throw new Error(created.kind);
  const { report } = created;
  expect(report.period).toEqual({ fromMs: rig.clock.atDay(0), toMs: rig.clock.atDay(1) });
  expect(report.figures).toMatchObject({
    version: 2,
    calls: 6,
    metered_calls: 5,
    estimated_calls: 0,
    unmetered_calls: 1,
    unpriceable_calls: 1,
    spend_nano_usd: String(BigInt(HUGE) + 1_017n),
    projected_calls: 3,
    projected_savings_nano_usd: String(600n + BigInt(HUGE) - 1n - 20n),
    projected_nano_usd: String(400n + 1n + 30n + 7n),
    excluded: { refused_calls: 1, synthetic_calls: 1 },
  });
  expect(report.priceVersions).toEqual(['2026-11-01', '2026-11-02']);
  expect(report.figures.models).toMatchObject([
    { provider: 'openai', model: 'gpt-5.1', calls: 5, projected_calls: 2 },
    { provider: 'openai', model: 'gpt-5-mini', calls: 1, projected_savings_nano_usd: '-20' },
  ]);
  expect(report.figures.route_classes.map(({ calls }) => calls)).toEqual([5, 1]);
  expect(await rig.reports.find(orgId, report.id)).toEqual(report);
  expect(await rig.reports.list(orgId)).toEqual([report]);
});

test('a report of many days is the sum of its days, the moment of its end left out', async () => {
  rig.clock.day = 0;
  const orgId = await rig.organization();
  for (const day of [0, 0.5, 1, 2.999, 3]) await rig.calls(orgId, [{ cost_nano_usd: '100' }], day);
  await rig.funnel().runDue();
  rig.clock.day = 3;
  const created = await rig.reports.create(orgId, OWNER);
  if (created.kind !== 'created') throw new Error(created.kind);
  expect(created.report.figures).toMatchObject({
    calls: 4,
    spend_nano_usd: '400',
    models: [{ calls: 4, spend_nano_usd: '400' }],
    route_classes: [{ calls: 4 }],
  });
  expect(created.report.priceVersions).toEqual(['2026-11-01']);
});

test('there is one report on demand a minute, also of several who ask at once', async () => {
  rig.clock.day = 3;
  const orgId = await rig.organization();
  const asked = await Promise.all([1, 2, 3, 4].map(() => rig.reports.create(orgId, OWNER)));
  expect(asked.map(({ kind }) => kind).toSorted()).toEqual([
    'created',
    'too_soon',
    'too_soon',
    'too_soon',
  ]);
  rig.clock.day += 59_999 / DAY_MS;
  expect(await rig.reports.create(orgId, OWNER)).toEqual({
    kind: 'too_soon',
    retryAfterSeconds: 1,
  });
  rig.clock.day += 1 / DAY_MS;
  expect((await rig.reports.create(orgId, OWNER)).kind).toBe('created');
});

test("no organization is told another's report, nor activates by it", async () => {
  rig.clock.day = 4;
  const [own, foreign] = [await rig.organization(), await rig.organization()];
  const created = await rig.reports.create(foreign, OWNER);
  if (created.kind !== 'created') throw new Error(created.kind);
  const { id } = created.report;
  expect(await rig.reports.find(own, id)).toBeNull();
  expect(await rig.activations.activate(own, id, OWNER)).toEqual({ kind: 'unknown_report' });
});

test('of several who activate at once one does; the kill switch at the same moment has the last word', async () => {
  rig.clock.day = 4;
  const operator = { kind: 'operator', name: 'olivia' } as const;
  for (let round = 0; round < 10; round += 1) {
    const orgId = await rig.organization();
    const created = await rig.reports.create(orgId, OWNER);
    if (created.kind !== 'created') throw new Error(created.kind);
    const { id } = created.report;
    rig.clock.day += 1 / DAY_MS;
    const activate = () => rig.activations.activate(orgId, id, OWNER);
    if (round % 2 === 0) {
      const kinds = (await Promise.all([activate(), activate(), activate()])).map(
        (one) => one.kind,
      );
      expect(kinds.toSorted()).toEqual(['changed', 'refused', 'refused']);
      expect((await rig.state(orgId)).status).toBe('active');
      continue;
    }
    const kill = { event: 'kill', actor: operator, reason: 'test' } as const;
    const [, killed] = await Promise.all([activate(), rig.subscriptions.apply(orgId, kill)]);
    expect(killed.kind).toBe('changed');
    expect((await rig.state(orgId)).status).toBe('observing');
    expect(await activate()).toMatchObject({ kind: 'refused', code: 'operator_hold' });
  }
});

test('the mails of the funnel carry the figures of their report, and their last day', async () => {
  rig.clock.day = 5;
  const orgId = await rig.organization();
  await rig.calls(orgId, [{ cost_nano_usd: '1000', projected_cost_nano_usd: '400' }]);
  for (const day of [5, 12, 16, 18, 19, 22]) {
    rig.clock.day = day;
    await rig.funnel().runDue();
  }
  const mails = await rig.db.database.tenant(orgId, (q) =>
    q.query<{ kind: string; data: Record<string, unknown>; expires: Date | null }>(
      `SELECT kind, data, expires_at AS expires FROM outbox
        WHERE kind LIKE '%report' OR kind LIKE 'reminder%' ORDER BY created_at`,
    ),
  );
  expect(mails.map(({ kind }) => kind)).toEqual([
    'interim_report',
    'reminder_three_days',
    'reminder_one_day',
    'conversion_report',
    'reminder_after_end',
  ]);
  const stored = (await rig.reports.list(orgId)).map(({ id }) => id);
  for (const { data } of mails) {
    expect(stored).toContain(data['report_id']);
    expect(data).toMatchObject({
      calls: 1,
      metered_calls: 1,
      unmetered_calls: 0,
      unpriceable_calls: 0,
      spend_nano_usd: '1000',
      projected_nano_usd: '400',
      projected_savings_nano_usd: '600',
      projected_calls: 1,
      ends_at: new Date(rig.clock.atDay(19)).toISOString(),
    });
  }
  expect(mails.slice(0, 3).map(({ expires }) => expires?.getTime())).toEqual(
    [16, 18, 19].map((day) => rig.clock.atDay(day)),
  );
});
