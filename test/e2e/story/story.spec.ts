import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AheadWorker } from '../../../scripts/demo/ahead-worker.js';
import { startProviders, type DemoProviders } from '../../../scripts/demo/providers.js';
import { metricsOf, readBreakers } from '../../../src/cli/breakers.js';
import type { LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { signInOperator } from '../../support/admin-client.js';
import { firstOwner, signIn, type DashboardClient } from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { measured, until } from '../reliability/until.js';
import { Application, type Said } from './application.js';
import { verifyFile } from './verify-file.js';

/*
 * The product's story, from the first call to the proof of what was saved, as its users live it: applications with the
 * providers' own SDKs, an owner at the dashboard's API, an operator at theirs, the verifier on a file. The chapters
 * follow one another, each on what those before have left: this one file depends on its order, and is to be read from
 * top to bottom. The providers are the sandbox, without the mark on its answers: a real provider has none either.
 */

const SETTLED_MS_MAX = 10_000;
const RECOVERED_MS_MAX = 45_000;
const KILLED_WITHIN_MS = 1_000;

let providers: DemoProviders;
let gateway: TestGateway;
let owner: DashboardClient;
let orgId: string;
let application: Application;

beforeAll(async () => {
  providers = await startProviders({ unmarked: true });
  const { baseUrls } = providers;
  gateway = await startGateway({
    env: {
      OPENAI_BASE_URL: baseUrls.openai,
      ANTHROPIC_BASE_URL: baseUrls.anthropic,
      GOOGLE_BASE_URL: baseUrls.google,
      GROQ_BASE_URL: baseUrls.groq,
      OPENAI_API_KEY: 'sk-openai',
      ANTHROPIC_API_KEY: 'sk-ant',
      GEMINI_API_KEY: 'AIza',
      GROQ_API_KEY: 'gsk',
    },
  });
  const credentials = firstOwner(gateway);
  owner = await signIn(gateway, credentials);
  ({ orgId } = credentials);
  application = new Application(gateway.origin, gateway.projectKey);
});
afterAll(async () => {
  await gateway?.stop();
  await providers?.close();
});

/** Which model may answer instead of which. */
const ROUTES = [
  ['openai', 'gpt-6-sol', 'gpt-6-luna'],
  ['anthropic', 'claude-opus-5-5', 'claude-haiku-5-5'],
  ['google', 'gemini-3.8-flash', 'gemini-3.5-flash-lite'],
  ['groq', 'openai/gpt-oss-120b', 'openai/gpt-oss-20b'],
] as const;
const [[, SOL, LUNA]] = ROUTES;
const TERRA = 'gpt-6.1-terra';

const sum = (amounts: readonly (string | null)[]): bigint =>
  amounts.reduce((total, amount) => total + BigInt(amount ?? 0), 0n);

async function recordOf({ requestId }: Said): Promise<CallRecord> {
  return gateway.record(requestId);
}

async function entriesOf(said?: Said): Promise<LedgerEntry[]> {
  await gateway.records();
  const rows = await gateway.app.engine.database.tenant(orgId, (q) =>
    q.query<LedgerEntry>('SELECT * FROM savings_ledger ORDER BY seq'),
  );
  return said === undefined ? rows : rows.filter((row) => row.request_id === said.requestId);
}

/** What the owner sets is true for calls within a second. */
async function set(method: string, route: string, body: unknown): Promise<Record<string, string>> {
  const answer = await owner.ask(method, route, body);
  expect(answer.status, answer.text).toBeLessThan(300);
  const { database, principals } = gateway.app.engine;
  await until('the gateway follows', SETTLED_MS_MAX, async () => {
    const [row] = await database.directory((q) =>
      q.query<{ version: string }>('SELECT version FROM tenancy_changes WHERE org_id = $1', [
        orgId,
      ]),
    );
    const found = await principals.find(gateway.projectKey);
    if (found.kind !== 'known' || !principals.isSettled) return false;
    return found.principal.standing.version >= Number(row?.version ?? 0);
  });
  return answer.body as Record<string, string>;
}

async function breakerOf(model: string): Promise<string> {
  const breakers = readBreakers(await metricsOf(gateway.origin, null)) ?? [];
  return breakers.find((one) => one.model === model)?.state ?? 'closed';
}

describe('The story of an organization', () => {
  let reportId: string;
  let observed: CallRecord[];

  test('observation: each SDK gets exactly the model that it asks for, and every call is metered and priced', async () => {
    for (const [provider, model] of ROUTES) {
      const before = providers.asked(model);
      for (const stream of [false, true]) {
        const said = await application.call(provider, model, { stream });
        expect(said).toMatchObject({ mode: 'observing', decision: 'passthrough', served: model });
      }
      expect(providers.asked(model) - before).toBe(2);
    }
    const label = await application.label(SOL);
    expect(label).toMatchObject({ decision: 'passthrough', served: SOL });
    observed = await gateway.records();
    expect(observed).toHaveLength(2 * ROUTES.length + 1);
    for (const record of observed) {
      expect(record).toMatchObject({ metering: 'reported', pricing: 'priced', synthetic: false });
    }
    expect(await entriesOf()).toEqual([]);
  });

  test('report: after 14 days the owners have one by mail, whose sums are those of the records', async () => {
    const logger = createLogger('silent');
    const worker = new AheadWorker(gateway.app.engine.database, logger);
    for (let day = 0; day <= 15; day += 1) await worker.runOnDay(day);
    const { body: observation } = await owner.get('/api/observation');
    const done = (observation.steps as { step: string; outcome: string }[])
      .filter(({ outcome }) => outcome === 'done')
      .map(({ step }) => step);
    expect(done).toEqual([
      'interim_report',
      'reminder_three_days',
      'reminder_one_day',
      'conversion_report',
      'close_window',
    ]);
    const { body: reports } = await owner.get('/api/reports');
    expect(reports.data[0]).toMatchObject({ kind: 'conversion' });
    reportId = reports.data[0].id;
    const { body: report } = await owner.get(`/api/reports/${reportId}`);
    expect(report.figures).toMatchObject({
      calls: observed.length,
      metered_calls: observed.length,
      unpriceable_calls: 0,
      spend_nano_usd: String(sum(observed.map((record) => record.cost_nano_usd))),
      excluded: { refused_calls: 0, synthetic_calls: 0 },
    });
    // Of one call alone its form says that a smaller model will do: nothing is projected on a hunch.
    const labelled = report.figures.models.find(
      (line: { model: string }) => line.model === SOL,
    ) as { projected_savings_nano_usd: string };
    expect(BigInt(labelled.projected_savings_nano_usd)).toBeGreaterThan(0n);
    expect(report.figures.projected_savings_nano_usd).toBe(labelled.projected_savings_nano_usd);
    const operator = await signInOperator(gateway);
    const { body: mails } = await operator.call<{ data: { kind: string }[] }>(
      'GET',
      `/mail?organization_id=${orgId}`,
    );
    expect(mails.data.map(({ kind }) => kind)).toContain('conversion_report');
  });

  test('the end of the observation changes nothing for calls', async () => {
    const said = await application.call('openai', SOL);
    expect(said).toMatchObject({
      mode: 'observation_ended',
      decision: 'passthrough',
      served: SOL,
    });
  });

  test('activation: only a person enables routing, with the report that was reviewed', async () => {
    const unconfirmed = await owner.post('/api/activation', { report_id: reportId });
    expect(unconfirmed).toMatchObject({
      status: 400,
      body: { error: { code: 'confirmation_required' } },
    });
    const activated = await set('POST', '/api/activation', { confirm: true, report_id: reportId });
    expect(activated['status']).toBe('active');
    await set('PATCH', '/api/organization', { control_share_bp: 0 });
  });

  test('without evidence nothing is routed', async () => {
    const said = await application.call('openai', SOL);
    expect(said).toMatchObject({ mode: 'active', decision: 'abstain', served: SOL });
    expect((await recordOf(said)).routing?.decision.reason).toBe('no_evidence');
  });

  test('routed: with a rule each SDK is answered by the cheaper model, and the ledger says what that saved', async () => {
    const { body: projects } = await owner.get('/api/projects');
    await set('POST', '/api/route-rules', {
      project_id: projects.data[0].id,
      route_class: '*',
      targets: ROUTES.map(([provider, , model]) => ({ provider, model })),
    });
    for (const [provider, requested, served] of ROUTES) {
      for (const stream of [false, true]) {
        const said = await application.call(provider, requested, { stream });
        expect(said).toMatchObject({ mode: 'active', decision: 'classifier', requested, served });
        expect(said.text.length).toBeGreaterThan(0);
        const [entry, ...more] = await entriesOf(said);
        expect(more).toEqual([]);
        expect(entry).toMatchObject({
          kind: 'routed',
          baseline_model: requested,
          served_model: served,
          synthetic: false,
        });
        expect(BigInt(entry!.savings_nano_usd)).toBeGreaterThan(0n);
        expect(sum([entry!.baseline_nano_usd]) - sum([entry!.actual_nano_usd])).toBe(
          sum([entry!.savings_nano_usd]),
        );
      }
    }
  });

  test('a session stays on its route', async () => {
    const decisions = [];
    for (let turns = 1; turns <= 4; turns += 1) {
      const said = await application.call('anthropic', 'claude-opus-5-5', {
        turns,
        session: 'a conversation',
      });
      decisions.push([said.decision, said.served]);
    }
    expect(decisions).toEqual([
      ['classifier', 'claude-haiku-5-5'],
      ...Array.from({ length: 3 }, () => ['session', 'claude-haiku-5-5']),
    ]);
  });

  test('override: who names a model gets exactly that one, and no savings are claimed', async () => {
    const said = await application.call('openai', SOL, { headers: { 'x-shunt-model': TERRA } });
    expect(said).toMatchObject({ decision: 'override', requested: SOL, served: TERRA });
    expect(await entriesOf(said)).toEqual([]);
  });

  test('opt-out: a call or a project that does not want to be routed is not', async () => {
    const once = await application.call('openai', SOL, { headers: { 'x-shunt-route': 'off' } });
    expect(once).toMatchObject({ decision: 'passthrough', served: SOL });
    const { body: projects } = await owner.get('/api/projects');
    const project = `/api/projects/${projects.data[0].id}`;
    await set('PATCH', project, { routing_opt_out: true });
    const always = await application.call('openai', SOL);
    expect(always).toMatchObject({ decision: 'passthrough', served: SOL });
    await set('PATCH', project, { routing_opt_out: false });
    expect([...(await entriesOf(once)), ...(await entriesOf(always))]).toEqual([]);
  });

  test('control: a share of the sessions keeps its model, and the record says where it would have gone', async () => {
    await set('PATCH', '/api/organization', { control_share_bp: 5_000 });
    let said = await application.call('openai', SOL);
    for (let tries = 0; said.decision !== 'control'; tries += 1) {
      expect(tries).toBeLessThan(100);
      expect(said).toMatchObject({ decision: 'classifier', served: LUNA });
      said = await application.call('openai', SOL);
    }
    expect(said).toMatchObject({ requested: SOL, served: SOL });
    expect((await recordOf(said)).routing?.decision.wouldRoute).toEqual({
      provider: 'openai',
      model: LUNA,
    });
    expect(await entriesOf(said)).toEqual([]);
    await set('PATCH', '/api/organization', { control_share_bp: 0 });
  });

  test('fallback: a model that fails is stood in for by the requested one, and the client notices nothing', async () => {
    providers.direct(LUNA, 'status=503');
    const said = await application.call('openai', SOL);
    expect(said).toMatchObject({ decision: 'fallback', requested: SOL, served: SOL });
    expect(said.text.length).toBeGreaterThan(0);
    expect(await recordOf(said)).toMatchObject({ outcome: 'completed', served_model: SOL });
    expect(await entriesOf(said)).toEqual([]);
  });

  test('breaker: it opens while a model keeps failing, keeps every call away from it, and closes once it is well', async () => {
    let failing = 0;
    while ((await breakerOf(LUNA)) !== 'open') {
      failing += 1;
      expect(failing).toBeLessThan(500);
      expect((await application.call('openai', SOL)).served).toBe(SOL);
    }
    const before = providers.asked(LUNA);
    for (let call = 0; call < 5; call += 1) {
      const said = await application.call('openai', SOL);
      expect(said).toMatchObject({ decision: 'abstain', served: SOL });
    }
    expect(providers.asked(LUNA)).toBe(before);
    // Another model of the same provider is not concerned.
    expect(await breakerOf(TERRA)).toBe('closed');
    providers.direct(LUNA, null);
    const ms = await until('calls are routed again', RECOVERED_MS_MAX, async () => {
      const said = await application.call('openai', SOL);
      expect([SOL, LUNA]).toContain(said.served);
      return said.served === LUNA;
    });
    expect(await breakerOf(LUNA)).toBe('closed');
    measured('a breaker closes after the model came back', `${Math.round(ms)} ms`);
  });

  test('savings: the report is the sum of the ledger, and tells why other calls have no entry', async () => {
    const entries = await entriesOf();
    const { body } = await owner.get('/api/savings');
    const { total, calls } = body.figures;
    expect(total).toMatchObject({
      entries: entries.length,
      baseline_nano_usd: String(sum(entries.map((entry) => entry.baseline_nano_usd))),
      actual_nano_usd: String(sum(entries.map((entry) => entry.actual_nano_usd))),
      savings_nano_usd: String(sum(entries.map((entry) => entry.savings_nano_usd))),
    });
    const counted = Object.values(calls as Record<string, number>);
    expect(counted.reduce((all, count) => all + count, 0)).toBe((await gateway.records()).length);
    expect(calls).toMatchObject({ routed: entries.length, override: 1, control: 1, synthetic: 0 });
  });

  test('kill switch: one call of an operator, and within a second every call is passed through', async () => {
    const operator = await signInOperator(gateway);
    const calls: { readonly beganAt: number; readonly decision: string }[] = [];
    const ending = new AbortController();
    const traffic = (async () => {
      while (!ending.signal.aborted) {
        const beganAt = performance.now();
        const { decision } = await application.call('openai', SOL);
        calls.push({ beganAt, decision });
      }
    })();
    // What ends the traffic ends the test, and says why.
    const during = (work: Promise<unknown>) => Promise.race([work, traffic]);
    await during(until('calls are routed', SETTLED_MS_MAX, () => calls.length >= 5));
    const killed = await operator.call('POST', `/organizations/${orgId}/kill`, { reason: 'test' });
    const answeredAt = performance.now();
    expect(killed).toMatchObject({ status: 200, body: { status: 'observing', hold: true } });
    const isLater = ({ beganAt }: { beganAt: number }) => beganAt > answeredAt + KILLED_WITHIN_MS;
    await during(until('a second has passed', SETTLED_MS_MAX, () => calls.some(isLater)));
    ending.abort();
    await traffic;
    expect(calls[0]?.decision).toBe('classifier');
    const lastRouted = calls.findLast(({ decision }) => decision !== 'passthrough')!;
    expect(lastRouted.beganAt - answeredAt).toBeLessThan(KILLED_WITHIN_MS);
    expect(calls.at(-1)?.decision).toBe('passthrough');
    const again = await owner.post('/api/activation', { confirm: true, report_id: reportId });
    expect(again).toMatchObject({ status: 409, body: { error: { code: 'operator_hold' } } });
  });

  test('proof: whoever has the file alone recomputes the savings, and finds one changed digit', async () => {
    const { services } = gateway.app.engine;
    const entries = await entriesOf();
    await services.ledgerSealer.seal(orgId);
    const { seal, hash } = (await services.ledgerHeads.current(orgId))!;
    const file = path.join(gateway.dataDir, 'ledger.csv');
    const key = path.join(gateway.dataDir, 'key.pem');
    const chunks: string[] = [];
    for await (const chunk of services.ledgerExport.csv(orgId)) chunks.push(chunk);
    writeFileSync(file, chunks.join(''));
    writeFileSync(key, services.ledgerHeads.publicKey);
    expect(verifyFile(file, key, `${seal}:${hash}`)).toMatchObject({
      holds: true,
      entries: entries.length,
      sealed_entries: entries.length,
      signatures: 'checked',
      totals: {
        real: { savings_nano_usd: String(sum(entries.map((entry) => entry.savings_nano_usd))) },
      },
      first_difference: null,
    });
    const lines = readFileSync(file, 'utf8').split('\n');
    const tenth = lines[9]!;
    lines[9] = tenth.replace(/(""outputTokens"": *\d*)(\d)/, (_, before: string, digit: string) =>
      [before, (Number(digit) + 1) % 10].join(''),
    );
    expect(lines[9]).not.toBe(tenth);
    writeFileSync(file, lines.join('\n'));
    expect(verifyFile(file, key, `${seal}:${hash}`)).toMatchObject({
      holds: false,
      first_difference: { line: 10 },
    });
  });

  test('trail: who did what is kept in order, and the chain of it holds', async () => {
    const verdict = await gateway.app.engine.services.auditVerifier.verify(orgId);
    expect(verdict.broken).toBeNull();
    const { body } = await owner.get('/api/audit?limit=100');
    const actions = (body.data as { action: string }[]).map(({ action }) => action).toReversed();
    const told = ['observation.started', 'subscription.close_window', 'subscription.activate'];
    expect(actions.filter((action) => [...told, 'subscription.kill'].includes(action))).toEqual([
      ...told,
      'subscription.kill',
    ]);
  });
});
