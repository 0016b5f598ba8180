import Groq from 'groq-sdk';
import { expect } from 'vitest';
import type { Reach } from './reach.js';
import { collect, describeSdk, scenario, SLOW_STREAM, thrownBy } from './scenario.js';

const MODEL = 'openai/gpt-oss-120b';
const messages = [{ role: 'user' as const, content: 'Say something kind.' }];
const askForTool = {
  model: MODEL,
  messages: [{ role: 'user' as const, content: 'Use the weather tool for Bern.' }],
  tools: [
    {
      type: 'function' as const,
      function: {
        name: 'get_weather',
        parameters: { type: 'object', properties: { place: { type: 'string' } } },
      },
    },
  ],
};

function client(reach: Reach, directives?: string): Groq {
  return new Groq({
    apiKey: reach.key,
    baseURL: reach.groq,
    maxRetries: 0,
    defaultHeaders: directives === undefined ? {} : { 'x-sandbox': directives },
  });
}

const answers = [
  scenario(
    'a chat completion has text, usage with times, and the id of the request',
    (reach) => client(reach).chat.completions.create({ model: MODEL, messages }),
    (seen) => {
      expect(seen.choices[0]?.message.content).toMatch(/\w+/);
      expect(seen.usage?.total_time).toBeGreaterThan(0);
      expect(seen.x_groq?.id).toMatch(/^req_/);
    },
  ),
  scenario(
    'a stream carries usage in x_groq of its last chunk alone',
    async (reach) =>
      collect(
        await client(reach).chat.completions.create({ model: MODEL, messages, stream: true }),
      ),
    (seen) => {
      expect(seen[0]?.x_groq?.id).toMatch(/^req_/);
      expect(seen.at(-1)?.x_groq?.usage?.completion_tokens).toBeGreaterThan(0);
      expect(seen.every((chunk) => !('usage' in chunk))).toBe(true);
    },
  ),
  scenario(
    'a tool call has arguments that are JSON',
    (reach) => client(reach).chat.completions.create(askForTool),
    (seen) =>
      expect(
        JSON.parse(seen.choices[0]?.message.tool_calls?.[0]?.function.arguments ?? ''),
      ).toHaveProperty('place'),
  ),
  scenario(
    'a streamed tool call adds up to JSON',
    async (reach) =>
      collect(await client(reach).chat.completions.create({ ...askForTool, stream: true })),
    (seen) => {
      const pieces = seen.map(
        (chunk) => chunk.choices[0]?.delta.tool_calls?.[0]?.function?.arguments ?? '',
      );
      expect(JSON.parse(pieces.join(''))).toHaveProperty('place');
    },
  ),
  scenario(
    'embeddings and models answer',
    async (reach) => ({
      embedded: await client(reach).embeddings.create({
        model: 'nomic-embed-text-v1_5',
        input: 'one',
      }),
      listed: await client(reach).models.list(),
    }),
    ({ embedded, listed }) => {
      expect(embedded.data[0]?.embedding).toHaveLength(768);
      expect(listed.data.map((model) => model.id)).toContain(MODEL);
    },
  ),
];

const failing = (directives: string, status: number, name: string) =>
  scenario(
    `${directives} is a ${name}`,
    (reach) =>
      thrownBy(() => client(reach, directives).chat.completions.create({ model: MODEL, messages })),
    (seen) => expect(seen).toMatchObject({ status, name }),
  );

const errors = [
  failing('error=rate_limit', 429, 'RateLimitError'),
  failing('error=credential', 401, 'AuthenticationError'),
  failing('error=overloaded', 503, 'InternalServerError'),
  failing('status=498', 498, 'APIError'),
  scenario(
    'an unknown model is a NotFoundError',
    (reach) => thrownBy(() => client(reach).chat.completions.create({ model: 'none', messages })),
    (seen) => expect(seen).toMatchObject({ status: 404, name: 'NotFoundError' }),
  ),
  scenario(
    'two answers at once are a BadRequestError',
    (reach) =>
      thrownBy(() => client(reach).chat.completions.create({ model: MODEL, messages, n: 2 })),
    (seen) => expect(seen).toMatchObject({ status: 400, name: 'BadRequestError' }),
  ),
];

describeSdk({
  sdk: 'groq-sdk',
  ways: ['direct', 'gateway'],
  scenarios: [...answers, ...errors],
  refused: {
    call: async (reach) => client(reach).chat.completions.create({ model: MODEL, messages }),
    name: 'AuthenticationError',
  },
  abort: async (reach) => {
    const stream = await client(reach).chat.completions.create(
      { model: MODEL, messages, stream: true },
      { headers: SLOW_STREAM },
    );
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break;
    }
    stream.controller.abort();
  },
});
