import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import http, { type IncomingMessage } from 'node:http';
import { PASSTHROUGH_LIMITS } from '../../../src/gateway/stages/forward.js';
import { KEEP_ALIVE_MS } from '../../../src/gateway/gateway.server.js';
import { CLIENT_STALL_MS_MAX } from '../../../src/gateway/stages/relay.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { SANDBOX_KEY, awaitTrace, startTestSandbox } from '../../support/sandbox.js';
import { startBigUpstream, expectedOf, type BigUpstream } from './big-upstream.js';
import { startDeafListener, type DeafListener } from './deaf-listener.js';
import { measured, until } from './until.js';

/** The SDKs' own limit. */
const SDK_LIMIT_MS = 600_000;
const LIMITS = { connectMs: 700, firstByteMs: 1_000, idleMs: 2_000 };
/** The clock of the HTTP client ticks about once a second. */
const LATE_MS_MAX = 4_000;

let sandbox: Sandbox;
let deaf: DeafListener;
let big: BigUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  sandbox = await startTestSandbox();
  deaf = await startDeafListener();
  big = await startBigUpstream();
  gateway = await startGateway({
    limits: LIMITS,
    env: {
      OPENAI_BASE_URL: sandbox.baseUrls.openai,
      ANTHROPIC_BASE_URL: sandbox.baseUrls.anthropic,
      GOOGLE_BASE_URL: `http://127.0.0.1:${deaf.port}`,
      GROQ_BASE_URL: big.baseUrl.replace('/v1', ''),
      OPENAI_API_KEY: SANDBOX_KEY,
      ANTHROPIC_API_KEY: SANDBOX_KEY,
      GEMINI_API_KEY: SANDBOX_KEY,
      GROQ_API_KEY: SANDBOX_KEY,
    },
  });
});
afterAll(async () => {
  await gateway.stop();
  await Promise.all([sandbox.close(), deaf.close(), big.close()]);
});

interface Answer {
  readonly status: number;
  readonly requestId: string;
  readonly text: string;
  /** The connection ended before the answer did. */
  readonly cut: boolean;
  readonly tookMs: number;
}

const messages = [{ role: 'user', content: 'Hello' }];
const CHAT = { model: 'gpt-5.4-mini', messages };
const ANTHROPIC = { model: 'claude-haiku-4-5', max_tokens: 200, messages };

function send(path: string, body: unknown, directives = ''): Promise<IncomingMessage> {
  const headers = {
    'x-api-key': gateway.projectKey,
    'content-type': 'application/json',
    'anthropic-version': '2023-06-01',
    ...(directives === '' ? {} : { 'x-sandbox': directives }),
  };
  return new Promise((resolve, reject) => {
    const sent = http.request(`${gateway.origin}${path}`, { method: 'POST', headers }, resolve);
    sent.once('error', reject).end(JSON.stringify(body));
  });
}

async function call(path: string, body: unknown, directives?: string): Promise<Answer> {
  const beganAt = performance.now();
  const response = await send(path, body, directives);
  let text = '';
  try {
    for await (const chunk of response) text += String(chunk);
  } catch {
    // A cut answer: `complete` says so.
  }
  return {
    status: response.statusCode ?? 0,
    requestId: String(response.headers['x-shunt-request-id']),
    text,
    cut: !response.complete,
    tookMs: performance.now() - beganAt,
  };
}

function assertInTime(what: string, { tookMs }: Answer, limitMs: number): void {
  measured(what, `${Math.round(tookMs)} ms at a limit of ${limitMs} ms`);
  expect(tookMs).toBeGreaterThanOrEqual(limitMs * 0.9);
  expect(tookMs).toBeLessThan(limitMs + LATE_MS_MAX);
}

describe('in passthrough', () => {
  it('no limit of the gateway is shorter than the 600 s of the SDKs', () => {
    const limits = [...Object.values(PASSTHROUGH_LIMITS), CLIENT_STALL_MS_MAX, KEEP_ALIVE_MS];
    expect(Object.keys(PASSTHROUGH_LIMITS).toSorted()).toEqual([
      'connectMs',
      'firstByteMs',
      'idleMs',
    ]);
    for (const limit of limits) expect(limit).toBeGreaterThanOrEqual(SDK_LIMIT_MS);
  });
});

describe('a provider', () => {
  it('that takes no connection is given up with upstream_connect_timeout, in a record and in the envelope of its SDK', async () => {
    const path = '/google/v1beta/models/gemini-2.5-flash:generateContent';
    const answer = await call(path, { contents: [{ parts: [{ text: 'Hello' }] }] });
    assertInTime('connect', answer, LIMITS.connectMs);
    expect(answer.status).toBe(504);
    expect(JSON.parse(answer.text)).toMatchObject({
      error: {
        code: 504,
        status: 'DEADLINE_EXCEEDED',
        details: [{ reason: 'UPSTREAM_CONNECT_TIMEOUT' }],
      },
    });
    expect(await gateway.record(answer.requestId)).toMatchObject({
      outcome: 'upstream_failed',
      status_code: 504,
      error_code: 'upstream_connect_timeout',
      failure_class: 'transient',
      metering: 'unmetered',
      unmetered_reason: 'failed',
      time_to_first_byte_ms: null,
    });
  });

  it('that does not begin to answer is given up with upstream_first_byte_timeout', async () => {
    sandbox.resetStats();
    const answer = await call('/openai/v1/chat/completions', CHAT, 'stall=before-headers');
    assertInTime('first byte', answer, LIMITS.firstByteMs);
    expect(answer.status).toBe(504);
    expect(JSON.parse(answer.text)).toMatchObject({
      error: { code: 'upstream_first_byte_timeout', type: 'server_error' },
    });
    expect(await gateway.record(answer.requestId)).toMatchObject({
      outcome: 'upstream_failed',
      status_code: 504,
      error_code: 'upstream_first_byte_timeout',
      failure_class: 'transient',
      metering: 'unmetered',
      unmetered_reason: 'failed',
    });
    const trace = await awaitTrace(sandbox.origin, ({ finished }) => finished);
    expect(trace.aborted, 'the provider is told').toBe(true);
  });

  it('that stops in the middle of a stream is given up with upstream_idle_timeout, said in an event of the stream', async () => {
    const asked = { ...CHAT, stream: true };
    const answer = await call('/openai/v1/chat/completions', asked, 'stall=mid-stream,chunks=20');
    assertInTime('idle, stream', answer, LIMITS.idleMs);
    expect([answer.status, answer.cut]).toEqual([200, false]);
    const events = answer.text.trimEnd().split('\n\n');
    expect(events.length).toBeGreaterThan(5);
    expect(JSON.parse(events.at(-1)!.replace('data: ', ''))).toMatchObject({
      error: { code: 'upstream_idle_timeout' },
    });
    expect(await gateway.record(answer.requestId)).toMatchObject({
      outcome: 'truncated',
      status_code: 200,
      error_code: 'upstream_idle_timeout',
      failure_class: 'transient',
    });
  });

  it('that stops in the middle of an Anthropic stream is given up in an error event of that SDK', async () => {
    const answer = await call(
      '/anthropic/v1/messages',
      { ...ANTHROPIC, stream: true },
      'stall=mid-stream,chunks=20',
    );
    expect(answer.text.trimEnd().split('\n\n').at(-1)).toMatch(
      /^event: error\ndata: .*upstream_idle_timeout/,
    );
    expect(await gateway.record(answer.requestId)).toMatchObject({
      outcome: 'truncated',
      error_code: 'upstream_idle_timeout',
    });
  });

  it('that stops in the middle of a JSON body is given up: the answer is cut, and its record says upstream_idle_timeout', async () => {
    const answer = await call('/openai/v1/chat/completions', CHAT, 'stall=mid-stream');
    assertInTime('idle, JSON', answer, LIMITS.idleMs);
    expect([answer.status, answer.cut]).toEqual([200, true]);
    expect(await gateway.record(answer.requestId)).toMatchObject({
      outcome: 'truncated',
      error_code: 'upstream_idle_timeout',
    });
  });

  it('is not blamed for a client that reads nothing for longer than the limit', async () => {
    const response = await send('/groq/openai/v1/chat/completions', { ...CHAT, stream: true });
    let last = -1;
    let stillSince = performance.now();
    await until('nothing has moved for two limits', 30_000, () => {
      if (big.sent() !== last) {
        last = big.sent();
        stillSince = performance.now();
      }
      return performance.now() - stillSince > 2 * LIMITS.idleMs + 1_000;
    });
    let bytes = 0;
    for await (const chunk of response) bytes += (chunk as Buffer).length;
    expect(bytes).toBe(expectedOf('stream').bytes);
    const requestId = String(response.headers['x-shunt-request-id']);
    expect(await gateway.record(requestId)).toMatchObject({
      outcome: 'completed',
      error_code: null,
    });
  });

  it('that sends now and then is waited for, however long the whole answer takes', async () => {
    const asked = { ...CHAT, stream: true };
    const answer = await call('/openai/v1/chat/completions', asked, 'chunks=4,chunk-delay=1000');
    expect(answer.tookMs).toBeGreaterThan(2 * LIMITS.idleMs);
    expect(answer.text.endsWith('data: [DONE]\n\n')).toBe(true);
  });
});
