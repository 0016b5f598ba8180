import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  json,
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
      GROQ_BASE_URL: upstream.origin,
      OPENAI_API_KEY: 'sk-openai',
      ANTHROPIC_API_KEY: 'sk-ant',
      GROQ_API_KEY: 'gsk',
    },
  });
});

afterAll(async () => {
  await gateway.stop();
  await upstream.close();
});

beforeEach(() => {
  upstream.answerWith((res) => json(res, {}));
});

async function call(path: string, body: unknown) {
  const answer = await request(gateway.origin + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.projectKey}` },
    body: JSON.stringify(body),
  });
  const text = await answer.body.text().catch(() => 'cut');
  return { id: String(answer.headers['x-shunt-request-id']), status: answer.statusCode, text };
}

/** The record once its estimate, if one is under way, has arrived. */
async function settled(id: string, metering: string) {
  await expect
    .poll(async () => (await gateway.record(id)).metering, { timeout: 15_000 })
    .toBe(metering);
  return gateway.record(id);
}

const event = (name: string, data: object) =>
  `event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`;
const DELTA = event('content_block_delta', {
  delta: { type: 'text_delta', text: ' one two three four' },
});
const START = event('message_start', {
  message: { model: 'claude-sonnet-5-5', usage: { input_tokens: 1_000, output_tokens: 1 } },
});

describe('a stream that ends in an error', () => {
  it('is an estimate and no report: the placeholder of its start is not what was used', async () => {
    const error = event('error', { error: { type: 'overloaded_error', message: 'x' } });
    upstream.answerWith((res) =>
      res
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end(START + DELTA.repeat(50) + error),
    );
    const { id } = await call('/v1/messages', {
      model: 'claude-sonnet-5-5',
      stream: true,
      max_tokens: 9,
    });
    const record = await settled(id, 'estimated');
    await expect.poll(async () => (await gateway.record(id)).revision, { timeout: 15_000 }).toBe(2);
    expect(record).toMatchObject({ outcome: 'upstream_error', failure_class: 'transient' });
    const { usage } = await gateway.record(id);
    expect(usage).toMatchObject({ inputTokens: 1_000 });
    expect(usage!['outputTokens']).toBeGreaterThan(150);
  });

  it('keeps the usage that follows the error', async () => {
    const failed = event('response.failed', {
      response: {
        model: 'gpt-5.4',
        error: { code: 'server_error' },
        usage: { input_tokens: 7, output_tokens: 3, total_tokens: 10 },
      },
    });
    upstream.answerWith((res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(event('error', { code: 'server_error', message: 'x' }), () =>
        setImmediate(() => res.end(failed)),
      );
    });
    const { id } = await call('/v1/responses', { model: 'gpt-5.4', input: 'x', stream: true });
    expect(await gateway.record(id)).toMatchObject({
      metering: 'reported',
      usage: { inputTokens: 7, outputTokens: 3 },
    });
  });

  it('is known as a rate limit by its code, also where Groq hides it', async () => {
    const groq = `data: ${JSON.stringify({ x_groq: { error: { code: 'rate_limit_exceeded' } }, choices: [] })}\n\n`;
    upstream.answerWith((res) =>
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end(groq),
    );
    const { id } = await call('/groq/openai/v1/chat/completions', {
      model: 'openai/gpt-oss-20b',
      stream: true,
    });
    expect(await gateway.record(id)).toMatchObject({
      outcome: 'upstream_error',
      failure_class: 'rate_limit',
    });
  });
});

describe('a call that the provider refused', () => {
  it('has no cost made up for it, even where the refusal is cut short', async () => {
    upstream.answerWith((res) => {
      res.writeHead(500, { 'content-type': 'application/json', 'content-length': 100 });
      res.write('{"error":{"code":"server', () => res.destroy());
    });
    const { id } = await call('/v1/chat/completions', {
      model: 'gpt-5.4',
      messages: [{ role: 'user', content: 'x' }],
    });
    expect(await settled(id, 'unmetered')).toMatchObject({
      unmetered_reason: 'failed',
      cost_nano_usd: null,
    });
  });

  it('has the usage that its refusal states', async () => {
    const usage = { prompt_tokens: 40, completion_tokens: 2, total_tokens: 42 };
    upstream.answerWith((res) => json(res, { error: { code: 'tool_use_failed' }, usage }, 400));
    const { id } = await call('/groq/openai/v1/chat/completions', {
      model: 'openai/gpt-oss-20b',
      messages: [],
    });
    expect(await gateway.record(id)).toMatchObject({
      status_code: 400,
      metering: 'reported',
      usage: { inputTokens: 40 },
    });
  });
});

describe('a call that was never sent', () => {
  it('has no cost made up for it', async () => {
    const unreachable = await startGateway({
      env: { OPENAI_BASE_URL: 'http://127.0.0.1:1/v1', OPENAI_API_KEY: 'sk' },
    });
    try {
      const answer = await request(`${unreachable.origin}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${unreachable.projectKey}` },
        body: '{"model":"gpt-5.4","messages":[]}',
      });
      expect(await answer.body.json()).toMatchObject({ error: { code: 'upstream_unreachable' } });
      const record = await unreachable.record(String(answer.headers['x-shunt-request-id']));
      expect(record).toMatchObject({
        outcome: 'upstream_failed',
        metering: 'unmetered',
        unmetered_reason: 'failed',
      });
    } finally {
      await unreachable.stop();
    }
  });
});

describe('a large answer', () => {
  it('of 17 MB of embeddings is metered like a small one', async () => {
    const data = Array.from({ length: 1_040 }, (_, index) => ({
      object: 'embedding',
      index,
      embedding: 'A'.repeat(16_384),
    }));
    const usage = { prompt_tokens: 5_000, total_tokens: 5_000 };
    upstream.answerWith((res) =>
      json(res, { object: 'list', data, model: 'text-embedding-3-large', usage }),
    );
    const { id } = await call('/v1/embeddings', { model: 'text-embedding-3-large', input: 'x' });
    // 5,000 x 0.13 dollars per million tokens
    expect(await gateway.record(id)).toMatchObject({
      metering: 'reported',
      cost_nano_usd: '650000',
    });
  });
});

describe('what is kept of a call', () => {
  it('is a name where it looks like one: a prompt in the place of a model goes nowhere', async () => {
    const { id } = await call('/v1/chat/completions', {
      model: 'Summarize: the patient has diabetes',
      messages: [],
    });
    expect(await gateway.record(id)).toMatchObject({ requested_model: null });
  });

  it('of a stored prompt, which names no model, is its record', async () => {
    const usage = { input_tokens: 5, output_tokens: 2, total_tokens: 7 };
    upstream.answerWith((res) =>
      json(res, { id: 'r', object: 'response', model: 'gpt-5.4', usage }),
    );
    const { id, status } = await call('/v1/responses', { prompt: { id: 'pmpt_1' } });
    expect(status).toBe(200);
    expect(await gateway.record(id)).toMatchObject({
      requested_model: null,
      served_model: 'gpt-5.4',
      pricing: 'priced',
    });
  });
});
