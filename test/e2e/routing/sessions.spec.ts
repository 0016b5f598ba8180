import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Target } from '../../../src/domain/routing/decision.js';
import {
  json,
  startCapturingUpstream,
  type Answer,
  type Captured,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import type { Tenant } from '../../support/tenants.js';
import { RoutingRig } from './routing-rig.js';

let upstream: CapturingUpstream;
let rig: RoutingRig;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  rig = await RoutingRig.startAt(upstream.origin);
});
afterAll(async () => {
  await rig?.stop();
  await upstream?.close();
});

const LUNA: Target = { provider: 'openai', model: 'gpt-6-luna' };
const HAIKU: Target = { provider: 'anthropic', model: 'claude-haiku-5-5' };
const OPUS = 'claude-opus-5-5';

const modelOf = ({ body }: Captured): string =>
  (JSON.parse(body.toString()) as { model: string }).model;

describe('the control group', () => {
  const SESSIONS = 40;
  const chat = (model: string, content: string) => ({
    model,
    messages: [{ role: 'user', content }],
  });
  const RULED = chat('gpt-6-sol', 'Is this a question? Answer in a word.');
  const HELPER = chat('gpt-6-sol', 'Name a colour: any.');
  const OTHERS = { ...HELPER, model: 'gpt-6.1-terra' };
  type Call = readonly [body: object, headers?: Readonly<Record<string, string>>];
  const WISH = { 'x-shunt-model': 'gpt-6.1-terra' };

  beforeAll(() => {
    upstream.answerWith((res, captured) =>
      json(res, {
        id: 'chatcmpl-1',
        object: 'chat.completion',
        model: modelOf(captured),
        choices: [{ index: 0, message: { role: 'assistant', content: 'Yes.' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 1_000, completion_tokens: 10, total_tokens: 1_010 },
      }),
    ); // prettier-ignore
  });

  /** The measured difference after so many sessions of these calls. */
  async function measured(calls: readonly Call[]) {
    const tenant = await rig.activeTenant('compared');
    const seen = await rig.record(tenant, await rig.chat(tenant, RULED));
    await rig.rule(tenant, [LUNA], seen.route_class!);
    await rig.setOrganization(tenant, { controlShareBp: 5_000 });
    await Promise.all(
      Array.from({ length: SESSIONS }, async (_, i) => {
        const session = { 'x-shunt-session-id': `session-${i}` };
        for (const [body, headers] of calls) {
          expect((await rig.chat(tenant, body, { ...headers, ...session })).status).toBe(200);
        }
      }),
    );
    const rows = await rig.records(tenant);
    expect(rows.some(({ decision }) => decision === 'control')).toBe(true);
    const nowMs = Date.now();
    const period = { fromMs: nowMs - 3_600_000, toMs: nowMs + 1 };
    const { savingsReports } = rig.gateway.app.engine.services;
    const report = await savingsReports.report(tenant.orgId, { period, includeSynthetic: true });
    return report.figures.measured;
  }

  test.each<[string, readonly Call[]]>([
    ['nothing else', [[RULED]]],
    ['a call of another class after it', [[RULED], [HELPER]]],
    ['a call of another class before it', [[HELPER], [RULED]]],
    ['a call of another class for another model before it', [[OTHERS], [RULED]]],
    ['a model that the client named after it', [[RULED], [RULED, WISH]]],
    ['a model that the client named before it', [[RULED, WISH], [RULED]]],
    ['a call that is not to be routed after it', [[RULED], [RULED, { 'x-shunt-route': 'off' }]]],
  ])('holds its share of the sessions that have a call with a rule and %s', async (_, calls) => {
    const { control, routed, left_out: leftOut } = await measured(calls);
    expect(leftOut).toEqual({ changed_group: 0 });
    expect(control.sessions + routed.sessions).toBe(SESSIONS);
    // Of 40 at 50 %: beyond this once in 40,000 times.
    expect(control.sessions).toBeGreaterThan(6);
    expect(routed.sessions).toBeGreaterThan(6);
  });
});

describe('a session of the Responses API', () => {
  const SOL = 'gpt-6-sol';
  let tenant: Tenant;
  beforeAll(async () => {
    tenant = await rig.activeTenant('responses');
    await rig.rule(tenant, [LUNA]);
  });

  const reasoning = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'sealed' };
  const text = {
    type: 'message',
    id: 'msg_1',
    status: 'completed',
    role: 'assistant',
    content: [{ type: 'output_text', text: 'I look.', annotations: [], logprobs: [] }],
  };
  const call = (id: string) => ({
    type: 'function_call',
    id: `fc_${id}`,
    call_id: id,
    name: 'look',
    arguments: '{}',
    status: 'completed',
  });
  const tools = [
    { type: 'function', name: 'look', parameters: { type: 'object', properties: {} } },
  ];
  const usage = { input_tokens: 2_000, output_tokens: 20, total_tokens: 2_020 };

  test('stays with the one model that gave its answers, of however many items each is', async () => {
    const answers = [
      [reasoning, call('a')],
      [reasoning, call('b'), call('c')],
      [reasoning, text, call('d')],
      [text],
      [reasoning, text],
    ];
    const input: object[] = [{ role: 'user', content: 'Is it?' }];
    const served: (string | null)[] = [];
    for (const output of answers) {
      upstream.answerWith((res, captured) =>
        json(res, { id: 'resp_1', object: 'response', status: 'completed', model: modelOf(captured), output, usage }),
      ); // prettier-ignore
      const body = { model: SOL, input, tools };
      const session = { 'x-shunt-session-id': 'looking' };
      const said = await rig.chat(tenant, body, session, '/v1/responses');
      expect(said.status).toBe(200);
      served.push(said.served);
      const calls = output.filter((item) => 'call_id' in item);
      const outputs = calls.map(({ call_id }) => ({ type: 'function_call_output', call_id, output: 'Seen.' })); // prettier-ignore
      const next = calls.length === 0 ? [{ role: 'user', content: 'And now?' }] : outputs;
      input.push(...output, ...next);
    }
    expect(served).toEqual(answers.map(() => LUNA.model));
  });
});

describe('state that answers bring', () => {
  let tenant: Tenant;
  beforeAll(async () => {
    tenant = await rig.activeTenant('signed');
    await rig.rule(tenant, [HAIKU]);
  });

  const answer =
    (usage: object): Answer =>
    (res, captured) => {
      const model = modelOf(captured);
      const content = [
        { type: 'thinking', thinking: 'Hm.', signature: `signed by ${model}` },
        { type: 'text', text: 'Yes.' },
      ];
      json(res, { id: 'msg_1', type: 'message', role: 'assistant', model, content, stop_reason: 'end_turn', ...usage });
    }; // prettier-ignore
  const metered = answer({ usage: { input_tokens: 2_000, output_tokens: 20 } });
  const unmetered = answer({});
  const busy: Answer = (res, captured) =>
    modelOf(captured) === HAIKU.model
      ? json(res, { type: 'error', error: { type: 'overloaded_error', message: 'Busy.' } }, 529)
      : metered(res, captured);

  /** A conversation, one turn after the other; gives who served each. */
  async function conversation(name: string, turns: readonly Turn[]): Promise<(string | null)[]> {
    const messages: object[] = [];
    const served: (string | null)[] = [];
    for (const { answered, headers } of turns) {
      upstream.answerWith(answered);
      messages.push({ role: 'user', content: 'Is it?' });
      const body = { model: OPUS, max_tokens: 2_000, messages };
      const session = { 'x-shunt-session-id': name, ...headers };
      const said = await rig.chat(tenant, body, session, '/anthropic/v1/messages');
      expect(said.status).toBe(200);
      served.push(said.served);
      messages.push({ role: 'assistant', content: (JSON.parse(said.text) as Body).content });
    }
    return served;
  }
  interface Turn {
    readonly answered: Answer;
    readonly headers?: Readonly<Record<string, string>>;
  }
  interface Body {
    readonly content: readonly object[];
  }
  const USUAL: Turn = { answered: metered };
  const OFF = { 'x-shunt-route': 'off' };
  const UNSEEN = { 'x-shunt-session-id': 'seen by another' };

  test('stays with the one model that gave them all', async () => {
    const served = await conversation('one', [USUAL, USUAL, USUAL]);
    expect(served).toEqual([HAIKU.model, HAIKU.model, HAIKU.model]);
  });

  test.each<[string, Turn]>([
    ['a fallback', { answered: busy }],
    ['a model that the client named', { answered: metered, headers: { 'x-shunt-model': OPUS } }],
    ['a call that is not to be routed', { answered: metered, headers: OFF }],
    ['an answer without usage', { answered: unmetered, headers: OFF }],
    ['an answer that another replica saw', { answered: metered, headers: { ...OFF, ...UNSEEN } }],
  ])('goes to the model asked for once that one answered too: by %s', async (how, turn) => {
    const served = await conversation(how, [USUAL, turn, USUAL, USUAL]);
    expect(served).toEqual([HAIKU.model, OPUS, OPUS, OPUS]);
  });
});
