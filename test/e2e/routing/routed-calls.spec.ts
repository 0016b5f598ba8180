import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Target } from '../../../src/domain/routing/decision.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { startTestSandbox } from '../../support/sandbox.js';
import type { Tenant } from '../../support/tenants.js';
import { RoutingRig, saidIn, type Said } from './routing-rig.js';

let sandbox: Sandbox;
let rig: RoutingRig;
let origin: string;

beforeAll(async () => {
  sandbox = await startTestSandbox();
  rig = await RoutingRig.start(sandbox.baseUrls);
  ({ origin } = rig.gateway);
});
afterAll(async () => {
  await rig?.stop();
  await sandbox?.close();
});

const LUNA: Target = { provider: 'openai', model: 'gpt-6-luna' };
const HAIKU: Target = { provider: 'anthropic', model: 'claude-haiku-5-5' };
const FLASH: Target = { provider: 'google', model: 'gemini-3.5-flash-lite' };
const OSS: Target = { provider: 'groq', model: 'openai/gpt-oss-20b' };
const EVERY = [LUNA, HAIKU, FLASH, OSS];

const QUESTION = 'Is this a question? Answer in a word.';
const messages = [{ role: 'user' as const, content: QUESTION }];
const CHAT = { model: 'gpt-6-sol', messages };

const openai = ({ apiKey }: Tenant, headers: Record<string, string> = {}) =>
  new OpenAI({ apiKey, baseURL: `${origin}/v1`, maxRetries: 0, defaultHeaders: headers });
const anthropic = ({ apiKey }: Tenant) =>
  new Anthropic({ apiKey, baseURL: `${origin}/anthropic`, maxRetries: 0 });
const google = ({ apiKey }: Tenant) =>
  new GoogleGenAI({ apiKey, httpOptions: { baseUrl: `${origin}/google` } });

async function drained(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const chunk of stream) void chunk;
}

/** Every way in which the SDKs ask a model for an answer. */
const WAYS: readonly {
  readonly way: string;
  readonly requested: string;
  readonly served: Target;
  readonly call: (tenant: Tenant) => Promise<Said>;
}[] = [
  {
    way: 'chat',
    requested: 'gpt-6-sol',
    served: LUNA,
    async call(tenant) {
      const { response } = await openai(tenant).chat.completions.create(CHAT).withResponse();
      return saidIn(response.headers);
    },
  },
  {
    way: 'chat, streamed',
    requested: 'gpt-6-sol',
    served: LUNA,
    async call(tenant) {
      const made = openai(tenant).chat.completions.create({ ...CHAT, stream: true });
      const { data, response } = await made.withResponse();
      await drained(data);
      return saidIn(response.headers);
    },
  },
  {
    way: 'responses',
    requested: 'gpt-6-sol',
    served: LUNA,
    async call(tenant) {
      const made = openai(tenant).responses.create({ model: 'gpt-6-sol', input: QUESTION });
      return saidIn((await made.withResponse()).response.headers);
    },
  },
  {
    way: 'responses, streamed',
    requested: 'gpt-6-sol',
    served: LUNA,
    async call(tenant) {
      const body = { model: 'gpt-6-sol', input: QUESTION, stream: true as const };
      const { data, response } = await openai(tenant).responses.create(body).withResponse();
      await drained(data);
      return saidIn(response.headers);
    },
  },
  {
    way: 'messages',
    requested: 'claude-opus-5-5',
    served: HAIKU,
    async call(tenant) {
      const body = { model: 'claude-opus-5-5', max_tokens: 2_000, messages };
      const { response } = await anthropic(tenant).messages.create(body).withResponse();
      return saidIn(response.headers);
    },
  },
  {
    way: 'messages, streamed',
    requested: 'claude-opus-5-5',
    served: HAIKU,
    async call(tenant) {
      const body = { model: 'claude-opus-5-5', max_tokens: 2_000, messages, stream: true as const };
      const { data, response } = await anthropic(tenant).messages.create(body).withResponse();
      await drained(data);
      return saidIn(response.headers);
    },
  },
  {
    way: 'generateContent',
    requested: 'gemini-3.8-flash',
    served: FLASH,
    async call(tenant) {
      const answer = await google(tenant).models.generateContent({
        model: 'gemini-3.8-flash',
        contents: QUESTION,
      });
      return saidIn(new Headers(answer.sdkHttpResponse?.headers));
    },
  },
  {
    way: 'generateContent, streamed',
    requested: 'gemini-3.8-flash',
    served: FLASH,
    async call(tenant) {
      const stream = await google(tenant).models.generateContentStream({
        model: 'gemini-3.8-flash',
        contents: QUESTION,
      });
      let headers = new Headers();
      for await (const chunk of stream) headers = new Headers(chunk.sdkHttpResponse?.headers);
      return saidIn(headers);
    },
  },
];

describe.each(WAYS)('$way', ({ requested, served, call }) => {
  test('goes where a rule says, and headers, record and ledger tell so', async () => {
    const tenant = await rig.activeTenant('routed');
    await rig.rule(tenant, EVERY);
    const said = await call(tenant);
    const { model } = served;
    expect(said).toMatchObject({ decision: 'classifier', requested, served: model });
    const record = await rig.record(tenant, said);
    expect(record).toMatchObject({
      decision: 'classifier',
      requested_model: requested,
      served_model: model,
      provider: served.provider,
      metering: 'reported',
      pricing: 'priced',
      outcome: 'completed',
    });
    expect(BigInt(record.baseline_cost_nano_usd!)).toBeGreaterThan(BigInt(record.cost_nano_usd!));
    const [entry, ...more] = await rig.ledger(tenant, said);
    expect(more).toEqual([]);
    expect(entry).toMatchObject({
      kind: 'routed',
      attempt: 0,
      decision_source: 'classifier',
      decision_id: `${said.requestId}:${record.routing?.inputs.version}`,
      baseline_provider: served.provider,
      baseline_model: requested,
      served_model: model,
      synthetic: true,
      auto: false,
      actual_nano_usd: record.cost_nano_usd,
      baseline_nano_usd: record.baseline_cost_nano_usd,
    });
  });

  test('keeps its model without a rule, and saves nothing', async () => {
    const tenant = await rig.activeTenant('without a rule');
    const said = await call(tenant);
    expect(said).toMatchObject({ decision: 'abstain', requested, served: requested });
    const record = await rig.record(tenant, said);
    expect(record.routing?.decision.reason).toBe('no_evidence');
    expect(record.baseline_cost_nano_usd).toBe(record.cost_nano_usd);
    expect(await rig.ledger(tenant)).toEqual([]);
  });
});

describe('a call of an organization with a rule', () => {
  let tenant: Tenant;
  beforeAll(async () => {
    tenant = await rig.activeTenant('with a rule');
    await rig.rule(tenant, EVERY);
  });

  const kept = async (said: Said, decision: string, served: string): Promise<void> => {
    expect(said).toMatchObject({ decision, served });
    const record = await rig.record(tenant, said);
    expect(record).toMatchObject({ decision, served_model: served });
    expect(record.baseline_cost_nano_usd).toBe(record.cost_nano_usd);
    expect(await rig.ledger(tenant, said)).toEqual([]);
  };

  test('that names its model in x-shunt-model gets exactly that one, and no savings', async () => {
    const said = await rig.chat(tenant, CHAT, { 'x-shunt-model': 'gpt-6.1-terra' });
    expect(said.requested).toBe('gpt-6-sol');
    await kept(said, 'override', 'gpt-6.1-terra');
  });

  test.each<[string, string | string[]]>([
    ['once', 'off'],
    ['twice', ['off', 'off']],
    ['beside another word', ['on', ' OFF']],
  ])('that says x-shunt-route: off, %s, is passed through', async (_how, route) => {
    const { headers, body } = await request(`${origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tenant.apiKey}`, 'x-shunt-route': route },
      body: JSON.stringify(CHAT),
    });
    await body.dump();
    const said = saidIn({ get: (name) => String(headers[name]) });
    await kept(said, 'passthrough', 'gpt-6-sol');
  });

  test('whose x-shunt-route is another word is routed as without it', async () => {
    const said = await rig.chat(tenant, CHAT, { 'x-shunt-route': 'offline' });
    expect(said).toMatchObject({ status: 200, served: 'gpt-6-luna' });
  });

  test('of a project that opted out is passed through, until it opts in again', async () => {
    await rig.setProject(tenant, { routingOptOut: true });
    await kept(await rig.chat(tenant, CHAT), 'passthrough', 'gpt-6-sol');
    await rig.setProject(tenant, { routingOptOut: false });
    expect(await rig.chat(tenant, CHAT)).toMatchObject({ served: 'gpt-6-luna' });
  });

  test('in the control group keeps its model, and its record says where it would have gone', async () => {
    const begun = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        rig.chat(tenant, CHAT, { 'x-shunt-session-id': `begun-${i}` }),
      ),
    );
    expect(begun.every(({ decision }) => decision === 'classifier')).toBe(true);
    await rig.setOrganization(tenant, { controlShareBp: 5_000 });
    // One that was routed already does not change sides.
    for (let i = 0; i < 20; i += 1) {
      const again = await rig.chat(tenant, CHAT, { 'x-shunt-session-id': `begun-${i}` });
      expect(again.decision).toBe('session');
    }
    const said: Said[] = [];
    for (let i = 0; i < 24; i += 1) {
      said.push(await rig.chat(tenant, CHAT, { 'x-shunt-session-id': `control-${i}` }));
    }
    await rig.setOrganization(tenant, { controlShareBp: 0 });
    const control = said.filter(({ decision }) => decision === 'control');
    expect(control.length).toBeGreaterThan(3);
    expect(control.length).toBeLessThan(21);
    const one = control[0]!;
    await kept(one, 'control', 'gpt-6-sol');
    const record = await rig.record(tenant, one);
    expect(record.routing?.decision.wouldRoute).toEqual(LUNA);
    // A control session stays one, whatever becomes of the share.
    const at = said.indexOf(one);
    const again = await rig.chat(tenant, CHAT, { 'x-shunt-session-id': `control-${at}` });
    expect(again.decision).toBe('control');
  });

  test('in a session that was routed stays on its route', async () => {
    const session = { 'x-shunt-session-id': 'holds' };
    expect(await rig.chat(tenant, CHAT, session)).toMatchObject({ decision: 'classifier' });
    await rig.records(tenant);
    const second = await rig.chat(tenant, CHAT, session);
    expect(second).toMatchObject({ decision: 'session', served: 'gpt-6-luna' });
    const record = await rig.record(tenant, second);
    expect(record.routing?.decision.reason).toBe('session_holds');
    expect(await rig.ledger(tenant, second)).toMatchObject([{ decision_source: 'session' }]);
  });

  test('in a session that was routed stays on its route, however long the conversation gets', async () => {
    const session = { 'x-shunt-session-id': 'grows' };
    const turn = (at: number) => ({ role: at % 2 === 0 ? 'user' : 'assistant', content: QUESTION });
    for (const length of [63, 65, 501]) {
      const long = { ...CHAT, messages: Array.from({ length }, (_, at) => turn(at)) };
      const said = await rig.chat(tenant, long, session);
      expect(said).toMatchObject({ served: 'gpt-6-luna' });
      await rig.records(tenant);
    }
  });

  test('in a session whose task gets harder goes back to the model asked for', async () => {
    const session = { 'x-shunt-session-id': 'harder' };
    expect(await rig.chat(tenant, CHAT, session)).toMatchObject({ decision: 'classifier' });
    await rig.records(tenant);
    const harder = { ...CHAT, reasoning_effort: 'high' };
    const said = await rig.chat(tenant, harder, session);
    expect(said).toMatchObject({ decision: 'session', served: 'gpt-6-sol' });
    expect((await rig.record(tenant, said)).routing?.decision.reason).toBe('session_harder');
    expect(await rig.ledger(tenant, said)).toEqual([]);
  });

  test('of a class with a rule of its own goes where that one says', async () => {
    const other = { ...CHAT, messages: [{ role: 'user', content: 'Name a colour: any.' }] };
    const first = await rig.record(tenant, await rig.chat(tenant, other));
    const own = await rig.rule(
      tenant,
      [{ provider: 'openai', model: 'gpt-6.1-terra' }],
      first.route_class!,
    );
    const session = { 'x-shunt-session-id': 'its own class' };
    expect(await rig.chat(tenant, other, session)).toMatchObject({ served: 'gpt-6.1-terra' });
    const { routeRules } = rig.gateway.app.engine.services;
    expect(await routeRules.revoke(tenant.orgId, own, { kind: 'system', part: 'test' })).toBe(true);
  });

  test('that asks for shunt/auto gets the router’s choice, against the project’s default model', async () => {
    const auto = { ...CHAT, model: 'shunt/auto' };
    const refused = await rig.chat(tenant, auto);
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('default_model_missing');
    await rig.setProject(tenant, { defaultModel: 'gpt-6-sol' });
    const said = await rig.chat(tenant, auto, { 'x-shunt-session-id': 'auto' });
    expect(said).toMatchObject({
      decision: 'classifier',
      requested: 'shunt/auto',
      served: 'gpt-6-luna',
    });
    expect(await rig.ledger(tenant, said)).toMatchObject([
      { auto: true, baseline_model: 'gpt-6-sol' },
    ]);
  });

  test('is passed through at once when the kill switch is thrown in the middle of its traffic', async () => {
    const own = await rig.activeTenant('killed');
    await rig.rule(own, EVERY);
    const decisions: (string | null)[] = [];
    const traffic = { going: true };
    const calls = (async () => {
      while (traffic.going) decisions.push((await rig.chat(own, CHAT)).decision);
    })();
    while (decisions.length < 5) await new Promise((resolve) => setImmediate(resolve));
    await rig.apply(own, 'kill');
    const from = decisions.length + 1;
    while (decisions.length < from + 5) await new Promise((resolve) => setImmediate(resolve));
    traffic.going = false;
    await calls;
    expect(decisions[0]).not.toBe('passthrough');
    expect(new Set(decisions.slice(from))).toEqual(new Set(['passthrough']));
    const last = (await rig.records(own)).at(-1);
    expect(last).toMatchObject({ decision: 'passthrough', mode: 'observing', routing: null });
  });
});

describe('a call of an organization that does not route', () => {
  let tenant: Tenant;
  beforeAll(async () => {
    tenant = await rig.observingTenant('observing', { defaultModel: 'gpt-6-sol' });
    await rig.rule(tenant, EVERY);
  });

  test('keeps its model, whatever its rules say, and nothing of the router is recorded', async () => {
    const said = await rig.chat(tenant, CHAT);
    expect(said).toMatchObject({ decision: 'passthrough', served: 'gpt-6-sol' });
    expect(await rig.record(tenant, said)).toMatchObject({ routing: null });
  });

  test('gets exactly the model that it names in x-shunt-model', async () => {
    const said = await rig.chat(tenant, CHAT, { 'x-shunt-model': 'gpt-6-luna' });
    expect(said).toMatchObject({ decision: 'override', served: 'gpt-6-luna' });
    expect(await rig.record(tenant, said)).toMatchObject({ served_model: 'gpt-6-luna' });
    expect(await rig.ledger(tenant)).toEqual([]);
  });

  test('is served by the default model where it asks for shunt/auto', async () => {
    const said = await rig.chat(tenant, { ...CHAT, model: 'shunt/auto' });
    expect(said).toMatchObject({ decision: 'passthrough', served: 'gpt-6-sol' });
    await rig.setProject(tenant, { defaultModel: 'gemini-3.8-flash' });
    const answer = await google(tenant).models.generateContent({
      model: 'shunt/auto',
      contents: QUESTION,
    });
    expect(saidIn(new Headers(answer.sdkHttpResponse?.headers))).toMatchObject({
      requested: 'shunt/auto',
      served: 'gemini-3.8-flash',
    });
  });
});

describe('another provider of the same format', () => {
  test('is used only where the project has opted in to it by name', async () => {
    const tenant = await rig.activeTenant('across');
    await rig.rule(tenant, [OSS]);
    const chat = { model: 'gpt-6-sol', messages, temperature: undefined };
    const session = (name: string) => ({ 'x-shunt-session-id': name });
    expect(await rig.chat(tenant, chat, session('before'))).toMatchObject({
      decision: 'abstain',
      served: 'gpt-6-sol',
    });
    await rig.setProject(tenant, { crossProviderOptIn: ['groq'] });
    const said = await rig.chat(tenant, chat, session('after'));
    expect(said).toMatchObject({ status: 200, decision: 'classifier', served: OSS.model });
    expect(await rig.record(tenant, said)).toMatchObject({
      provider: 'groq',
      served_model: OSS.model,
      metering: 'reported',
      pricing: 'priced',
    });
    expect(await rig.ledger(tenant, said)).toMatchObject([
      { baseline_provider: 'openai', served_provider: 'groq' },
    ]);
    const streamed = await rig.chat(tenant, { ...chat, stream: true }, session('streamed'));
    expect(streamed).toMatchObject({ served: OSS.model });
    expect(await rig.record(tenant, streamed)).toMatchObject({ metering: 'reported' });
  });
});
