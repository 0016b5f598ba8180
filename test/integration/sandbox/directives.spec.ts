import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DIRECTIVE_NAMES } from '../../../src/sandbox/directives.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { awaitTrace, SANDBOX_KEY, startTestSandbox } from '../../support/sandbox.js';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startTestSandbox();
});
afterEach(() => sandbox.resetStats());
afterAll(() => sandbox.close());

const messages = [{ role: 'user', content: 'Say something kind.' }];

interface Call {
  readonly path: string;
  readonly body: object;
  readonly headers?: Record<string, string>;
}

const CHAT: Call = {
  path: '/openai/v1/chat/completions',
  body: { model: 'gpt-4o', messages },
};
const CHAT_STREAM: Call = { ...CHAT, body: { ...CHAT.body, stream: true } };
const MESSAGES_STREAM: Call = {
  path: '/anthropic/v1/messages',
  body: { model: 'claude-opus-5', max_tokens: 100, messages, stream: true },
  headers: { 'anthropic-version': '2026-10-21' },
};
const GENERATE_STREAM: Call = {
  path: '/google/v1/models/gemini-3.8-flash:streamGenerateContent?alt=sse',
  body: { contents: [{ parts: [{ text: 'Say something kind.' }] }] },
};
const RESPONSES_STREAM: Call = {
  path: '/openai/v1/responses',
  body: { model: 'gpt-4o', input: 'Say something kind.', stream: true },
};
const GROQ_STREAM: Call = {
  path: '/groq/openai/v1/chat/completions',
  body: { model: 'qwen/qwen3-32b', messages, stream: true },
};
const STREAMS: readonly (readonly [string, Call])[] = [
  ['openai chat', CHAT_STREAM],
  ['openai responses', RESPONSES_STREAM],
  ['anthropic', MESSAGES_STREAM],
  ['google', GENERATE_STREAM],
  ['groq', GROQ_STREAM],
];

interface Seen {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly bytes: Buffer;
  readonly text: string;
  /** The connection ended before the answer did. */
  readonly cut: boolean;
}

/** With node:http, which neither follows redirects nor decompresses. */
async function send(call: Call, directives?: string, signal?: AbortSignal): Promise<Seen> {
  const request = httpRequest(`${sandbox.origin}${call.path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${SANDBOX_KEY}`,
      ...call.headers,
      ...(directives === undefined ? {} : { 'x-sandbox': directives }),
    },
    ...(signal === undefined ? {} : { signal }),
  });
  request.end(JSON.stringify(call.body));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const parts: Buffer[] = [];
  let cut = false;
  try {
    for await (const part of response) parts.push(part as Buffer);
  } catch {
    cut = true;
  }
  const bytes = Buffer.concat(parts);
  const { statusCode = 0, headers } = response;
  return { status: statusCode, headers, bytes, text: bytes.toString('utf8'), cut };
}

test('every answer says that it comes from the sandbox, errors too', async () => {
  const seen = await Promise.all([send(CHAT), send(CHAT, 'status=500'), send(CHAT, 'nonsense')]);
  expect(seen.map(({ headers }) => headers['x-shunt-sandbox'])).toEqual(['1', '1', '1']);
});

test.each(['nonsense=1', 'latency=-1', 'latency=99999999', 'close=sometimes', 'gzip=2', 'echo='])(
  '%s is refused with a 400 that names the directive',
  async (directive) => {
    const { status, text } = await send(CHAT, `tokens=5,${directive}`);
    expect(status).toBe(400);
    expect(text).toContain(`'${directive.split('=')[0]}'`);
  },
);

test('the refusal of an unknown directive lists the known ones', async () => {
  const { text } = await send(CHAT, 'nonsense');
  for (const name of DIRECTIVE_NAMES) expect(text).toContain(name);
});

test('latency delays the headers, chunk-delay the events', async () => {
  const startMs = performance.now();
  await send(CHAT_STREAM, 'latency=60,chunks=3,tokens=3,chunk-delay=20');
  expect(performance.now() - startMs).toBeGreaterThan(120);
});

test('chunks and tokens decide the number of pieces and of tokens', async () => {
  const { text } = await send(CHAT_STREAM, 'chunks=7,tokens=50');
  expect(text.match(/"delta":\{"content":"[^"]/g)).toHaveLength(7);
  const whole = JSON.parse((await send(CHAT, 'tokens=50')).text) as {
    usage: { completion_tokens: number };
  };
  expect(whole.usage.completion_tokens).toBe(50);
});

test('status and retry-after override what an error would have', async () => {
  const seen = await send(CHAT, 'error=quota,status=402,retry-after=2');
  expect(seen.status).toBe(402);
  expect(seen.headers['retry-after']).toBe('2');
  expect(JSON.parse(seen.text)).toMatchObject({ error: { code: 'insufficient_quota' } });
});

describe.each(STREAMS)('a stream of %s', (_name, call) => {
  test('close=mid-stream cuts the connection after a part of the events', async () => {
    const seen = await send(call, 'close=mid-stream');
    expect(seen.cut).toBe(true);
    expect(seen.text).toContain('data: ');
  });

  test('stream-error=1 carries an error after the 200 and no ordinary end', async () => {
    const { status, text } = await send(call, 'stream-error=1');
    expect(status).toBe(200);
    expect(text).toMatch(/"(?:error|type)":\s*(?:"error"|\{)/);
    expect(text).not.toMatch(/\[DONE\]|message_stop|response\.completed|"finishReason"/);
  });

  test('malformed=1 and garbage=1 put what cannot be parsed between the events', async () => {
    expect((await send(call, 'malformed=1')).text).toContain('{"broken": \n\n');
    expect((await send(call, 'garbage=1')).bytes.includes(Buffer.from('fffe00', 'hex'))).toBe(true);
  });

  test('split=1 and gzip=1 change the way of the bytes, not the bytes', async () => {
    const [ordinary, split, gzip] = [
      await send(call),
      await send(call, 'split=1'),
      await send(call, 'gzip=1'),
    ];
    expect(split.text).toBe(ordinary.text);
    expect(gzip.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(gzip.bytes).toString()).toBe(ordinary.text);
  });

  test('echo=TEXT is in the answer, whole; without it nothing of the prompt is', async () => {
    expect((await send(call, 'echo=canary-4711')).text).toContain('canary-4711');
    expect((await send(call)).text).not.toContain('something kind');
  });

  test('no-usage=1 leaves the usage out', async () => {
    const { text } = await send(call, 'no-usage=1');
    expect(text).not.toMatch(/usage(?:Metadata)?":\s*\{/);
  });

  test('big-event puts that many bytes into one event', async () => {
    const { text } = await send(
      {
        ...call,
        body: { ...call.body, ...(call === MESSAGES_STREAM ? { max_tokens: 100_000 } : {}) },
      },
      'big-event=300000,tokens=3',
    );
    const longest = Math.max(...text.split('\n').map((line) => line.length));
    expect(longest).toBeGreaterThan(300_000);
  });
});

test('close=before-headers ends the connection without an answer', async () => {
  await expect(send(CHAT, 'close=before-headers')).rejects.toThrow(/socket hang up|ECONNRESET/);
  expect(sandbox.stats().abortedConnections).toBe(0);
});

test('stall holds an answer back until the caller leaves, and the sandbox sees the caller leave', async () => {
  const gone = new AbortController();
  const stalled = send(CHAT, 'stall=before-headers', gone.signal);
  await awaitTrace(sandbox.origin, (trace) => !trace.finished);
  gone.abort();
  await expect(stalled).rejects.toThrow(/abort/);
  const trace = await awaitTrace(sandbox.origin, (it) => it.finished);
  expect(trace).toMatchObject({ aborted: true, framesSent: 0 });
});

test('stall=mid-stream sends half and then nothing', async () => {
  const gone = new AbortController();
  const stalled = send(CHAT_STREAM, 'stall=mid-stream,chunks=10,tokens=10', gone.signal);
  await awaitTrace(sandbox.origin, (trace) => trace.framesSent > 3);
  gone.abort();
  expect((await stalled).cut).toBe(true);
  expect((await awaitTrace(sandbox.origin, (it) => it.finished)).aborted).toBe(true);
});

test('set-cookie, redirect, malformed and garbage do what they say to a whole answer', async () => {
  expect((await send(CHAT, 'set-cookie=1')).headers['set-cookie']).toHaveLength(1);
  const redirected = await send(CHAT, 'redirect=1');
  expect(redirected.status).toBe(307);
  expect(redirected.headers.location).toBe('/__sandbox/redirected');
  const malformed = await send(CHAT, 'malformed=1');
  expect(malformed.status).toBe(200);
  expect(() => JSON.parse(malformed.text) as unknown).toThrow(SyntaxError);
  const garbage = await send(CHAT, 'garbage=1');
  expect(() => JSON.parse(garbage.text) as unknown).toThrow(SyntaxError);
});

test('the same request has the same answer, also when a stream asks for usage on the way', async () => {
  expect((await send(CHAT)).text).toBe((await send(CHAT)).text);
  const idOf = (text: string): string | undefined => /"id":"([^"]+)"/.exec(text)?.[1];
  const asking = { ...CHAT_STREAM.body, stream_options: { include_usage: true } };
  const [plain, injected] = [await send(CHAT_STREAM), await send({ ...CHAT_STREAM, body: asking })];
  expect(idOf(plain.text)).toBe(idOf(injected.text));
});

test('the counts know routes, names of headers and the digest of the body, and no content', async () => {
  await send(CHAT);
  await send(GENERATE_STREAM);
  const stats = sandbox.stats();
  expect(stats.requestsByRoute).toEqual({
    '/openai/v1/chat/completions': 1,
    '/google/v1/models/{model}:streamGenerateContent': 1,
  });
  expect(stats.recent[0]).toMatchObject({
    model: 'gpt-4o',
    bodyBytes: JSON.stringify(CHAT.body).length,
    headerNames: expect.arrayContaining(['authorization', 'content-type']),
  });
  const all = JSON.stringify(stats);
  expect(all).not.toContain('something kind');
  expect(all).not.toContain(SANDBOX_KEY);
});
