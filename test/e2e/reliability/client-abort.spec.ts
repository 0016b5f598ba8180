import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { request } from 'undici';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { SANDBOX_KEY, awaitTrace, startTestSandbox } from '../../support/sandbox.js';
import { until } from './until.js';

const EVENTS = 60;
const READ_EVENTS = 12;
const STREAM = `chunks=${EVENTS},tokens=${EVENTS},chunk-delay=40`;
const QUESTION = 'Tell me in some words what a shunt is.';

let sandbox: Sandbox;
let gateway: TestGateway;

beforeAll(async () => {
  sandbox = await startTestSandbox();
  const { openai, anthropic, google, groq } = sandbox.baseUrls;
  gateway = await startGateway({
    env: {
      OPENAI_BASE_URL: openai,
      ANTHROPIC_BASE_URL: anthropic,
      GOOGLE_BASE_URL: google,
      GROQ_BASE_URL: groq,
      OPENAI_API_KEY: SANDBOX_KEY,
      ANTHROPIC_API_KEY: SANDBOX_KEY,
      GEMINI_API_KEY: SANDBOX_KEY,
      GROQ_API_KEY: SANDBOX_KEY,
    },
  });
});
afterAll(async () => {
  await gateway.stop();
  await sandbox.close();
});

interface Format {
  readonly path: string;
  readonly keyHeader: string;
  readonly body: unknown;
}

const messages = [{ role: 'user', content: QUESTION }];

const STREAMS: Readonly<Record<string, Format>> = {
  'OpenAI chat': {
    path: '/openai/v1/chat/completions',
    keyHeader: 'authorization',
    body: { model: 'gpt-5.4-mini', stream: true, messages },
  },
  'OpenAI responses': {
    path: '/openai/v1/responses',
    keyHeader: 'authorization',
    body: { model: 'gpt-5.4-mini', stream: true, input: QUESTION },
  },
  'Anthropic messages': {
    path: '/anthropic/v1/messages',
    keyHeader: 'x-api-key',
    body: { model: 'claude-haiku-4-5', stream: true, max_tokens: 500, messages },
  },
  'Google generateContent': {
    path: '/google/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
    keyHeader: 'x-goog-api-key',
    body: { contents: [{ role: 'user', parts: [{ text: QUESTION }] }] },
  },
  'Groq chat': {
    path: '/groq/openai/v1/chat/completions',
    keyHeader: 'authorization',
    body: { model: 'openai/gpt-oss-20b', stream: true, messages },
  },
};

function send({ path, keyHeader, body }: Format, directives: string, signal: AbortSignal) {
  const key = keyHeader === 'authorization' ? `Bearer ${gateway.projectKey}` : gateway.projectKey;
  return request(`${gateway.origin}${path}`, {
    method: 'POST',
    signal,
    headers: {
      [keyHeader]: key,
      'content-type': 'application/json',
      'anthropic-version': '2023-06-01',
      'x-sandbox': directives,
    },
    body: JSON.stringify(body),
  });
}

/** Reads so many events, then goes away. Returns the id of the call. */
async function readAndLeave(format: Format): Promise<string> {
  const leaving = new AbortController();
  const { statusCode, headers, body } = await send(format, STREAM, leaving.signal);
  expect(statusCode).toBe(200);
  let text = '';
  await expect(async () => {
    for await (const chunk of body) {
      text += String(chunk);
      if (text.split(/\r?\n\r?\n/).length > READ_EVENTS) leaving.abort();
    }
  }).rejects.toMatchObject({ name: 'AbortError' });
  return String(headers['x-shunt-request-id']);
}

/** The record, once usage was estimated. */
async function estimated(requestId: string): Promise<CallRecord> {
  let record = await gateway.record(requestId);
  await until('the usage is estimated', 10_000, async () => {
    record = await gateway.record(requestId);
    return record.revision === 2;
  });
  return record;
}

describe('a client that goes away in the middle of a stream', () => {
  it.each(Object.entries(STREAMS))(
    'ends the work of the provider, and its record estimates what was used until then (%s)',
    async (_name, format) => {
      sandbox.resetStats();
      const requestId = await readAndLeave(format);
      const trace = await awaitTrace(sandbox.origin, ({ finished }) => finished);
      expect(trace).toMatchObject({ aborted: true, status: 200 });
      expect(trace.framesSent).toBeGreaterThanOrEqual(READ_EVENTS);
      expect(trace.framesSent).toBeLessThan(EVENTS);
      const record = await estimated(requestId);
      expect(record).toMatchObject({
        outcome: 'client_aborted',
        status_code: 200,
        error_code: null,
        failure_class: null,
        metering: 'estimated',
        pricing: 'priced',
      });
      const { inputTokens = 0, outputTokens = 0 } = record.usage ?? {};
      expect(inputTokens).toBeGreaterThan(0);
      expect(outputTokens).toBeGreaterThan(0);
      expect(outputTokens).toBeLessThan(EVENTS);
    },
  );
});

describe('a client that goes away before the answer begins', () => {
  it('ends the work of the provider, and its record counts the prompt', async () => {
    sandbox.resetStats();
    const leaving = new AbortController();
    const sent = send(STREAMS['OpenAI chat']!, 'latency=60000', leaving.signal);
    await awaitTrace(sandbox.origin, ({ route }) => route.endsWith('/chat/completions'));
    leaving.abort();
    await expect(sent).rejects.toMatchObject({ name: 'AbortError' });
    const trace = await awaitTrace(sandbox.origin, ({ finished }) => finished);
    expect(trace).toMatchObject({ aborted: true, status: null, framesSent: 0 });
    const latest = (await gateway.records()).at(-1);
    const record = await estimated(latest?.request_id ?? '');
    expect(record).toMatchObject({
      outcome: 'client_aborted',
      status_code: null,
      time_to_first_byte_ms: null,
      response_bytes: '0',
      metering: 'estimated',
    });
    expect(record.usage?.['inputTokens']).toBeGreaterThan(0);
  });
});
