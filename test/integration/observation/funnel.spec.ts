import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { OPERATOR, OWNER, funnelRig, type FunnelRig } from './funnel-rig.js';

let rig: FunnelRig;
beforeAll(async () => {
  rig = await funnelRig();
});
afterAll(() => rig?.close());
beforeEach(() => {
  rig.clock.day = 0;
});

/** Runs the job on each of these days. */
async function runOn(...days: readonly number[]): Promise<void> {
  for (const day of days) {
    rig.clock.day = day;
    await rig.funnel().runDue();
  }
}

const daysTo = (last: number, first = 0): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

test('a customer hears of each thing once, on its day, and the trail tells the same', async () => {
  const orgId = await rig.organization();
  await runOn(0);
  expect((await rig.state(orgId)).window).toBeNull();
  await rig.calls(orgId, [{}, {}]);
  const mailsByDay: Record<number, string[]> = {};
  let seen = 0;
  for (const day of daysTo(30)) {
    await runOn(day, day);
    const { mails } = await rig.state(orgId);
    if (mails.length > seen) mailsByDay[day] = mails.slice(seen);
    seen = mails.length;
    expect((await rig.state(orgId)).status).toBe(day < 14 ? 'observing' : 'observation_ended');
  }
  const [status = ''] = mailsByDay[14]?.filter((mail) => mail.startsWith('status_changed')) ?? [];
  expect(status).toMatch(/^status_changed status:\d+$/);
  expect(mailsByDay).toEqual({
    0: ['observation_started observation:started'],
    7: ['interim_report observation:interim_report'],
    11: ['reminder_three_days observation:reminder_three_days'],
    13: ['reminder_one_day observation:reminder_one_day'],
    14: ['conversion_report observation:conversion_report', status],
    17: ['reminder_after_end observation:reminder_after_end'],
  });
  const { reports, trail, isFinished, window } = await rig.state(orgId);
  expect(window).toEqual([0, 14]);
  expect(isFinished).toBe(true);
  expect(reports).toEqual(['interim 0-7 2', 'conversion 0-14 2']);
  expect(trail).toEqual([
    'observation.started observation',
    'report.created observation id',
    'observation.step_done observation interim_report done',
    'observation.step_done observation reminder_three_days done',
    'observation.step_done observation reminder_one_day done',
    'report.created observation id',
    'observation.step_done observation conversion_report done',
    'subscription.close_window observation observation_ended',
    'observation.step_done observation close_window done',
    'observation.step_done observation reminder_after_end done',
  ]);
});

test('an observation starts at the first call that was forwarded, also of the sandbox, and never again', async () => {
  const [refused, synthetic] = [await rig.organization(), await rig.organization()];
  await rig.calls(refused, [
    { outcome: 'refused', status_code: 403, ...UNPRICED },
    { outcome: 'refused', status_code: 403, ...UNPRICED },
  ]);
  await rig.calls(synthetic, [{ synthetic: true }]);
  await runOn(1);
  expect((await rig.state(refused)).window).toBeNull();
  expect((await rig.state(synthetic)).window).toEqual([0, 14]);
  await rig.calls(refused, [{}], 2);
  await runOn(2, 3);
  expect((await rig.state(refused)).window).toEqual([2, 16]);
  await rig.calls(refused, [{}], 1);
  await runOn(4);
  expect((await rig.state(refused)).window).toEqual([2, 16]);
});

const UNPRICED = {
  metering: 'not_applicable',
  unmetered_reason: null,
  usage: null,
  pricing: 'not_applicable',
  price_version: null,
  frozen_prices: null,
  cost_nano_usd: null,
  baseline_cost_nano_usd: null,
  projected_model: null,
  projected_cost_nano_usd: null,
} as const;

test('after three days of outage the funnel catches up, once', async () => {
  const orgId = await rig.organization();
  await rig.calls(orgId, [{}]);
  await runOn(0, 5, 8, 8, 9);
  const { mails, steps } = await rig.state(orgId);
  expect(mails).toEqual([
    'observation_started observation:started',
    'interim_report observation:interim_report',
  ]);
  expect(steps).toEqual(['interim_report done 8']);
});

test('down from day 5 to day 20, nobody gets stale mail, and no two at once', async () => {
  const orgId = await rig.organization();
  await rig.calls(orgId, [{}]);
  await runOn(0, 5, 20, 20, 21, 22);
  const after = await rig.state(orgId);
  expect(after.status).toBe('observation_ended');
  expect(after.mails.filter((mail) => !mail.startsWith('status_changed'))).toEqual([
    'observation_started observation:started',
    'conversion_report observation:conversion_report',
  ]);
  expect(after.steps).toEqual([
    'interim_report skipped 20',
    'reminder_three_days skipped 20',
    'reminder_one_day skipped 20',
    'close_window done 20',
    'conversion_report done 20',
  ]);
  expect(after.reports).toEqual(['conversion 0-14 1']);
  await runOn(23, 24);
  const later = await rig.state(orgId);
  expect(later.mails.at(-1)).toBe('reminder_after_end observation:reminder_after_end');
  expect(later.isFinished).toBe(true);
});

test('who activated early hears no more of it, not even after an operator took routing away', async () => {
  const orgId = await rig.organization();
  await rig.calls(orgId, [{}]);
  await runOn(0, 7, 10);
  const report = await rig.reports.create(orgId, OWNER);
  if (report.kind !== 'created') throw new Error(report.kind);
  expect((await rig.activations.activate(orgId, report.report.id, OWNER)).kind).toBe('changed');
  await rig.subscriptions.apply(orgId, { event: 'kill', actor: OPERATOR, reason: 'test' });
  const before = await rig.state(orgId);
  expect(before.status).toBe('observing');
  await runOn(...daysTo(40, 10));
  const after = await rig.state(orgId);
  expect(after.mails).toEqual(before.mails);
  expect(after.status).toBe('observing');
  expect(after.isFinished).toBe(true);
  expect(after.steps.slice(1).every((step) => step.includes('skipped'))).toBe(true);
});

test("a suspended organization's funnel waits, and goes on with what is still true", async () => {
  const orgId = await rig.organization();
  await rig.calls(orgId, [{}]);
  await runOn(0);
  await rig.subscriptions.apply(orgId, { event: 'suspend', actor: OPERATOR, reason: 'test' });
  await runOn(...daysTo(15));
  expect((await rig.state(orgId)).steps).toEqual([]);
  await rig.subscriptions.apply(orgId, { event: 'reinstate', actor: OPERATOR, reason: 'test' });
  await runOn(16);
  const { steps, status } = await rig.state(orgId);
  expect(status).toBe('observation_ended');
  expect(steps.filter((step) => step.includes('done'))).toEqual([
    'close_window done 16',
    'conversion_report done 16',
  ]);
});

test('an extended window moves what is to come, with its entry in the trail', async () => {
  const orgId = await rig.organization();
  const until = (day: number) =>
    rig.observations.extend(orgId, rig.clock.atDay(day), OPERATOR, 'asked for');
  expect(await until(20)).toEqual({ kind: 'not_started' });
  await rig.calls(orgId, [{}]);
  await runOn(0, 7, 11);
  expect(await until(30)).toMatchObject({ kind: 'extended' });
  expect(await rig.observations.find(orgId)).toMatchObject({
    endsAtMs: rig.clock.atDay(30),
    next: { step: 'reminder_one_day', dueAtMs: rig.clock.atDay(29) },
  });
  expect(await until(11)).toEqual({ kind: 'refused', code: 'ends_in_the_past' });
  expect(await until(102)).toEqual({ kind: 'refused', code: 'ends_too_late' });
  await runOn(...daysTo(29, 12));
  expect((await rig.state(orgId)).steps).toEqual([
    'interim_report done 7',
    'reminder_three_days done 11',
    'reminder_one_day done 29',
  ]);
  await runOn(30);
  expect((await rig.state(orgId)).status).toBe('observation_ended');
  expect(await until(60)).toEqual({ kind: 'refused', code: 'observation_over' });
  const { trail } = await rig.state(orgId);
  expect(trail.filter((entry) => entry.startsWith('observation.extended'))).toEqual([
    `observation.extended olga ${new Date(rig.clock.atDay(30)).toISOString()}`,
  ]);
});

test('one organization that cannot be served keeps no other from its steps', async () => {
  const [broken, fine] = [await rig.organization(), await rig.organization()];
  for (const orgId of [broken, fine]) await rig.calls(orgId, [{}]);
  await runOn(0);
  await rig.db.owner.query(
    `ALTER TABLE observation_steps ADD CONSTRAINT broken CHECK (org_id <> '${broken}')`,
  );
  rig.clock.day = 14;
  await expect(rig.funnel().runDue()).rejects.toMatchObject({ name: 'FunnelIncomplete' });
  expect((await rig.state(fine)).status).toBe('observation_ended');
  await rig.db.owner.query('ALTER TABLE observation_steps DROP CONSTRAINT broken');
  await rig.funnel().runDue();
  expect((await rig.state(broken)).status).toBe('observation_ended');
});

test('one organization whose first call takes too long to find keeps no other from its start, nor from its steps', async () => {
  const [slow, fresh, due] = [
    await rig.organization(),
    await rig.organization(),
    await rig.organization(),
  ];
  rig.clock.day = 0;
  await rig.calls(due, [{}]);
  await runOn(0);
  rig.clock.day = 14;
  for (const orgId of [slow, fresh]) await rig.calls(orgId, [{}]);
  const name = 'first_forwarded_calls';
  await rig.db.owner.query(`ALTER FUNCTION ${name}(uuid[]) RENAME TO quick_${name}`);
  await rig.db.owner.query(
    `CREATE FUNCTION ${name}(orgs uuid[]) RETURNS TABLE (org_id uuid, started_at timestamptz) LANGUAGE plpgsql AS $$
     BEGIN
       IF '${slow}' = ANY (orgs) THEN PERFORM pg_sleep(60); END IF;
       RETURN QUERY SELECT * FROM quick_${name}(orgs);
     END $$`,
  );
  const impatient = await rig.db.connect({ statementTimeoutMs: 300 });
  try {
    const running = rig.funnel(impatient).runDue();
    await expect(running).rejects.toMatchObject({ name: 'FunnelIncomplete' });
  } finally {
    await impatient.close();
    await rig.db.owner.query(`DROP FUNCTION ${name}(uuid[])`);
    await rig.db.owner.query(`ALTER FUNCTION quick_${name}(uuid[]) RENAME TO ${name}`);
  }
  expect((await rig.state(fresh)).window).toEqual([14, 28]);
  expect((await rig.state(due)).status).toBe('observation_ended');
  expect((await rig.state(slow)).window).toBeNull();
  await rig.funnel().runDue();
  expect((await rig.state(slow)).window).toEqual([14, 28]);
});

test('one organization that somebody holds up keeps no other waiting', async () => {
  const [held, fine] = [await rig.organization(), await rig.organization()];
  for (const orgId of [held, fine]) await rig.calls(orgId, [{}]);
  await runOn(0);
  rig.clock.day = 14;
  const impatient = await rig.db.connect({ statementTimeoutMs: 300 });
  try {
    await rig.db.database.tenant(held, async (q) => {
      await q.query('SELECT id FROM organizations FOR UPDATE');
      const running = rig.funnel(impatient).runDue();
      await expect(running).rejects.toMatchObject({ name: 'FunnelIncomplete' });
    });
  } finally {
    await impatient.close();
  }
  expect((await rig.state(held)).status).toBe('observing');
  expect((await rig.state(fine)).status).toBe('observation_ended');
  await rig.funnel().runDue();
  expect((await rig.state(held)).status).toBe('observation_ended');
});

test('neither a start nor a step nor a report can be rewritten or taken back', async () => {
  const orgId = await rig.organization();
  await rig.calls(orgId, [{}]);
  await runOn(0, 7);
  for (const sql of [
    'UPDATE observations SET started_at = now()',
    'DELETE FROM observations',
    `UPDATE observation_steps SET outcome = 'skipped'`,
    'DELETE FROM observation_steps',
    `UPDATE reports SET figures = '{"version":1}'`,
    'DELETE FROM reports',
  ]) {
    const changing = rig.db.database.tenant(orgId, (q) => q.query(sql));
    await expect(changing, sql).rejects.toMatchObject({ code: '42501' });
  }
});
