import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recomputeCost } from '../../../src/domain/pricing/price-record.js';
import { DIFFERENCE_METHOD } from '../../../src/domain/savings/measured-difference.js';
import type { Exclusion, LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import type { SavingsFigures, SavingsLine } from '../../../src/modules/reports/savings-report.js';
import { UNMETERED, requestIdAt } from '../records/record-samples.js';
import { entriesOfCall } from './generated-calls.js';
import {
  DAY_MS,
  entryOf,
  lastMonthMs,
  reportsRig,
  type ReportsRig,
  type TestCall,
} from './reports-rig.js';

let rig: ReportsRig;
beforeAll(async () => {
  rig = await reportsRig();
});
afterAll(() => rig?.close());

const FROM = lastMonthMs();
const period = { fromMs: FROM, toMs: FROM + 28 * DAY_MS };

async function figuresOf(orgId: string, includeSynthetic = false): Promise<SavingsFigures> {
  return (await rig.savings.report(orgId, { period, includeSynthetic })).figures;
}

const sumOf = (lines: readonly SavingsLine[]): SavingsLine => {
  const total = (name: 'baseline_nano_usd' | 'actual_nano_usd' | 'savings_nano_usd'): string =>
    String(lines.reduce((sum, line) => sum + BigInt(line[name]), 0n));
  return {
    entries: lines.reduce((sum, { entries }) => sum + entries, 0),
    baseline_nano_usd: total('baseline_nano_usd'),
    actual_nano_usd: total('actual_nano_usd'),
    savings_nano_usd: total('savings_nano_usd'),
  };
};

test('report = sum of entries = recomputation, to the nano-USD, on 100,000 generated calls', async () => {
  const orgId = await rig.organization();
  const expected = { actual: 0n, baseline: 0n, counted: 0, auto: 0 };
  const CALLS = 100_000;
  const BATCH = 10_000;
  let stored = 0;
  for (let first = 0; first < CALLS; first += BATCH) {
    const entries = Array.from({ length: BATCH }, (_, i) => first + i).flatMap((i) =>
      entriesOfCall(orgId, i, FROM + Math.floor((i * 28 * DAY_MS) / CALLS)),
    );
    for (const entry of entries.filter(({ synthetic }) => !synthetic)) {
      expected.counted += 1;
      expected.auto += entry.auto ? 1 : 0;
      expected.actual += BigInt(entry.actual_nano_usd);
      expected.baseline += BigInt(entry.baseline_nano_usd);
    }
    await rig.entriesUnchecked(orgId, entries, stored + 1);
    stored += entries.length;
  }
  expect(stored).toBeGreaterThan(CALLS);
  const figures = await figuresOf(orgId);
  const total = {
    entries: expected.counted,
    baseline_nano_usd: String(expected.baseline),
    actual_nano_usd: String(expected.actual),
    savings_nano_usd: String(expected.baseline - expected.actual),
  };
  expect(sumOf([figures.total, figures.auto])).toEqual(total);
  for (const lines of [figures.by_kind, figures.by_models, figures.by_project]) {
    expect(sumOf(lines)).toEqual(figures.total);
  }
  const kinds = figures.by_kind.map(({ kind }) => kind).toSorted();
  expect(kinds).toEqual(['adjustment', 'failed_attempt', 'routed']);
  expect(figures.auto.entries).toBe(expected.auto);
  expect(expected.auto).toBeGreaterThan(1_000);
  expect(figures.synthetic.entries).toBe(stored - expected.counted);
  expect(await recomputed(orgId)).toEqual(total);
  const all = await figuresOf(orgId, true);
  expect(all.total.entries + all.auto.entries).toBe(stored);
  expect(sumOf([total, figures.synthetic])).toEqual(sumOf([all.total, all.auto]));
}, 120_000);

/** Of usage and prices alone, row by row: what an auditor does. */
async function recomputed(orgId: string): Promise<SavingsLine> {
  let [after, entries, actual, baseline] = [0, 0, 0n, 0n];
  for (;;) {
    const rows = await rig.db.database.tenant(orgId, (q) =>
      q.query<LedgerEntry & { seq: number }>(
        `SELECT seq::float8 AS seq, usage, served_prices, baseline_usage, baseline_prices FROM savings_ledger
          WHERE org_id = $1 AND savings_ledger.seq > $2 AND NOT synthetic ORDER BY savings_ledger.seq LIMIT 10000`,
        [orgId, after],
      ),
    );
    for (const row of rows) {
      entries += 1;
      actual += recomputeCost(row.usage, row.served_prices, true) ?? -(10n ** 30n);
      baseline += recomputeCost(row.baseline_usage, row.baseline_prices, true) ?? -(10n ** 30n);
    }
    const last = rows.at(-1);
    if (last === undefined) break;
    after = last.seq;
  }
  return {
    entries,
    baseline_nano_usd: String(baseline),
    actual_nano_usd: String(actual),
    savings_nano_usd: String(baseline - actual),
  };
}

test('an entry at the end of the period is not in it, one at its start is', async () => {
  const orgId = await rig.organization();
  await rig.entries(orgId, [
    entryOf(orgId, FROM - 1),
    entryOf(orgId, FROM),
    entryOf(orgId, period.toMs - 1),
    entryOf(orgId, period.toMs),
  ]);
  expect((await figuresOf(orgId)).total.entries).toBe(2);
});

test('what has more pairs of models than are listed adds up all the same', async () => {
  const orgId = await rig.organization();
  const entries = Array.from({ length: 230 }, (_, i) =>
    entryOf(orgId, FROM + i, { served_model: `model-${i}` }),
  );
  await rig.entries(orgId, entries);
  const { by_models: pairs, total } = await figuresOf(orgId);
  expect(pairs).toHaveLength(201);
  expect(pairs.at(-1)).toMatchObject({ served_model: null, entries: 30 });
  expect(sumOf(pairs)).toEqual(total);
});

test('adjustments are shown one by one, and are in the sum', async () => {
  const orgId = await rig.organization();
  const routed = entryOf(orgId, FROM);
  const adjusted = entryOf(orgId, FROM + DAY_MS, {
    kind: 'adjustment',
    request_id: routed.request_id,
    served_prices: { inputTokens: '1000000', outputTokens: '-5000000' },
    baseline_usage: {},
    actual_nano_usd: '0',
    baseline_nano_usd: '0',
    savings_nano_usd: '0',
  });
  await rig.entries(orgId, [routed, adjusted]);
  const { adjustments, by_kind: kinds } = await figuresOf(orgId);
  expect(adjustments).toEqual([
    {
      request_id: routed.request_id,
      attempt: 0,
      at: new Date(FROM + DAY_MS).toISOString(),
      savings_nano_usd: '0',
    },
  ]);
  expect(kinds.find(({ kind }) => kind === 'adjustment')?.entries).toBe(1);
});

/** As the gateway stores it: what matters to the counts. */
function excludedAs(excluded: Exclusion): TestCall['storedRouting'] {
  return { inputs: {}, decision: {}, excluded } as never;
}

test('every call is counted once: as routed, or by why it has no entry', async () => {
  const orgId = await rig.organization();
  const routed = requestIdAt(FROM);
  const call = (changes: Partial<TestCall>, i: number): TestCall => ({
    atMs: FROM + i,
    ...changes,
  });
  const unpriced = {
    pricing: 'unpriceable',
    unpriceable_reason: 'unknown_model',
    price_version: null,
    frozen_prices: null,
    cost_nano_usd: null,
  } as const;
  const failed = {
    ...UNMETERED,
    outcome: 'upstream_error',
    metering: 'not_applicable',
    unmetered_reason: null,
  } as const;
  await rig.calls(
    orgId,
    [
      { decision: 'passthrough' },
      { decision: 'override', ...UNMETERED },
      { decision: 'control' },
      { decision: 'control' },
      { decision: 'abstain' },
      { decision: 'classifier', request_id: routed, started_at_ms: FROM },
      { decision: 'session', metering: 'estimated' },
      { decision: 'session', ...UNMETERED },
      { decision: 'fallback', ...unpriced },
      { decision: 'classifier', ...failed },
      { decision: 'fallback', storedRouting: excludedAs('abstain') },
      { decision: 'fallback', storedRouting: excludedAs('control') },
      { decision: 'fallback', storedRouting: excludedAs('failed') },
      { decision: 'fallback', storedRouting: excludedAs('unpriceable') },
      { decision: 'session', storedRouting: excludedAs('abstain') },
      // Priced, and without an entry: its baseline had no price.
      { decision: 'classifier' },
      { decision: 'passthrough', ...failed, outcome: 'refused' },
      { decision: 'classifier', synthetic: true },
    ].map((changes, i) => call(changes as Partial<TestCall>, i)),
  );
  await rig.entries(orgId, [entryOf(orgId, FROM, { request_id: routed })]);
  expect((await figuresOf(orgId)).calls).toEqual({
    routed: 1,
    passthrough: 1,
    override: 1,
    control: 3,
    abstain: 3,
    estimated: 1,
    unmetered: 1,
    unpriceable: 3,
    failed: 2,
    refused: 1,
    synthetic: 1,
  });
});

describe('the measured difference', () => {
  const WOULD = { would: true };
  /** Sessions of two calls on different days, which cost a, a, ... in all. */
  function sessions(name: string, control: boolean, costs: readonly number[]): TestCall[] {
    return costs.flatMap((cost, i) => [
      { atMs: FROM + i * 1_000, session_key: `${name}${i}`, cost_nano_usd: String(cost - 1), routing: { control, ...WOULD } },
      { atMs: FROM + 2 * DAY_MS + i * 1_000, session_key: `${name}${i}`, cost_nano_usd: '1', routing: { control, would: false } },
    ]); // prettier-ignore
  }
  const costs = (count: number, cost: number): number[] =>
    Array.from({ length: count }, (_, i) => cost + (i % 5) * 10);

  test('is of sessions, over days, and of those alone that would have been routed', async () => {
    const orgId = await rig.organization();
    await rig.calls(orgId, [
      ...sessions('c', true, costs(60, 1_000)),
      ...sessions('r', false, costs(200, 400)),
      // Never routable, a session without a name, the sandbox: none of them counts.
      ...sessions('n', false, [9_999_999]).map((call) => ({ ...call, routing: { control: false, would: false } })),
      ...sessions('x', true, [9_999_999]).map((call) => ({ ...call, session_key: null })),
      ...sessions('s', true, [9_999_999]).map((call) => ({ ...call, synthetic: true })),
    ]); // prettier-ignore
    const { measured } = await figuresOf(orgId);
    expect(measured).toMatchObject({
      method: DIFFERENCE_METHOD,
      control: { sessions: 60, mean_nano_usd: '1020' },
      routed: { sessions: 200, mean_nano_usd: '420' },
      difference_nano_usd: '600',
      no_interval: null,
      unreliable: ['few_sessions'],
      left_out: { changed_group: 0 },
      unknown_costs: { control: 0, routed: 0 },
    });
    const { low_nano_usd: low = '0', high_nano_usd: high = '0' } = measured.interval_95 ?? {};
    expect(Number(low)).toBeGreaterThan(0);
    expect(Number(low)).toBeLessThan(600);
    expect(Number(high)).toBeGreaterThan(600);
    expect(Number(measured.smallest_effect_nano_usd)).toBeGreaterThan(600 - Number(low));
  });

  test('takes routed sessions at what they had cost as asked for, where it asks how costs are spread', async () => {
    const orgId = await rig.organization();
    const dear = { atMs: FROM, request_id: requestIdAt(FROM) };
    const routing = { control: false, ...WOULD };
    await rig.calls(orgId, [
      ...sessions('c', true, costs(20, 1_000)),
      ...sessions('r', false, costs(20, 400)),
      { ...dear, session_key: 'dear', cost_nano_usd: '400', routing },
    ]);
    const unreliable = async () => (await figuresOf(orgId)).measured.unreliable;
    expect(await unreliable()).toEqual(['few_sessions']);
    await rig.entries(orgId, [entryOf(orgId, FROM, { request_id: dear.request_id })]);
    expect(await unreliable()).toEqual(['few_sessions', 'one_session_dominates']);
  });

  test('counts a session from its first call on that would have been routed, failed attempts too', async () => {
    const orgId = await rig.organization();
    const [early, routed] = [FROM, FROM + 1_000];
    const request_id = requestIdAt(routed);
    const session = { session_key: 'one' };
    await rig.calls(orgId, [
      { atMs: early, ...session, cost_nano_usd: '5000', routing: { control: false, would: false } },
      { atMs: routed, ...session, request_id, cost_nano_usd: '70', routing: { control: false, would: true } },
      { atMs: routed + 1_000, ...session, cost_nano_usd: '30', routing: { control: false, would: false } },
      { atMs: routed + DAY_MS, ...session, cost_nano_usd: '11' },
    ]); // prettier-ignore
    const prices = { inputTokens: '1000000' };
    await rig.entries(orgId, [
      entryOf(orgId, routed, { request_id, kind: 'failed_attempt', usage: { inputTokens: 900 }, served_prices: prices }),
    ]); // prettier-ignore
    const { measured } = await figuresOf(orgId);
    expect(measured.routed).toEqual({ sessions: 1, mean_nano_usd: '1011' });
    expect(measured).toMatchObject({ interval_95: null, no_interval: 'too_few_sessions' });
  });

  test('counts a session that was under way when the period began in either group alike', async () => {
    const orgId = await rig.organization();
    const call = (session_key: string, atMs: number, control: boolean, would: boolean) => ({
      atMs, session_key, cost_nano_usd: '10', routing: { control, would },
    }); // prettier-ignore
    const fromMs = FROM + DAY_MS;
    await rig.calls(orgId, [
      // The routed one holds its route, the other one would not leave its cache any more.
      call('c', fromMs - 60_000, true, true),
      call('c', fromMs + 60_000, true, false),
      call('r', fromMs - 60_000, false, true),
      call('r', fromMs + 60_000, false, true),
      // Over before the period.
      call('over', fromMs - 60_000, false, true),
    ]);
    const { figures } = await rig.savings.report(orgId, {
      period: { fromMs, toMs: period.toMs },
      includeSynthetic: false,
    });
    expect(figures.measured).toMatchObject({
      control: { sessions: 1, mean_nano_usd: '10' },
      routed: { sessions: 1, mean_nano_usd: '10' },
      left_out: { changed_group: 0 },
    });
  });

  test('keeps a session whatever went wrong in it, and widens the interval by what that may have cost', async () => {
    const orgId = await rig.organization();
    const wrong = (name: string, changes: Partial<TestCall>): TestCall => ({
      atMs: FROM + 60_000,
      session_key: name,
      ...changes,
    });
    const attempts = (control: boolean, unknownCostAttempts: number): Partial<TestCall> => ({
      cost_nano_usd: '1',
      storedRouting: {
        inputs: { control },
        decision: { wouldRoute: null },
        unknownCostAttempts,
      } as unknown as TestCall['storedRouting'],
    });
    const calls = [
      ...sessions('c', true, costs(500, 1_000)),
      ...sessions('r', false, costs(500, 400)),
    ];
    await rig.calls(orgId, calls);
    const { measured: before } = await figuresOf(orgId);
    await rig.calls(orgId, [
      wrong('c1', UNMETERED),
      wrong('c2', { ...UNMETERED, outcome: 'upstream_error', status_code: 500 }),
      wrong('r1', { ...UNMETERED, outcome: 'upstream_failed', atMs: FROM + 3 * DAY_MS }),
      wrong('r2', attempts(false, 2)),
    ]);
    const { measured: after } = await figuresOf(orgId);
    expect(after).toMatchObject({
      control: before.control,
      routed: { sessions: 500 },
      left_out: { changed_group: 0 },
      // The refusal cost nothing. The dearest call cost 1,039.
      unknown_costs: { control: 1, routed: 3, each_at_most_nano_usd: '1039' },
      unreliable: [],
    });
    const width = ({ interval_95: interval }: typeof after): number =>
      Number(interval!.high_nano_usd) - Number(interval!.low_nano_usd);
    expect(width(after) - width(before)).toBeGreaterThanOrEqual((4 * 1_039) / 500);
  });

  test('leaves out, and counts, who changed groups', async () => {
    const orgId = await rig.organization();
    let made = 0;
    const call = (session_key: string, control: boolean, changes: Partial<TestCall> = {}): TestCall => ({
      atMs: FROM + (made += 1), session_key, routing: { control, would: true }, ...changes,
    }); // prettier-ignore
    await rig.calls(orgId, [
      call('a', true),
      call('a', false),
      call('b', true),
      call('b', false, { atMs: FROM + 3 * DAY_MS }),
      call('e', false),
    ]);
    const { measured } = await figuresOf(orgId);
    expect(measured.left_out).toEqual({ changed_group: 2 });
    expect([measured.control.sessions, measured.routed.sessions]).toEqual([0, 1]);
  });
});

test('what asked for shunt/auto is beside the total, and in no line of it', async () => {
  const orgId = await rig.organization();
  await rig.entries(orgId, [entryOf(orgId, FROM), entryOf(orgId, FROM + 1, { auto: true })]);
  const { total, auto, by_kind, by_models, by_project } = await figuresOf(orgId);
  const one = entryOf(orgId, FROM).savings_nano_usd;
  for (const line of [total, auto, sumOf(by_kind), sumOf(by_models), sumOf(by_project)]) {
    expect(line).toMatchObject({ entries: 1, savings_nano_usd: one });
  }
});

test("no organization's savings tell of another's", async () => {
  const [own, foreign] = [await rig.organization(), await rig.organization()];
  await rig.entries(foreign, [entryOf(foreign, FROM)]);
  await rig.calls(foreign, [{ atMs: FROM }]);
  const { total, calls } = await figuresOf(own);
  expect(total.entries).toBe(0);
  expect(Object.values(calls).every((count) => count === 0)).toBe(true);
});
