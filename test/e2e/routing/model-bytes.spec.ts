import { gzipSync } from 'node:zlib';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  json,
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import type { Tenant } from '../../support/tenants.js';
import { RoutingRig } from './routing-rig.js';

let upstream: CapturingUpstream;
let rig: RoutingRig;
let tenant: Tenant;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  rig = await RoutingRig.startAt(upstream.origin);
  tenant = await rig.activeTenant('bytes', { defaultModel: 'gpt-6-sol' });
  await rig.rule(tenant, [
    { provider: 'openai', model: 'gpt-6-luna' },
    { provider: 'google', model: 'gemini-3.5-flash-lite' },
  ]);
});
afterAll(async () => {
  await rig?.stop();
  await upstream?.close();
});

beforeEach(() => {
  upstream.captured.length = 0;
  upstream.answerWith((res) => json(res, {}));
});

let session = 0;

async function send(
  path: string,
  body: Buffer | string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ decision: string; sent: Buffer; url: string; headers: Record<string, unknown> }> {
  session += 1;
  const answer = await request(rig.gateway.origin + path, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${tenant.apiKey}`,
      'content-type': 'application/json',
      'x-shunt-session-id': `bytes-${session}`,
      ...headers,
    },
    body,
  });
  await answer.body.dump();
  const [captured] = upstream.captured;
  return {
    decision: String(answer.headers['x-shunt-decision']),
    sent: captured?.body ?? Buffer.alloc(0),
    url: captured?.url ?? '',
    headers: captured?.headers ?? {},
  };
}

const CHAT = '/v1/chat/completions';
const ASK = '"messages":[{"role":"user","content":"Is it?"}]';

describe('between what came and what is forwarded of a routed call only the model’s name differs', () => {
  test.each<[string, string, string]>([
    ['a plain body', '"gpt-6-sol"', `{"model":"gpt-6-sol",${ASK}}`],
    ['odd spaces and order', '"gpt-6-sol"', `\n {${ASK} ,\t"model" :\r\n "gpt-6-sol"  } \n`],
    ['a name spelt with escapes', '"gpt-6\\u002dsol"', `{"model":"gpt-6\\u002dsol",${ASK}}`],
    ['a key spelt with escapes', '"gpt-6-sol"', `{"mod\\u0065l":"gpt-6-sol",${ASK}}`],
    [
      'escapes and other scripts in the text',
      '"gpt-6-sol"',
      `{"messages":[{"role":"user","content":"\\ud83d\\ude00 é 漢 \\"model\\":\\"gpt-6-sol\\" \\\\"}],"model":"gpt-6-sol"}`,
    ],
    [
      'a model named inside a tool',
      '"gpt-6-sol"',
      `{${ASK},"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"model":{"type":"string","enum":["gpt-6-sol"]}}}}}],"reasoning_effort":"none","model":"gpt-6-sol"}`,
    ],
  ])('%s', async (_what, named, body) => {
    const { decision, sent } = await send(CHAT, body);
    expect(decision).toBe('classifier');
    const at = body.lastIndexOf(named);
    expect(sent.toString()).toBe(
      `${body.slice(0, at)}"gpt-6-luna"${body.slice(at + named.length)}`,
    );
  });

  test('a megabyte of it', async () => {
    const text = 'é"\\n'.repeat(166_000).replaceAll('"', '\\"');
    const body = `{"messages":[{"role":"user","content":"${text}"}],"model":"gpt-6-sol"}`;
    const { decision, sent } = await send(CHAT, body);
    expect(decision).toBe('classifier');
    expect(sent.equals(Buffer.from(body.replace('"gpt-6-sol"', '"gpt-6-luna"')))).toBe(true);
  });

  test('what came compressed goes as what was in it', async () => {
    const body = `{"model":"gpt-6-sol",${ASK}}`;
    const { decision, sent, headers } = await send(CHAT, gzipSync(body), {
      'content-encoding': 'gzip',
    });
    expect(decision).toBe('classifier');
    expect(sent.toString()).toBe(body.replace('gpt-6-sol', 'gpt-6-luna'));
    expect(headers['content-encoding']).toBeUndefined();
  });

  test('a stream is asked for its usage, and for nothing else', async () => {
    const { sent } = await send(CHAT, `{"stream":true,${ASK},"model":"gpt-6-sol"}`);
    expect(sent.toString()).toBe(
      `{"stream":true,${ASK},"model":"gpt-6-luna","stream_options":{"include_usage":true}}`,
    );
  });

  test('Google’s model changes in the path, and the body not at all', async () => {
    const body = `{ "contents":[{"role":"user","parts":[{"text":"Is it?"}]}] }`;
    const path = '/v1beta/models/gemini-3.8-flash:generateContent';
    const { decision, sent, url } = await send(`/google${path}?alt=json`, body);
    expect(decision).toBe('classifier');
    expect(sent.toString()).toBe(body);
    expect(url).toBe('/v1beta/models/gemini-3.5-flash-lite:generateContent?alt=json');
  });
});

describe('a body that names its model twice', () => {
  const twice = `{"model":"gpt-6-sol",${ASK},"model":"gpt-6-sol"}`;

  test('is not routed, and forwarded as it came', async () => {
    const { decision, sent } = await send(CHAT, twice);
    expect(decision).toBe('abstain');
    expect(sent.toString()).toBe(twice);
  });

  test('is refused where another model is asked for by header', async () => {
    await send(CHAT, twice, { 'x-shunt-model': 'gpt-6-luna' });
    expect(upstream.captured).toEqual([]);
  });
});

test.each([
  ['/anthropic/v1/messages', { type: 'error' }],
  ['/google/v1beta/models/shunt/auto:generateContent', { error: { status: 'INVALID_ARGUMENT' } }],
  ['/groq/openai/v1/chat/completions', { error: { code: 'default_model_elsewhere' } }],
])(
  'a default model is sent to no other provider: %s is told what to do instead',
  async (path, envelope) => {
    const said = await rig.chat(tenant, `{"model":"shunt/auto",${ASK}}`, {}, path);
    expect(said.status).toBe(400);
    expect(JSON.parse(said.text)).toMatchObject(envelope);
    expect(said.text).toMatch(/default_model_elsewhere/i);
    expect(upstream.captured).toEqual([]);
  },
);

test('headers of the provider that was asked do not go to another one', async () => {
  const across = await rig.activeTenant('across', { crossProviderOptIn: ['groq'] });
  await rig.rule(across, [{ provider: 'groq', model: 'openai/gpt-oss-20b' }]);
  const said = await rig.chat(
    across,
    `{"model":"gpt-6-sol",${ASK}}`,
    { 'openai-organization': 'org-1', 'x-other': 'kept' },
    `${CHAT}?of=openai`,
  );
  expect(said).toMatchObject({ decision: 'classifier', served: 'openai/gpt-oss-20b' });
  const [captured] = upstream.captured;
  expect(captured).toMatchObject({
    url: '/openai/v1/chat/completions',
    headers: { authorization: 'Bearer gsk', 'x-other': 'kept' },
  });
  expect(captured!.headers['openai-organization']).toBeUndefined();
});
