import Anthropic from '@anthropic-ai/sdk';
import { expect } from 'vitest';
import { WAYS, type Reach } from './reach.js';
import { collect, describeSdk, scenario, SLOW_STREAM, thrownBy } from './scenario.js';

const MODEL = 'claude-haiku-4-5';
const messages = [{ role: 'user' as const, content: 'Say something kind.' }];
const ask = { model: MODEL, max_tokens: 200, system: 'You are brief.', messages };
const askForTool = {
  ...ask,
  messages: [{ role: 'user' as const, content: 'Use the weather tool for Bern.' }],
  tools: [
    {
      name: 'get_weather',
      description: 'The weather of a place',
      input_schema: { type: 'object' as const, properties: { place: { type: 'string' } } },
    },
  ],
};

function client(reach: Reach, directives?: string): Anthropic {
  return new Anthropic({
    apiKey: reach.key,
    baseURL: reach.anthropic,
    maxRetries: 0,
    defaultHeaders: directives === undefined ? {} : { 'x-sandbox': directives },
  });
}

const answers = [
  scenario(
    'a message has text, usage and the dated model',
    (reach) => client(reach).messages.create(ask),
    (seen) => {
      expect(seen.content[0]).toMatchObject({ type: 'text', text: expect.stringMatching(/\w+/) });
      expect(seen.model).toBe('claude-haiku-4-5-20251001');
      expect(seen.usage.output_tokens).toBeGreaterThan(0);
    },
  ),
  scenario(
    'a stream adds up to one message with its final usage',
    async (reach) => {
      const stream = client(reach).messages.stream(ask);
      return { events: await collect(stream), message: await stream.finalMessage() };
    },
    ({ events, message }) => {
      expect(events.at(0)?.type).toBe('message_start');
      expect(events.at(-1)?.type).toBe('message_stop');
      expect(message.stop_reason).toBe('end_turn');
      expect(message.usage.output_tokens).toBeGreaterThan(1);
    },
  ),
  scenario(
    'a tool is used',
    (reach) => client(reach).messages.create(askForTool),
    (seen) => {
      expect(seen.stop_reason).toBe('tool_use');
      expect(seen.content[0]).toMatchObject({ type: 'tool_use', input: { place: 'sample' } });
    },
  ),
  scenario(
    'a streamed tool use adds up to the same input',
    (reach) => client(reach).messages.stream(askForTool).finalMessage(),
    (seen) =>
      expect(seen.content[0]).toMatchObject({ type: 'tool_use', input: { place: 'sample' } }),
  ),
  scenario(
    'thinking comes first, signed, when it is asked for',
    (reach) =>
      client(reach)
        .messages.stream({
          ...ask,
          max_tokens: 4000,
          thinking: { type: 'enabled', budget_tokens: 1024 },
        })
        .finalMessage(),
    (seen) => {
      expect(seen.content.map((block) => block.type)).toEqual(['thinking', 'text']);
      expect(seen.usage.output_tokens_details?.thinking_tokens).toBeGreaterThan(0);
    },
  ),
  scenario(
    'a bound on tokens ends the answer with max_tokens',
    (reach) => client(reach).messages.create({ ...ask, max_tokens: 5 }),
    (seen) => {
      expect(seen.stop_reason).toBe('max_tokens');
      expect(seen.usage.output_tokens).toBe(5);
    },
  ),
  scenario(
    'tokens are counted',
    (reach) => client(reach).messages.countTokens({ model: MODEL, messages }),
    (seen) => expect(seen.input_tokens).toBeGreaterThan(3),
  ),
  scenario(
    'models are listed and retrieved',
    async (reach) => ({
      listed: await collect(client(reach).models.list()),
      one: await client(reach).models.retrieve(MODEL),
    }),
    ({ listed, one }) => {
      expect(listed.map((model) => model.id)).toContain(MODEL);
      expect(one.id).toBe(MODEL);
    },
  ),
];

const failing = (directives: string, status: number, name: string) =>
  scenario(
    `${directives} is a ${name}`,
    (reach) => thrownBy(() => client(reach, directives).messages.create(ask)),
    (seen) => expect(seen).toMatchObject({ status, name, error: { type: 'error' } }),
  );

const errors = [
  failing('error=rate_limit', 429, 'RateLimitError'),
  failing('error=credential', 401, 'AuthenticationError'),
  failing('error=context', 400, 'BadRequestError'),
  failing('error=overloaded', 529, 'OverloadedError'),
  failing('error=quota', 402, 'PaymentRequiredError'),
  failing('status=403', 403, 'PermissionDeniedError'),
  scenario(
    'an unknown model is a NotFoundError',
    (reach) => thrownBy(() => client(reach).messages.create({ ...ask, model: 'claude-none' })),
    (seen) => expect(seen).toMatchObject({ status: 404, name: 'NotFoundError' }),
  ),
  scenario(
    'an error in the middle of a stream is an APIError',
    (reach) =>
      thrownBy(async () =>
        collect(await client(reach, 'stream-error=1').messages.create({ ...ask, stream: true })),
      ),
    (seen) => expect(seen.error).toMatchObject({ error: { type: 'overloaded_error' } }),
  ),
];

describeSdk({
  sdk: '@anthropic-ai/sdk',
  ways: WAYS,
  scenarios: [...answers, ...errors],
  refused: {
    call: async (reach) => client(reach).messages.create(ask),
    name: 'AuthenticationError',
  },
  abort: async (reach) => {
    const stream = await client(reach).messages.create(
      { ...ask, max_tokens: 10_000, stream: true },
      { headers: SLOW_STREAM },
    );
    for await (const event of stream) {
      if (event.type === 'content_block_delta') break;
    }
    stream.controller.abort();
  },
});
