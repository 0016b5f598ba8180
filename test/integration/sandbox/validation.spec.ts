import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startSandbox, type Sandbox } from '../../../src/sandbox/server.js';
import { SANDBOX_KEY, startTestSandbox } from '../../support/sandbox.js';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startTestSandbox();
});
afterAll(() => sandbox.close());

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${sandbox.origin}${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${SANDBOX_KEY}`,
      'anthropic-version': '2026-10-21',
      ...headers,
    },
    body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const PATHS = {
  openai: '/openai/v1/chat/completions',
  responses: '/openai/v1/responses',
  anthropic: '/anthropic/v1/messages',
  google: '/google/v1beta/models/gemini-3.8-flash:generateContent',
  groq: '/groq/openai/v1/chat/completions',
};
const messages = [{ role: 'user', content: 'Hello.' }];

const ENVELOPES = {
  openai: { error: { message: expect.any(String), type: 'invalid_request_error' } },
  anthropic: {
    type: 'error',
    error: { type: expect.stringMatching(/_error$/), message: expect.any(String) },
    request_id: expect.stringMatching(/^req_/),
  },
  google: {
    error: { code: expect.any(Number), message: expect.any(String), status: expect.any(String) },
  },
};

test('the sandbox does not start in production', async () => {
  await expect(startSandbox({ environment: 'production' })).rejects.toThrow(/production/);
});

test.each([
  ['openai', PATHS.openai, 401],
  ['openai', PATHS.responses, 401],
  ['openai', PATHS.groq, 401],
  ['anthropic', PATHS.anthropic, 401],
  ['google', PATHS.google, 403],
] as const)(
  'a call without a key is refused in the envelope of %s (%s)',
  async (shape, path, status) => {
    const seen = await post(path, {}, { authorization: '' });
    expect(seen).toMatchObject({ status, body: ENVELOPES[shape] });
  },
);

test.each([
  ['openai', PATHS.openai, '{"model":'],
  ['openai', PATHS.openai, '[]'],
  ['openai', PATHS.openai, { messages }],
  ['openai', PATHS.openai, { model: 'gpt-4o' }],
  ['openai', PATHS.openai, { model: 'gpt-4o', messages: 'hello' }],
  ['openai', PATHS.openai, { model: 'gpt-4o', messages: [{ content: 'no role' }] }],
  ['openai', PATHS.openai, { model: 'gpt-5.4', messages, max_tokens: 5 }],
  ['openai', PATHS.openai, { model: 'gpt-5.6-luna', messages, temperature: 0.2 }],
  ['openai', PATHS.openai, { model: 'gpt-5.6-luna', messages, tools: [{}] }],
  ['openai', PATHS.openai, { model: 'gpt-6.2-sol', messages, reasoning_effort: 'none' }],
  ['openai', PATHS.responses, { model: 'gpt-4o' }],
  ['openai', PATHS.responses, { model: 'gpt-4o', input: 'hi', max_output_tokens: 1 }],
  ['openai', PATHS.groq, { model: 'qwen/qwen3-32b', messages, logprobs: true }],
  ['anthropic', PATHS.anthropic, '{'],
  ['anthropic', PATHS.anthropic, { model: 'claude-opus-5', messages }],
  ['anthropic', PATHS.anthropic, { model: 'claude-opus-5', max_tokens: 5 }],
  ['anthropic', PATHS.anthropic, { model: 'claude-opus-5', max_tokens: 5, messages, top_k: 2 }],
  ['google', PATHS.google, '{'],
  ['google', PATHS.google, { contents: [] }],
] as const)('a bad request is a 400 in the envelope of %s (%s %j)', async (shape, path, body) => {
  expect(await post(path, body)).toMatchObject({ status: 400, body: ENVELOPES[shape] });
});

test('an anthropic request without a version is refused', async () => {
  const body = { model: 'claude-opus-5', max_tokens: 5, messages };
  const response = await fetch(`${sandbox.origin}${PATHS.anthropic}`, {
    method: 'POST',
    headers: { 'x-api-key': SANDBOX_KEY },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(400);
});

test.each([
  [PATHS.openai, { model: 'gpt-none', messages }],
  [PATHS.responses, { model: 'gpt-none', input: 'hi' }],
  [PATHS.groq, { model: 'gpt-4o', messages }],
  [PATHS.anthropic, { model: 'claude-none', max_tokens: 5, messages }],
  ['/google/v1/models/gemini-none:generateContent', { contents: [{ parts: [{ text: 'a' }] }] }],
  ['/openai/v1/nothing-here', {}],
  ['/google/v1/models/gemini-3.8-flash:constructor', {}],
] as const)('%s %j is not found', async (path, body) => {
  expect((await post(path, body)).status).toBe(404);
});

test('stored responses are never found', async () => {
  const headers = { authorization: `Bearer ${SANDBOX_KEY}` };
  const url = `${sandbox.origin}/openai/v1/responses/resp_1`;
  expect((await fetch(url, { headers })).status).toBe(404);
  expect((await fetch(url, { headers, method: 'DELETE' })).status).toBe(404);
});

test('a compressed request is read; one that lies about its compression is refused', async () => {
  const body = gzipSync(JSON.stringify({ model: 'gpt-4o', messages }));
  expect((await post(PATHS.openai, body, { 'content-encoding': 'gzip' })).status).toBe(200);
  expect((await post(PATHS.openai, '{}', { 'content-encoding': 'gzip' })).status).toBe(400);
});

test('google takes its key in the query, anthropic in x-api-key', async () => {
  const body = JSON.stringify({ contents: [{ parts: [{ text: 'a' }] }] });
  const google = await fetch(`${sandbox.origin}${PATHS.google}?key=k`, { method: 'POST', body });
  expect(google.status).toBe(200);
  const anthropic = await fetch(`${sandbox.origin}/anthropic/v1/models`, {
    headers: { 'x-api-key': 'k' },
  });
  expect(anthropic.status).toBe(200);
});

test('a function call comes back to Gemini with the signature that this model gave, or not at all', async () => {
  const call = { functionCall: { name: 'f', args: {} } };
  const ask = (part: object, model = 'gemini-3.8-flash') =>
    post(`/google/v1/models/${model}:generateContent`, {
      contents: [
        { role: 'user', parts: [{ text: 'Use the tool.' }] },
        { role: 'model', parts: [part] },
        { role: 'user', parts: [{ functionResponse: { name: 'f', response: {} } }] },
      ],
    });
  const answered = await post(PATHS.google, {
    contents: [{ role: 'user', parts: [{ text: 'Use the tool.' }] }],
    tools: [{ functionDeclarations: [{ name: 'f' }] }],
  });
  const signature = /"thoughtSignature":"([^"]+)"/.exec(JSON.stringify(answered.body))?.[1];
  expect((await ask({ ...call, thoughtSignature: signature })).status).toBe(200);
  expect((await ask(call)).status).toBe(400);
  expect((await ask({ ...call, thoughtSignature: signature }, 'gemini-3.5-flash')).status).toBe(
    400,
  );
});
