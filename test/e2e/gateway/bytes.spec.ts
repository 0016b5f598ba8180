import http from 'node:http';
import { gzipSync } from 'node:zlib';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';

let upstream: CapturingUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  gateway = await startGateway({
    env: {
      OPENAI_BASE_URL: `${upstream.origin}/v1`,
      ANTHROPIC_BASE_URL: upstream.origin,
      GOOGLE_BASE_URL: upstream.origin,
      GROQ_BASE_URL: upstream.origin,
      OPENAI_API_KEY: 'sk-real-openai-key-0123456789',
      ANTHROPIC_API_KEY: 'sk-ant-real-key-0123456789',
      GEMINI_API_KEY: 'AIza-real-key-0123456789',
      GROQ_API_KEY: 'gsk-real-key-0123456789',
    },
  });
});

afterAll(async () => {
  await gateway.stop();
  await upstream.close();
});

beforeEach(() => {
  upstream.captured.length = 0;
});

async function call(path: string, body: string | Buffer, headers: Record<string, string> = {}) {
  const answer = await request(gateway.origin + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${gateway.projectKey}`,
      ...headers,
    },
    body,
  });
  return { ...answer, bytes: Buffer.from(await answer.body.arrayBuffer()) };
}

/** undici writes `connection` itself; Node's own client sends what it is told. */
function postRaw(url: string, body: string, headers: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = http.request(url, { method: 'POST', headers }, (res) =>
      res.resume().once('end', resolve),
    );
    sent.once('error', reject).end(body);
  });
}

const BODIES: readonly [name: string, path: string, body: string][] = [
  [
    'odd spacing and key order',
    '/v1/chat/completions',
    '{ "messages" :[ ], "model":\t"gpt-5.4" , "n":1 }\n',
  ],
  [
    'unicode escapes',
    '/openai/v1/chat/completions',
    '{"model":"gpt\\u002d5.4","messages":[{"content":"\\ud83d\\ude82 \\/ é"}]}',
  ],
  [
    'duplicate and nested model keys',
    '/v1/chat/completions',
    '{"model":"a","x":{"model":"b"},"model":"gpt-5.4","messages":[]}',
  ],
  [
    'a number that floats cannot hold',
    '/v1/responses',
    '{"model":"gpt-5.4","input":"x","seed":12345678901234567890.10}',
  ],
  [
    'a 1 MB body',
    '/v1/responses',
    JSON.stringify({ model: 'gpt-5.4', input: 'é"\\'.repeat(250_000) }),
  ],
  [
    'Anthropic messages',
    '/anthropic/v1/messages',
    '{"model":"claude-sonnet-5-5","max_tokens":5,"stream":true,"messages":[]}',
  ],
  [
    'Anthropic messages at the root',
    '/v1/messages',
    '{"model":"claude-sonnet-5-5","max_tokens":5,"messages":[]}',
  ],
  [
    'Google',
    '/google/v1beta/models/gemini-4-argon:streamGenerateContent?alt=sse',
    '{"contents":[{"parts":[{"text":"x"}]}]}',
  ],
  [
    'a Groq stream',
    '/groq/openai/v1/chat/completions',
    '{"model":"openai/gpt-oss-20b","stream":true,"messages":[]}',
  ],
  [
    "a stream whose options are the client's own",
    '/v1/chat/completions',
    '{"model":"gpt-5.4","stream":true,"stream_options":{"include_usage":false},"messages":[]}',
  ],
];

describe('in observation the provider gets', () => {
  it.each(BODIES)('exactly the bytes of a body with %s', async (_name, path, body) => {
    const answer = await call(path, body);
    expect(answer.statusCode).toBe(200);
    expect(upstream.captured).toHaveLength(1);
    expect(upstream.captured[0]!.body.toString()).toBe(body);
  });

  it('a streamed chat with the request for usage added, and not another byte changed', async () => {
    const body =
      '{ "model":"gpt-5.4","stream":true,\n "messages":[{"role":"user","content":"hé"}] }';
    await call('/v1/chat/completions', body);
    const [seen] = upstream.captured;
    const added = ',"stream_options":{"include_usage":true}';
    expect(seen!.body.toString()).toContain(added);
    expect(seen!.body.toString().replace(added, '')).toBe(body);
    expect(seen!.headers['accept-encoding']).toBe('identity');
    expect(seen!.headers['content-length']).toBe(String(Buffer.byteLength(body) + added.length));
  });

  it('a compressed body as it came', async () => {
    const packed = gzipSync('{"model":"gpt-5.4","messages":[]}');
    await call('/v1/chat/completions', packed, { 'content-encoding': 'gzip' });
    expect(upstream.captured[0]!.body).toEqual(packed);
    expect(upstream.captured[0]!.headers['content-encoding']).toBe('gzip');
  });

  it('the headers that are its own, its own key, and none of what is between client and Shunt', async () => {
    await postRaw(
      `${gateway.origin}/v1/chat/completions?x=1&y=a%20b`,
      '{"model":"gpt-5.4","messages":[]}',
      {
        authorization: `Bearer ${gateway.projectKey}`,
        'OpenAI-Organization': 'org-1',
        'Helicone-Session-Id': 's1',
        'X-Stainless-Retry-Count': '1',
        cookie: 'a=b',
        forwarded: 'for=1.2.3.4',
        'x-forwarded-for': '1.2.3.4',
        'x-shunt-session-id': 's1',
        'x-shunt-tags': 'a,b',
        connection: 'keep-alive, x-hop',
        'x-hop': 'dropped',
      },
    );
    const { headers, url } = upstream.captured[0]!;
    expect(url).toBe('/v1/chat/completions?x=1&y=a%20b');
    expect(headers).toMatchObject({
      authorization: 'Bearer sk-real-openai-key-0123456789',
      'openai-organization': 'org-1',
      'helicone-session-id': 's1',
      'x-stainless-retry-count': '1',
    });
    for (const name of [
      'cookie',
      'forwarded',
      'x-forwarded-for',
      'x-shunt-session-id',
      'x-shunt-tags',
      'x-hop',
    ]) {
      expect(headers).not.toHaveProperty(name);
    }
    expect(JSON.stringify(upstream.captured[0]!.rawHeaders)).not.toContain(gateway.projectKey);
  });

  it.each([
    [
      'Anthropic, as SDK 1.x sends it',
      '/anthropic/v1/messages',
      'authorization',
      'Bearer sk-ant-real-key-0123456789',
    ],
    [
      'Anthropic, as x-api-key',
      '/anthropic/v1/messages',
      'x-api-key',
      'sk-ant-real-key-0123456789',
    ],
    [
      'Google',
      '/google/v1/models/gemini-4-argon:generateContent',
      'x-goog-api-key',
      'AIza-real-key-0123456789',
    ],
    ['Groq', '/groq/openai/v1/chat/completions', 'authorization', 'Bearer gsk-real-key-0123456789'],
    [
      "Google's OpenAI-compatible paths",
      '/google/v1beta/openai/chat/completions',
      'authorization',
      'Bearer AIza-real-key-0123456789',
    ],
  ])('the key of %s where its SDK puts it', async (_name, path, header, expected) => {
    const sent = header === 'authorization' ? `Bearer ${gateway.projectKey}` : gateway.projectKey;
    await request(gateway.origin + path, {
      method: 'POST',
      headers: { [header]: sent },
      body: '{"model":"m"}',
    }).then(({ body }) => body.dump());
    expect(upstream.captured[0]!.headers[header]).toBe(expected);
  });

  it('a Google call without the key that came in its query', async () => {
    for (const name of ['key', 'k%65y']) {
      const url = `${gateway.origin}/google/v1beta/models/gemini-4-argon:generateContent?alt=json&${name}=${gateway.projectKey}`;
      await request(url, { method: 'POST', body: '{"contents":[]}' }).then(({ body }) =>
        body.dump(),
      );
      expect(upstream.captured.at(-1)!.url).not.toContain(gateway.projectKey);
    }
    expect(upstream.captured[0]!.url).toBe(
      '/v1beta/models/gemini-4-argon:generateContent?alt=json',
    );
    expect(upstream.captured[0]!.headers['x-goog-api-key']).toBe('AIza-real-key-0123456789');
  });
});

describe('the client gets', () => {
  it("the provider's status, headers and bytes, less cookies and hop-by-hop headers", async () => {
    const sent = Buffer.from('{ "error": {"message":"é", "code":"rate_limit_exceeded"} }\n');
    upstream.answerWith((res) => {
      res.writeHead(429, [
        'Content-Type', 'application/json', 'Retry-After', '7', 'X-Request-Id', 'req_1', 'Set-Cookie', 'a=b',
        'Connection', 'keep-alive, X-Hop', 'X-Hop', '1', 'X-RateLimit-Reset', '6m0s', 'Content-Length', String(sent.length),
      ]); // prettier-ignore
      res.end(sent);
    });
    const answer = await call('/v1/chat/completions', '{"model":"gpt-5.4","messages":[]}');
    expect(answer.statusCode).toBe(429);
    expect(answer.bytes).toEqual(sent);
    expect(answer.headers).toMatchObject({
      'retry-after': '7',
      'x-request-id': 'req_1',
      'x-ratelimit-reset': '6m0s',
    });
    expect(answer.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining('sandbox') as string,
      'x-shunt-decision': 'passthrough',
      'x-shunt-mode': 'observing',
      'x-shunt-requested-model': 'gpt-5.4',
      'x-shunt-served-model': 'gpt-5.4',
    });
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect(answer.headers).not.toHaveProperty('x-hop');
    const record = await gateway.record(String(answer.headers['x-shunt-request-id']));
    expect(record).toMatchObject({
      outcome: 'upstream_error',
      status_code: 429,
      failure_class: 'rate_limit',
    });
  });

  it("no header that would speak for Shunt's own origin", async () => {
    upstream.answerWith((res) => {
      const spoken = {
        'strict-transport-security': 'max-age=9',
        'alt-svc': 'h3=":443"',
        'access-control-allow-origin': '*',
      };
      res.writeHead(200, { ...spoken, 'content-type': 'application/json' }).end('{}');
    });
    const { headers } = await call('/v1/chat/completions', '{"model":"gpt-5.4","messages":[]}');
    for (const name of ['strict-transport-security', 'alt-svc', 'access-control-allow-origin']) {
      expect(headers).not.toHaveProperty(name);
    }
  });

  it('a compressed answer as it is, and it is metered', async () => {
    const value = {
      model: 'gpt-5.4',
      choices: [],
      usage: { prompt_tokens: 1_000, completion_tokens: 10, total_tokens: 1_010 },
    };
    const packed = gzipSync(JSON.stringify(value));
    upstream.answerWith((res) => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      res.end(packed);
    });
    const answer = await call('/v1/chat/completions', '{"model":"gpt-5.4","messages":[]}', {
      'accept-encoding': 'gzip',
    });
    expect(upstream.captured[0]!.headers['accept-encoding']).toBe('gzip');
    expect(answer.bytes).toEqual(packed);
    expect(answer.headers['content-encoding']).toBe('gzip');
    const record = await gateway.record(String(answer.headers['x-shunt-request-id']));
    // 1,000 x 2.50 + 10 x 15.00 dollars per million tokens
    expect(record).toMatchObject({ metering: 'reported', cost_nano_usd: '2650000' });
  });

  it('no redirect followed on its behalf', async () => {
    upstream.answerWith((res) =>
      res.writeHead(307, { location: 'http://127.0.0.1:1/elsewhere' }).end(),
    );
    const answer = await call('/v1/chat/completions', '{"model":"gpt-5.4","messages":[]}');
    expect(answer.statusCode).toBe(307);
    expect(upstream.captured).toHaveLength(1);
  });

  it('a stream without what the request for usage added to it, in chunks cut anywhere', async () => {
    const delta = (text: string, usage: string) =>
      `data: {"choices":[{"delta":{"content":"${text}"}}]${usage}}\n\n`;
    const usage = '"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}';
    const texts = ['a', 'é', '🚂 \\"usage\\":null'];
    const sent = `${texts.map((text) => delta(text, ',"usage":null')).join('')}data: {"choices":[],${usage}}\n\ndata: [DONE]\n\n`;
    upstream.answerWith((res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const byte of Buffer.from(sent)) res.write(Buffer.of(byte));
      res.end();
    });
    const answer = await call(
      '/v1/chat/completions',
      '{"model":"gpt-5.4","stream":true,"messages":[]}',
    );
    expect(answer.bytes.toString()).toBe(
      `${texts.map((text) => delta(text, '')).join('')}data: [DONE]\n\n`,
    );
    const record = await gateway.record(String(answer.headers['x-shunt-request-id']));
    expect(record).toMatchObject({
      streamed: true,
      outcome: 'completed',
      metering: 'reported',
      usage: { inputTokens: 9, outputTokens: 2 },
    });
  });

  it('a 10 MB event whole', async () => {
    const event = `data: {"choices":[{"delta":{"content":"${'x'.repeat(10 * 1024 * 1024)}"}}]}\n\n`;
    upstream.answerWith((res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.end(`${event}data: [DONE]\n\n`);
    });
    const answer = await call(
      '/v1/chat/completions',
      '{"model":"gpt-5.4","stream":true,"messages":[]}',
    );
    expect(answer.bytes.length).toBe(event.length + 'data: [DONE]\n\n'.length);
    expect(answer.bytes.subarray(0, event.length).equals(Buffer.from(event))).toBe(true);
  });
});

describe('a model name that a client made up', () => {
  it('cannot end a header line, and is bounded', async () => {
    upstream.answerWith((res) =>
      res.writeHead(200, { 'content-type': 'application/json' }).end('{}'),
    );
    const answer = await call(
      '/v1/chat/completions',
      JSON.stringify({ model: 'x\r\nset-cookie: a=b', messages: [] }),
    );
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect(answer.headers['x-shunt-requested-model']).toBe('x%0D%0Aset-cookie%3A%20a%3Db');
    const long = await call(
      '/v1/chat/completions',
      JSON.stringify({ model: 'm'.repeat(100_000), messages: [] }),
    );
    expect(String(long.headers['x-shunt-requested-model']).length).toBeLessThanOrEqual(200);
  });
});
