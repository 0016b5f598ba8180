import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { LeakHunt } from '../../support/leak-hunt.js';
import { parseExposition, type Exposition } from './prometheus-text.js';

const TOKEN = 'metrics-token-of-this-test';
const MODEL = 'a-model-that-the-caller-names';
const CUSTOMER = 'a-customer-of-the-caller';
const HELLO = '{"model":"gpt-5.4","messages":[{"role":"user","content":"hello"}]}';
const PROMPT = 'a-prompt-of-the-caller-here';

/** Every label there is. One that is not listed fails: whoever adds one makes sure that its values are a closed set. */
const LABELS: Readonly<Record<string, RegExp>> = {
  provider: /^(?:openai|anthropic|google|groq)$/,
  outcome:
    /^(?:completed|refused|upstream_error|upstream_failed|client_aborted|truncated|succeeded|failed)$/,
  metering: /^(?:reported|estimated|unmetered|not_applicable)$/,
  code: /^[a-z_]{4,40}$/,
  kind: /^[a-z_]{2,20}$/,
  end: /^(?:sent|failed|unconfirmed|undeliverable|skipped)$/,
  job: /^[a-z_-]{2,30}$/,
  result: /^[a-z_]{2,20}$/,
  reason: /^[a-z_]{2,40}$/,
  failure: /^[a-z_]{2,30}$/,
  to: /^(?:open|half_open|closed)$/,
  environment: /^(?:live|sandbox)$/,
  // Of the catalogue; any other is `other`, which the hunt below sees to.
  model: /^[\w./:-]{2,100}$/,
  le: /^(?:\+Inf|[0-9.e-]+)$/,
  // Of the process itself, by prom-client.
  quantile: /^[0-9.]+$/,
  space: /^[a-z_]+$/,
  type: /^[A-Za-z]+$/,
  version: /^v[0-9.]+$/,
  major: /^\d+$/,
  minor: /^\d+$/,
  patch: /^\d+$/,
};

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({ env: { SHUNT_METRICS_TOKEN: TOKEN } });
});
afterAll(() => gateway?.stop());

const metrics = (headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  fetch(`${gateway.origin}/metrics`, { headers });

async function call(path: string, body: string, headers: Readonly<Record<string, string>> = {}) {
  const answer = await fetch(gateway.origin + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.projectKey}`, ...headers },
    body,
  });
  await answer.arrayBuffer();
  return answer.headers.get('x-shunt-request-id') ?? '';
}

const isSame = (one: object, other: object): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

async function exposition(): Promise<Exposition> {
  return parseExposition(await (await metrics()).text());
}

test('metrics parse as the Prometheus text format, and histograms add up', async () => {
  await call('/v1/chat/completions', HELLO);
  await gateway.records();
  const answer = await metrics();
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const { types, samples } = parseExposition(await answer.text());
  expect([...types.keys()]).toEqual(
    expect.arrayContaining(['shunt_calls_total', 'shunt_records_written_total']),
  );
  for (const [name, type] of types) {
    if (type === 'counter') expect(name).toMatch(/_total$/);
    if (type !== 'histogram') continue;
    const counts = samples.filter((sample) => sample.name === `${name}_count`);
    for (const { labels, value } of counts) {
      const buckets = samples.filter((sample) => {
        const { le, ...rest } = sample.labels;
        return sample.name === `${name}_bucket` && le !== undefined && isSame(rest, labels);
      });
      const values = buckets.map((bucket) => bucket.value);
      expect(values).toEqual(values.toSorted((x, y) => x - y));
      expect(buckets.at(-1)).toMatchObject({ labels: { le: '+Inf' }, value });
    }
  }
});

test('calls are counted by provider and outcome, and errors by their code', async () => {
  const counted = (all: Exposition, name: string, labels: object): number =>
    all.samples.find((sample) => {
      return sample.name === name && JSON.stringify(sample.labels) === JSON.stringify(labels);
    })?.value ?? 0;
  const before = await exposition();
  await call('/v1/chat/completions', HELLO);
  await call('/anthropic/v1/messages', '{"model":');
  const after = await exposition();
  for (const [name, labels] of [
    ['shunt_calls_total', { provider: 'openai', outcome: 'completed' }],
    ['shunt_calls_total', { provider: 'anthropic', outcome: 'refused' }],
    ['shunt_errors_total', { provider: 'anthropic', code: 'invalid_json' }],
  ] as const) {
    expect(counted(after, name, labels) - counted(before, name, labels)).toBe(1);
  }
});

test('no id, name, key or content is a label: every label is known, and its values are a closed set', async () => {
  const headers = { 'x-shunt-customer-id': CUSTOMER, 'x-shunt-tags': CUSTOMER };
  const body = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: PROMPT }] });
  const requestIds = [
    await call('/v1/chat/completions', body, headers),
    await call(`/google/v1beta/models/${MODEL}:generateContent`, body, headers),
    await call(`/openai/v1/${MODEL}`, body, headers),
    await call(`/openai/v1/chat/completions?${MODEL}`, `{"${PROMPT}":`, headers),
    await call('/v1/chat/completions', body, { 'x-sandbox': `status=429,echo=${PROMPT}` }),
    await call('/v1/chat/completions', body, { authorization: `Bearer ${PROMPT}` }),
  ];
  await gateway.records();
  const found = await gateway.app.engine.principals.find(gateway.projectKey);
  if (found.kind !== 'known') throw new Error(found.kind);
  const { orgId, projectId, apiKeyId } = found.principal;
  const needles = [MODEL, CUSTOMER, PROMPT, TOKEN, gateway.projectKey, orgId, projectId, apiKeyId];
  const hunt = new LeakHunt([...needles, ...requestIds].map((text) => ({ name: text, text })));
  hunt.text('the metrics', await (await metrics()).text());
  expect(hunt.hits).toEqual([]);
  const { samples } = await exposition();
  const pairs = samples.flatMap(({ labels }) => Object.entries(labels));
  const strange = pairs.filter(([name, value]) => LABELS[name]?.test(value) !== true);
  expect(strange).toEqual([]);
  expect(pairs.length).toBeGreaterThan(20);
});

test('off loopback metrics need the token; what comes through a proxy comes from off loopback', async () => {
  expect((await metrics()).status).toBe(200);
  const proxied: Record<string, string>[] = [
    { 'x-forwarded-for': '203.0.113.9' },
    { 'x-forwarded-for': '127.0.0.1' },
    { forwarded: 'for=127.0.0.1' },
    { 'x-real-ip': '203.0.113.9' },
    { 'x-forwarded-proto': 'https' },
    { via: '1.1 proxy' },
  ];
  for (const headers of proxied) {
    const refused = await metrics(headers);
    expect(refused.status).toBe(401);
    expect(await refused.text()).not.toMatch(/shunt_|process_/);
    const bearer = { ...headers, authorization: `Bearer ${TOKEN}` };
    expect((await metrics(bearer)).status).toBe(200);
    for (const wrong of [`${TOKEN}x`, TOKEN.slice(1), '', gateway.projectKey]) {
      const answer = await metrics({ ...headers, authorization: `Bearer ${wrong}` });
      expect(answer.status).toBe(401);
    }
  }
  expect((await metrics({ authorization: 'Bearer wrong' })).status).toBe(401);
});
