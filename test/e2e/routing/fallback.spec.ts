import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Target } from '../../../src/domain/routing/decision.js';
import { FALLBACK_LIMITS } from '../../../src/gateway/stages/forward.js';
import { TentativeAnswer } from '../../../src/gateway/stages/tentative-answer.js';
import {
  json,
  startCapturingUpstream,
  type Answer,
  type Captured,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import type { Tenant } from '../../support/tenants.js';
import { until } from '../reliability/until.js';
import { RoutingRig } from './routing-rig.js';

const FIRST_BYTE_MS = 400;
const receive = TentativeAnswer.prototype.onResponseData;

let upstream: CapturingUpstream;
let rig: RoutingRig;
let tenant: Tenant;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  rig = await RoutingRig.startAt(upstream.origin, {
    fallback: { ...FALLBACK_LIMITS, streamedMs: FIRST_BYTE_MS, wholeMs: FIRST_BYTE_MS },
  });
});
afterAll(async () => {
  await rig?.stop();
  await upstream?.close();
});

const LUNA: Target = { provider: 'openai', model: 'gpt-6-luna' };
const TERRA: Target = { provider: 'openai', model: 'gpt-6.1-terra' };
const CHAT = { model: 'gpt-6-sol', messages: [{ role: 'user', content: 'Is it?' }] };
const USAGE = { prompt_tokens: 1_000, completion_tokens: 10, total_tokens: 1_010 };

const modelOf = ({ body }: Captured): string =>
  (JSON.parse(body.toString()) as { model: string }).model;
const asked = (): string[] => upstream.captured.map(modelOf);

const ok: Answer = (res, captured) =>
  json(res, {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    model: modelOf(captured),
    choices: [{ index: 0, message: { role: 'assistant', content: 'Yes.' }, finish_reason: 'stop' }],
    usage: USAGE,
  });

/** Each model answers in its own way; the others as usual. */
function answers(byModel: Readonly<Record<string, Answer>>): void {
  upstream.answerWith((res, captured) => (byModel[modelOf(captured)] ?? ok)(res, captured));
}

const failing =
  (status: number, error: object, more: object = {}): Answer =>
  (res) =>
    json(res, { error, ...more }, status);
const overloaded = failing(503, { message: 'busy', type: 'server_error', code: null });
const compressed: Answer = (res) => {
  const body = gzipSync(JSON.stringify({ error: { message: 'busy', type: 'server_error' } }));
  res.writeHead(503, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(body);
};
const silent: Answer = () => undefined;
const closing: Answer = (res) => res.destroy();

beforeEach(async () => {
  upstream.captured.length = 0;
  answers({});
  // A breaker of one test is none of the next one's.
  const { breakers } = rig.gateway.app.engine.resilience;
  for (const target of breakers.states()) breakers.told(target, { to: 'closed' });
  tenant = await rig.activeTenant('fallback', { fallbackModels: [TERRA] });
  await rig.rule(tenant, [LUNA]);
});

describe('a routed call whose model fails before its first byte', () => {
  test.each<[string, Answer]>([
    ['with 503', overloaded],
    ['with a closed connection', closing],
    ['with silence', silent],
    ['with 429', failing(429, { message: 'slow', type: 'requests', code: 'rate_limit_exceeded' })],
    ['with no access', failing(404, { message: 'none', code: 'model_not_found' })],
    ['with a refused parameter', failing(400, { message: 'no', type: 'invalid_request_error' })],
  ])('%s is served by the model that was asked for', async (_how, answer) => {
    answers({ 'gpt-6-luna': answer });
    const said = await rig.chat(tenant, CHAT);
    expect(said).toMatchObject({ status: 200, decision: 'fallback', served: 'gpt-6-sol' });
    expect(asked()).toEqual(['gpt-6-luna', 'gpt-6-sol']);
    const record = await rig.record(tenant, said);
    expect(record).toMatchObject({
      decision: 'fallback',
      served_model: 'gpt-6-sol',
      outcome: 'completed',
    });
    expect(record.baseline_cost_nano_usd).toBe(record.cost_nano_usd);
    expect(record.routing?.decision).toMatchObject({ decision: 'classifier', target: LUNA });
    expect(await rig.ledger(tenant)).toEqual([]);
  });

  test('is tried three times at the most, and the last answer is the client’s, as it is', async () => {
    answers({ 'gpt-6-luna': overloaded, 'gpt-6-sol': overloaded, 'gpt-6.1-terra': overloaded });
    const said = await rig.chat(tenant, CHAT);
    expect(asked()).toEqual(['gpt-6-luna', 'gpt-6-sol', 'gpt-6.1-terra']);
    expect(said).toMatchObject({ status: 503, decision: 'fallback', served: 'gpt-6.1-terra' });
    expect(JSON.parse(said.text)).toEqual({
      error: { message: 'busy', type: 'server_error', code: null },
    });
    expect(await rig.record(tenant, said)).toMatchObject({
      outcome: 'upstream_error',
      status_code: 503,
      failure_class: 'transient',
    });
  });

  test('counts what the failed attempt cost against the savings', async () => {
    const broken = failing(
      500,
      { message: 'late', type: 'server_error' },
      {
        model: 'gpt-6-luna',
        usage: USAGE,
      },
    );
    answers({ 'gpt-6-luna': broken, 'gpt-6-sol': overloaded });
    const said = await rig.chat(tenant, CHAT);
    expect(said).toMatchObject({ status: 200, decision: 'fallback', served: 'gpt-6.1-terra' });
    const entries = await rig.ledger(tenant, said);
    expect(entries).toMatchObject([
      { kind: 'failed_attempt', attempt: 0, served_model: 'gpt-6-luna', baseline_nano_usd: '0' },
      { kind: 'routed', decision_source: 'fallback', served_model: 'gpt-6.1-terra' },
    ]);
    expect(BigInt(entries[0]!.savings_nano_usd)).toBeLessThan(0n);
  });

  test.each<[string, number, Answer]>([
    ['a closed connection', 1, closing],
    ['silence', 1, silent],
    ['an error that is too long to be read', 1, failing(500, { message: 'x'.repeat(100_000) })],
    ['usage that nobody can read', 1, failing(500, {}, { usage: { completion_tokens: 1 } })],
    ['an error without usage', 0, overloaded],
    ['an error without usage, compressed', 0, compressed],
  ])(
    'after %s says in its record how many attempts may have cost something',
    async (_how, unknown, answer) => {
      answers({ 'gpt-6-luna': answer, 'gpt-6-sol': overloaded });
      const said = await rig.chat(tenant, CHAT);
      expect(said).toMatchObject({ status: 200, decision: 'fallback', served: 'gpt-6.1-terra' });
      const record = await rig.record(tenant, said);
      expect(record.routing?.unknownCostAttempts).toBe(unknown === 0 ? undefined : unknown);
      const kinds = (await rig.ledger(tenant, said)).map(({ kind }) => kind);
      expect(kinds).toEqual(unknown === 0 ? ['routed'] : []);
    },
  );

  test('of a stream is served by the model that was asked for, as one stream', async () => {
    answers({
      'gpt-6-luna': overloaded,
      'gpt-6-sol': (res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.end(
          'data: {"model":"gpt-6-sol","choices":[]}\n\n' +
            `data: {"model":"gpt-6-sol","choices":[],"usage":${JSON.stringify(USAGE)}}\n\n` +
            'data: [DONE]\n\n',
        );
      },
    });
    const said = await rig.chat(tenant, { ...CHAT, stream: true });
    expect(said).toMatchObject({ status: 200, decision: 'fallback' });
    expect(said.text.match(/\[DONE\]/g)).toHaveLength(1);
    expect(said.text).not.toContain('usage');
    expect(await rig.record(tenant, said)).toMatchObject({ metering: 'reported' });
  });

  test('an error too long to be kept reaches the client whole where nothing else is left', async () => {
    await rig.setProject(tenant, { fallbackModels: [] });
    const long = 'x'.repeat(300_000);
    answers({ 'gpt-6-luna': overloaded, 'gpt-6-sol': failing(500, { message: long }) });
    const said = await rig.chat(tenant, CHAT);
    expect(said.status).toBe(500);
    expect(said.text).toContain(long);
  });

  test('an error that no other model would help is the client’s, byte for byte', async () => {
    const abstains = await rig.activeTenant('abstains', { fallbackModels: [TERRA] });
    const body = { message: 'y'.repeat(200_000), type: 'invalid_request_error' };
    answers({ 'gpt-6-sol': failing(400, body) });
    const said = await rig.chat(abstains, CHAT);
    expect(asked()).toEqual(['gpt-6-sol']);
    expect(said).toMatchObject({ status: 400, decision: 'abstain' });
    expect(said.text).toBe(JSON.stringify({ error: body }));
  });
});

test('once routing is taken away in the middle of a failing call, the model that was asked for is tried and no other', async () => {
  const killed = await rig.activeTenant('killed', { fallbackModels: [TERRA] });
  await rig.rule(killed, [LUNA]);
  answers({
    'gpt-6-luna': (res) => {
      void rig.apply(killed, 'kill').then(() => overloaded(res, upstream.captured[0]!));
    },
    'gpt-6-sol': overloaded,
  });
  expect(await rig.chat(killed, CHAT)).toMatchObject({ status: 503, served: 'gpt-6-sol' });
  expect(asked()).toEqual(['gpt-6-luna', 'gpt-6-sol']);
});

describe('a client that leaves while an error is held', () => {
  /** Begins an error and stops in the middle of it; resolves once its connection is closed. */
  function stalling(): { readonly answer: Answer; readonly closed: Promise<void> } {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const answer: Answer = (res) => {
      res.once('close', resolve);
      res.writeHead(503, { 'content-type': 'application/json' });
      res.write('{"error":');
    };
    return { answer, closed };
  }

  test.each([
    ['the first attempt’s', 'gpt-6-luna', ['gpt-6-luna']],
    ['a fallback’s', 'gpt-6-sol', ['gpt-6-luna', 'gpt-6-sol']],
  ])('is heard by the provider: %s', async (_whose, model, tried) => {
    const { answer, closed } = stalling();
    answers({ 'gpt-6-luna': overloaded, [model]: answer });
    const faults: unknown[] = [];
    const onFault = (error: unknown) => faults.push(error);
    process.on('uncaughtException', onFault);
    const leaving = new AbortController();
    const held = Promise.withResolvers<void>();
    const hold = vi.spyOn(TentativeAnswer.prototype, 'onResponseData');
    hold.mockImplementation(function (this: TentativeAnswer, from, chunk) {
      receive.call(this, from, chunk);
      if (upstream.captured.length === tried.length) held.resolve();
    });
    const gone = fetch(`${rig.gateway.origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tenant.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(CHAT),
      signal: leaving.signal,
    }).catch(() => undefined);
    await held.promise;
    leaving.abort();
    await gone;
    await closed;
    hold.mockRestore();
    await until('the call is recorded', 5_000, async () => (await rig.records(tenant)).length > 0);
    process.off('uncaughtException', onFault);
    expect(await rig.records(tenant)).toMatchObject([
      { outcome: 'client_aborted', status_code: null },
    ]);
    expect(asked()).toEqual(tried);
    expect(faults).toEqual([]);
    expect(rig.gateway.logs()).not.toContain('failed inside the gateway');
  });
});

describe('a model that Google takes by two names', () => {
  const COMPATIBLE = '/google/v1beta/openai/chat/completions';
  const LITE: Target = { provider: 'google', model: 'gemini-3.5-flash-lite' };
  const FLASH: Target = { provider: 'google', model: 'gemini-3.8-flash' };
  const ASK = { ...CHAT, model: 'models/gemini-3.8-flash' };

  test('is tried once, and saves nothing as its own fallback', async () => {
    const google = await rig.activeTenant('google', { fallbackModels: [FLASH] });
    await rig.rule(google, [LITE]);
    answers({ 'models/gemini-3.5-flash-lite': overloaded });
    const said = await rig.chat(google, ASK, {}, COMPATIBLE);
    expect(said).toMatchObject({ status: 200, decision: 'fallback', served: FLASH.model });
    expect(asked()).toEqual(['models/gemini-3.5-flash-lite', 'models/gemini-3.8-flash']);
    const record = await rig.record(google, said);
    expect(record).toMatchObject({ requested_model: FLASH.model, served_model: FLASH.model });
    expect(record.routing).toMatchObject({ excluded: 'failed', inputs: { requested: FLASH } });
    expect(await rig.ledger(google)).toEqual([]);
    upstream.captured.length = 0;
    answers({ 'models/gemini-3.5-flash-lite': overloaded, [ASK.model]: overloaded });
    const session = { 'x-shunt-session-id': 'none is left' };
    expect(await rig.chat(google, ASK, session, COMPATIBLE)).toMatchObject({ status: 503 });
    expect(asked()).toEqual(['models/gemini-3.5-flash-lite', 'models/gemini-3.8-flash']);
  });

  test('has one breaker, and goes by the name that the client used', async () => {
    const google = await rig.observingTenant('google, observing');
    answers({ [ASK.model]: overloaded, [FLASH.model]: overloaded });
    for (const model of [ASK.model, FLASH.model]) {
      await rig.chat(google, { ...CHAT, model }, {}, COMPATIBLE);
    }
    expect(asked()).toEqual([ASK.model, FLASH.model]);
    const { breakers } = rig.gateway.app.engine.resilience;
    const watched = breakers.states().filter(({ model }) => model.endsWith(FLASH.model));
    expect(watched.map(({ model }) => model)).toEqual([FLASH.model]);
  });
});

describe('nothing is tried again', () => {
  const failuresOfLuna = (): number => {
    const { breakers } = rig.gateway.app.engine.resilience;
    return breakers.states().find(({ model }) => model === LUNA.model)?.recentFailed ?? 0;
  };

  test('after the first byte, and the breaker hears of it', async () => {
    const before = failuresOfLuna();
    answers({
      'gpt-6-luna': (res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.write('data: {"model":"gpt-6-luna","choices":[]}\n\n');
        setTimeout(() => res.destroy(), 50);
      },
    });
    await rig.chat(tenant, { ...CHAT, stream: true }).catch(() => undefined);
    expect(asked()).toEqual(['gpt-6-luna']);
    const [record] = await rig.records(tenant);
    expect(record).toMatchObject({ decision: 'classifier', outcome: 'truncated' });
    expect(failuresOfLuna()).toBe(before + 1);
  });

  test('in an organization that does not route', async () => {
    const observing = await rig.observingTenant('observing', { fallbackModels: [TERRA] });
    answers({ 'gpt-6-sol': overloaded });
    expect(await rig.chat(observing, CHAT)).toMatchObject({ status: 503, decision: 'passthrough' });
    expect(asked()).toEqual(['gpt-6-sol']);
  });

  test('of a call that named its model itself', async () => {
    answers({ 'gpt-6-luna': overloaded });
    const said = await rig.chat(tenant, CHAT, { 'x-shunt-model': 'gpt-6-luna' });
    expect(said).toMatchObject({ status: 503, decision: 'override', served: 'gpt-6-luna' });
    expect(asked()).toEqual(['gpt-6-luna']);
    await rig.records(tenant);
    const metrics = await (await fetch(`${rig.gateway.origin}/metrics`)).text();
    expect(metrics).toMatch(/shunt_calls_excluded_total\{reason="override"\} [1-9]/);
  });

  test('when the client has gone', async () => {
    answers({ 'gpt-6-luna': silent });
    const controller = new AbortController();
    const gone = fetch(`${rig.gateway.origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tenant.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(CHAT),
      signal: controller.signal,
    }).catch(() => undefined);
    while (upstream.captured.length === 0) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await gone;
    await until('the call is recorded', 5_000, async () => (await rig.records(tenant)).length > 0);
    expect(await rig.records(tenant)).toMatchObject([{ outcome: 'client_aborted' }]);
    expect(asked()).toEqual(['gpt-6-luna']);
  });
});

test('a model that keeps failing is left in peace, and asked again for by nobody but a trial', async () => {
  const other = await rig.activeTenant('cooling');
  await rig.rule(other, [LUNA]);
  const slow = failing(429, { message: 'slow', type: 'requests', code: 'rate_limit_exceeded' });
  answers({ 'gpt-6-luna': slow });
  expect(await rig.chat(other, CHAT)).toMatchObject({ decision: 'fallback' });
  answers({});
  upstream.captured.length = 0;
  const next = await rig.chat(other, CHAT, { 'x-shunt-session-id': 'next' });
  expect(next).toMatchObject({ status: 200, served: 'gpt-6-sol' });
  expect((await rig.record(other, next)).routing?.inputs.candidates).toMatchObject([
    { model: 'gpt-6-luna', coolingDown: true },
  ]);
  // Its own limit is nobody else's.
  expect(await rig.chat(tenant, CHAT)).toMatchObject({ served: 'gpt-6-luna' });
});
