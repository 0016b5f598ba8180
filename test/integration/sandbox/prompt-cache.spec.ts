import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startSandbox, type Sandbox } from '../../../src/sandbox/server.js';

const MINUTE_MS = 60_000;
let nowMs = 0;
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ environment: 'test', nowMs: () => nowMs });
});
// Past every time to live: no test finds what another left.
beforeEach(() => {
  nowMs += 24 * 60 * MINUTE_MS;
});
afterAll(() => sandbox.close());

type Usage = Record<string, number & Record<string, number>>;

async function post(path: string, body: object, key = 'one'): Promise<Usage> {
  const response = await fetch(`${sandbox.origin}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'anthropic-version': '2026-10-21' },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
  const answer = (await response.json()) as { usage?: Usage; usageMetadata?: Usage };
  return answer.usage ?? answer.usageMetadata ?? {};
}

const LONG = 'All of this was said before, and it will be said again. '.repeat(400);

describe('automatic caching', () => {
  const chat = (model: string, question: string, key?: string) =>
    post(
      '/openai/v1/chat/completions',
      {
        model,
        messages: [
          { role: 'system', content: LONG },
          { role: 'user', content: question },
        ],
      },
      key,
    );

  test('a repeated prefix is read from the cache, in steps of 128 tokens', async () => {
    expect((await chat('gpt-4o', 'First?'))['prompt_tokens_details']).toMatchObject({
      cached_tokens: 0,
    });
    const cached = (await chat('gpt-4o', 'Second?'))['prompt_tokens_details']?.['cached_tokens'];
    expect(cached).toBeGreaterThanOrEqual(1024);
    expect((cached ?? 1) % 128).toBe(0);
  });

  test('another model, another key and another beginning share nothing', async () => {
    await chat('gpt-4o', 'First?');
    const seen = [
      await chat('gpt-4.1', 'Second?'),
      await chat('gpt-4o', 'Second?', 'two'),
      await post('/openai/v1/chat/completions', {
        model: 'gpt-4o',
        messages: [{ role: 'system', content: `Now: ${LONG}` }],
      }),
    ];
    expect(seen.map((usage) => usage['prompt_tokens_details']?.['cached_tokens'])).toEqual([
      0, 0, 0,
    ]);
  });

  test('a short prompt is never cached', async () => {
    const short = { model: 'gpt-4o', messages: [{ role: 'user', content: 'x'.repeat(4_000) }] };
    await post('/openai/v1/chat/completions', short);
    const again = await post('/openai/v1/chat/completions', short);
    expect(again['prompt_tokens_details']?.['cached_tokens']).toBe(0);
  });

  test('models that bill cache writes report them, inside the input', async () => {
    const first = await chat('gpt-5.6-luna', 'First?');
    const written = first['prompt_tokens_details']?.['cache_write_tokens'];
    expect(written).toBeGreaterThan(1024);
    expect(written).toBeLessThanOrEqual(first['prompt_tokens'] ?? 0);
    const second = await chat('gpt-5.6-luna', 'Second?');
    expect(second['prompt_tokens_details']?.['cache_write_tokens']).toBeLessThan(256);
  });

  test('Gemini reports what it read, and says nothing where it read nothing', async () => {
    const generate = (question: string) =>
      post('/google/v1/models/gemini-3.8-flash:generateContent', {
        contents: [{ role: 'user', parts: [{ text: LONG }, { text: question }] }],
      });
    expect(await generate('First?')).not.toHaveProperty('cachedContentTokenCount');
    expect((await generate('Second?'))['cachedContentTokenCount']).toBeGreaterThanOrEqual(4096);
  });
});

describe('cache_control', () => {
  const ask = (question: string, ttl?: '5m' | '1h', model = 'claude-sonnet-5') =>
    post('/anthropic/v1/messages', {
      model,
      max_tokens: 50,
      system: [
        {
          type: 'text',
          text: LONG,
          ...(ttl === undefined ? {} : { cache_control: { type: 'ephemeral', ttl } }),
        },
      ],
      messages: [{ role: 'user', content: question }],
    });

  test('a marked prefix is written once and then read, each token counted once', async () => {
    const plain = await ask('First?');
    const total = plain['input_tokens'] ?? 0;
    const first = await ask('First?', '5m');
    expect(first['cache_creation_input_tokens']).toBeGreaterThan(1024);
    expect((first['input_tokens'] ?? 0) + (first['cache_creation_input_tokens'] ?? 0)).toBe(total);
    const second = await ask('First?', '5m');
    expect(second['cache_creation_input_tokens']).toBe(0);
    expect(second['cache_read_input_tokens']).toBe(first['cache_creation_input_tokens']);
  });

  test('nothing is cached unasked', async () => {
    await ask('First?');
    expect(await ask('First?')).toMatchObject({
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
    });
  });

  test('five minutes after its last use a prefix is gone; a use starts its time anew', async () => {
    await ask('First?', '5m');
    nowMs += 4 * MINUTE_MS;
    expect((await ask('Second?', '5m'))['cache_read_input_tokens']).toBeGreaterThan(0);
    nowMs += 4 * MINUTE_MS;
    expect((await ask('Third?', '5m'))['cache_read_input_tokens']).toBeGreaterThan(0);
    nowMs += 6 * MINUTE_MS;
    expect((await ask('Fourth?', '5m'))['cache_read_input_tokens']).toBe(0);
  });

  test('an hour is written as an hour, and lasts one', async () => {
    const first = await ask('First?', '1h');
    expect(first['cache_creation']).toMatchObject({
      ephemeral_5m_input_tokens: 0,
      ephemeral_1h_input_tokens: first['cache_creation_input_tokens'],
    });
    nowMs += 50 * MINUTE_MS;
    expect((await ask('Second?', '1h'))['cache_read_input_tokens']).toBeGreaterThan(0);
  });

  test('another model reads nothing of it', async () => {
    await ask('First?', '5m');
    expect((await ask('First?', '5m', 'claude-opus-5'))['cache_read_input_tokens']).toBe(0);
  });

  test('a growing conversation reads its past and writes only what is new', async () => {
    const turn = (count: number) =>
      post('/anthropic/v1/messages', {
        model: 'claude-sonnet-5',
        max_tokens: 50,
        messages: Array.from({ length: count }, (_, index) => ({
          role: index % 2 === 0 ? 'user' : 'assistant',
          content: [
            {
              type: 'text',
              text: `${index} ${LONG}`,
              ...(index === count - 1 ? { cache_control: { type: 'ephemeral' } } : {}),
            },
          ],
        })),
      });
    const first = await turn(1);
    const third = await turn(3);
    expect(third['cache_read_input_tokens']).toBe(first['cache_creation_input_tokens']);
    expect(third['cache_creation_input_tokens']).toBeGreaterThan(
      first['cache_creation_input_tokens'] ?? 0,
    );
  });
});
