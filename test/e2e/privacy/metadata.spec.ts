import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  json,
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { call, type Answered } from './call.js';

// What a caller says about a call (model, customer, tags) is kept by design: within bounds, and as data only.

const NAME_CHARS_MAX = 200;
const HEADER_CHARS_MAX = 2_000;

let upstream: CapturingUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  gateway = await startGateway({
    env: {
      OPENAI_BASE_URL: `${upstream.origin}/v1`,
      OPENAI_API_KEY: 'sk-openai',
      GOOGLE_BASE_URL: upstream.origin,
      GEMINI_API_KEY: 'AIza-google',
      LOG_LEVEL: 'trace',
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

function ask(body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
  return call(gateway.origin, {
    path: '/v1/chat/completions',
    headers: {
      authorization: `Bearer ${gateway.projectKey}`,
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(body),
  });
}

const recordOf = ({ requestId }: Answered) => gateway.record(requestId ?? '');

// oxlint-disable-next-line no-control-regex -- control characters are what must not be there
const CONTROL = /[\u0000-\u001f\u007f]/;

const NAMES: readonly (readonly [name: string, model: string])[] = [
  ['a line end and a header', 'gpt-5.4\r\nx-injected: yes\r\n\r\n<html>'],
  ['a line end and a log line', 'gpt-5.4\n{"level":60,"msg":"injected"}'],
  ['a NUL', 'gpt-5.4\u0000x'],
  [
    'every control character',
    Array.from({ length: 32 }, (_, i) => String.fromCharCode(i)).join(''),
  ],
  ['10,000 characters', 'm'.repeat(10_000)],
  ['10,000 characters that are not ASCII', 'ö'.repeat(10_000)],
  ['half of a character', 'gpt\ud800'],
  ['a character across the bound', `${'m'.repeat(NAME_CHARS_MAX - 1)}😀`],
  ['line separators', 'gpt\u2028\u2029\u0085x'],
  ['quotes and braces', '"}],"x":{"'],
  ['SQL', "'; DROP TABLE request_log; --"],
];

describe('a model name with', () => {
  test.each(NAMES)(
    '%s is bounded, and injects neither header nor log line nor column',
    async (_name, model) => {
      const before = gateway.logs().length;
      const answered = await ask({ model, messages: [] });
      expect(answered.status).toBe(200);
      expect(answered.headers).not.toHaveProperty('x-injected');
      for (const name of ['x-shunt-requested-model', 'x-shunt-served-model']) {
        const value = String(answered.headers[name]);
        expect(value).toMatch(/^[\x21-\x7e]+$/);
        expect(value.length).toBeLessThanOrEqual(HEADER_CHARS_MAX);
      }
      const record = await recordOf(answered);
      // What does not look like a name is left out.
      const kept = record.requested_model ?? '';
      expect(kept.length).toBeLessThanOrEqual(NAME_CHARS_MAX);
      expect(kept).not.toMatch(CONTROL);
      expect(record).toMatchObject({ outcome: 'completed', pricing: 'not_applicable' });
      // Forwarded as it came: what a name may be is the provider's to say.
      expect(JSON.parse(upstream.captured.at(-1)!.body.toString())).toMatchObject({ model });
      const logged = gateway.logs().slice(before);
      expect(logged).toContain(answered.requestId);
      for (const line of logged.trim().split('\n')) {
        expect(JSON.parse(line)).toMatchObject({ level: expect.any(Number) });
        expect(line).not.toContain('injected');
      }
    },
  );

  test.each(['%0d%0ax-injected:%20yes', '%00', 'm%E2%80%A8', 'm%20x'])(
    '%s in a path is refused, or forwarded as it came',
    async (model) => {
      const answered = await call(gateway.origin, {
        path: `/google/v1beta/models/${model}:generateContent`,
        headers: { 'x-goog-api-key': gateway.projectKey },
        body: '{"contents":[]}',
      });
      expect([200, 400]).toContain(answered.status);
      expect(answered.headers).not.toHaveProperty('x-injected');
      if (answered.status === 200) expect(upstream.captured.at(-1)?.url).toContain(model);
    },
  );
});

test("names of a provider's answer are bounded and free of control characters too", async () => {
  const long = `m\r\n\u0000${'x'.repeat(180)}`;
  upstream.answerWith((res) => {
    res.setHeader('x-request-id', 'r'.repeat(5_000));
    json(res, {
      model: long,
      service_tier: 'x\u0000\n',
      choices: [],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    });
  });
  const record = await recordOf(await ask({ model: 'gpt-5.4', messages: [] }));
  expect(record).toMatchObject({ metering: 'reported', pricing: 'unpriceable' });
  for (const text of [record.served_model, record.upstream_request_id, record.service_tier]) {
    expect((text ?? '').length).toBeLessThanOrEqual(NAME_CHARS_MAX);
    expect(text ?? '').not.toMatch(CONTROL);
  }
});

test('customer and tags are bounded in number and length, and free of control characters', async () => {
  const pairs = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [`k${i}\n`, `v\r\n\u0000${'x'.repeat(10)}`]),
  );
  const answered = await ask(
    { model: 'gpt-5.4', messages: [] },
    {
      'x-shunt-customer-id': 'c'.repeat(2_000),
      'x-shunt-tags': Array.from({ length: 100 }, (_, i) => `${i}${'t'.repeat(100)}`).join(','),
      'x-portkey-metadata': JSON.stringify({ _user: 'someone\r\nelse', ...pairs }),
    },
  );
  const { customer_id: customer, tags } = await recordOf(answered);
  expect(customer).toHaveLength(128);
  expect(tags.length).toBeGreaterThan(0);
  expect(tags.length).toBeLessThanOrEqual(16);
  for (const tag of tags) {
    expect(tag.length).toBeLessThanOrEqual(64);
    expect(tag).not.toMatch(CONTROL);
  }
  const others = await ask(
    { model: 'gpt-5.4', messages: [] },
    { 'x-portkey-metadata': JSON.stringify({ _user: 'some\r\none\u0000', a: 'x\ny' }) },
  );
  expect(await recordOf(others)).toMatchObject({ customer_id: 'someone', tags: ['a:xy'] });
});
