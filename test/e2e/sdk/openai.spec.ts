import OpenAI from 'openai';
import { expect } from 'vitest';
import { WAYS, type Reach } from './reach.js';
import { collect, describeSdk, scenario, SLOW_STREAM, thrownBy } from './scenario.js';

const MODEL = 'gpt-4o';
const messages = [
  { role: 'system' as const, content: 'You are brief.' },
  { role: 'user' as const, content: 'Say something kind.' },
];
const askForTool = [{ role: 'user' as const, content: 'Use the weather tool for Bern.' }];
const tools = [
  {
    type: 'function' as const,
    function: {
      name: 'get_weather',
      description: 'The weather of a place',
      parameters: {
        type: 'object',
        properties: { place: { type: 'string' }, days: { type: 'integer' } },
        required: ['place'],
      },
    },
  },
];
const responseTools = tools.map(({ function: it }) => ({
  type: 'function' as const,
  ...it,
  strict: false,
}));

function client(reach: Reach, directives?: string): OpenAI {
  return new OpenAI({
    apiKey: reach.key,
    baseURL: reach.openai,
    maxRetries: 0,
    defaultHeaders: directives === undefined ? {} : { 'x-sandbox': directives },
  });
}

const chat = [
  scenario(
    'a chat completion has text, usage and the dated model',
    (reach) => client(reach).chat.completions.create({ model: MODEL, messages }),
    (seen) => {
      expect(seen.choices[0]?.message.content).toMatch(/\w+/);
      expect(seen.model).toBe('gpt-4o-2024-08-06');
      expect(seen.usage?.total_tokens).toBe(
        (seen.usage?.prompt_tokens ?? 0) + (seen.usage?.completion_tokens ?? 0),
      );
    },
  ),
  scenario(
    'a chat stream that did not ask for usage carries none',
    async (reach) =>
      collect(
        await client(reach).chat.completions.create({ model: MODEL, messages, stream: true }),
      ),
    (seen) => {
      expect(seen.length).toBeGreaterThan(5);
      expect(seen.every((chunk) => chunk.choices.length === 1 && !('usage' in chunk))).toBe(true);
      expect(seen.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    },
  ),
  scenario(
    'a chat stream that asked for usage carries it once, in a last chunk without choices',
    async (reach) =>
      collect(
        await client(reach).chat.completions.create({
          model: MODEL,
          messages,
          stream: true,
          stream_options: { include_usage: true },
        }),
      ),
    (seen) => {
      expect(seen.at(-1)?.choices).toEqual([]);
      expect(seen.at(-1)?.usage?.completion_tokens).toBeGreaterThan(0);
      expect(seen.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
    },
  ),
  scenario(
    'a chat stream that declined usage carries none',
    async (reach) =>
      collect(
        await client(reach).chat.completions.create({
          model: MODEL,
          messages,
          stream: true,
          stream_options: { include_usage: false },
        }),
      ),
    (seen) => expect(seen.some((chunk) => chunk.usage !== undefined)).toBe(false),
  ),
  scenario(
    'a tool call has arguments that are JSON',
    (reach) => client(reach).chat.completions.create({ model: MODEL, messages: askForTool, tools }),
    (seen) => {
      const call = seen.choices[0]?.message.tool_calls?.[0];
      expect(seen.choices[0]?.finish_reason).toBe('tool_calls');
      expect(call?.type === 'function' && JSON.parse(call.function.arguments)).toMatchObject({
        place: expect.any(String),
      });
    },
  ),
  scenario(
    'a streamed tool call adds up to the same arguments',
    async (reach) => {
      const stream = client(reach).chat.completions.stream({
        model: MODEL,
        messages: askForTool,
        tools,
      });
      return stream.finalChatCompletion();
    },
    (seen) => {
      const call = seen.choices[0]?.message.tool_calls?.[0];
      expect(call?.type === 'function' && JSON.parse(call.function.arguments)).toHaveProperty(
        'days',
      );
    },
  ),
  scenario(
    'structured output is valid JSON of the schema',
    (reach) =>
      client(reach).chat.completions.create({
        model: MODEL,
        messages,
        response_format: {
          type: 'json_schema',
          json_schema: {
            name: 'verdict',
            schema: { type: 'object', properties: { good: { type: 'boolean' } } },
          },
        },
      }),
    (seen) =>
      expect(JSON.parse(seen.choices[0]?.message.content ?? '')).toEqual({
        good: expect.any(Boolean),
      }),
  ),
  scenario(
    'a bound on tokens ends the answer with length, and n asks for several',
    (reach) =>
      client(reach).chat.completions.create({ model: MODEL, messages, max_tokens: 5, n: 2 }),
    (seen) => {
      expect(seen.choices.map((choice) => choice.finish_reason)).toEqual(['length', 'length']);
      expect(seen.usage?.completion_tokens).toBe(10);
    },
  ),
  scenario(
    'a compressed answer is read',
    (reach) => client(reach, 'gzip=1').chat.completions.create({ model: MODEL, messages }),
    (seen) => expect(seen.choices).toHaveLength(1),
  ),
  scenario(
    'a stream cut into single bytes is read whole',
    async (reach) =>
      collect(
        await client(
          reach,
          'split=1,tokens=5,echo=%C3%A9%E2%82%AC%F0%9F%99%82',
        ).chat.completions.create({
          model: MODEL,
          messages,
          stream: true,
        }),
      ),
    (seen) => expect(seen[1]?.choices[0]?.delta.content).toBe('é€🙂 '),
  ),
];

const others = [
  scenario(
    'a response has text and usage',
    (reach) => client(reach).responses.create({ model: 'gpt-5.6-luna', input: 'Say hello.' }),
    (seen) => {
      expect(seen.output_text).toMatch(/\w+/);
      expect(seen.usage?.output_tokens_details.reasoning_tokens).toBeGreaterThan(0);
      expect(seen.status).toBe('completed');
    },
  ),
  scenario(
    'a response stream is numbered without gaps and ends completed',
    async (reach) =>
      collect(
        await client(reach).responses.create({ model: MODEL, input: 'Say hello.', stream: true }),
      ),
    (seen) => {
      expect(seen.map((event) => event.sequence_number)).toEqual([...seen.keys()]);
      expect(seen.at(0)?.type).toBe('response.created');
      const last = seen.at(-1);
      expect(
        last?.type === 'response.completed' && last.response.usage?.total_tokens,
      ).toBeGreaterThan(0);
    },
  ),
  scenario(
    'a response stream over its bound ends incomplete',
    async (reach) =>
      collect(
        await client(reach).responses.create({
          model: MODEL,
          input: 'Say hello.',
          stream: true,
          max_output_tokens: 16,
        }),
      ),
    (seen) => {
      const last = seen.at(-1);
      expect(last?.type === 'response.incomplete' && last.response.incomplete_details).toEqual({
        reason: 'max_output_tokens',
      });
    },
  ),
  scenario(
    'a streamed function call of a response adds up',
    async (reach) => {
      const stream = client(reach).responses.stream({
        model: MODEL,
        input: 'Use the weather tool.',
        tools: responseTools,
      });
      return (await stream.finalResponse()).output;
    },
    (seen) => {
      const item = seen[0];
      expect(item?.type === 'function_call' && JSON.parse(item.arguments)).toHaveProperty('place');
    },
  ),
  scenario(
    'embeddings arrive as numbers though the wire carries base64',
    (reach) =>
      client(reach).embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two'] }),
    (seen) => {
      expect(seen.data.map((item) => item.embedding.length)).toEqual([1536, 1536]);
      expect(seen.data[0]?.embedding[0]).toBeTypeOf('number');
    },
  ),
  scenario(
    'embeddings asked as floats are floats',
    (reach) =>
      client(reach).embeddings.create({
        model: 'text-embedding-3-small',
        input: 'one',
        dimensions: 8,
        encoding_format: 'float',
      }),
    (seen) => expect(seen.data[0]?.embedding).toHaveLength(8),
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
    (reach) =>
      thrownBy(() => client(reach, directives).chat.completions.create({ model: MODEL, messages })),
    (seen) => expect(seen).toMatchObject({ status, name }),
  );

const errors = [
  failing('error=rate_limit', 429, 'RateLimitError'),
  failing('error=quota', 429, 'RateLimitError'),
  failing('error=credential', 401, 'AuthenticationError'),
  failing('error=context', 400, 'BadRequestError'),
  failing('error=overloaded', 503, 'InternalServerError'),
  failing('status=403', 403, 'PermissionDeniedError'),
  failing('status=409', 409, 'ConflictError'),
  failing('status=422', 422, 'UnprocessableEntityError'),
  scenario(
    'an unknown model is a NotFoundError',
    (reach) =>
      thrownBy(() => client(reach).chat.completions.create({ model: 'gpt-none', messages })),
    (seen) => expect(seen).toMatchObject({ status: 404, name: 'NotFoundError' }),
  ),
  scenario(
    'missing messages are a BadRequestError',
    (reach) =>
      thrownBy(() => client(reach).chat.completions.create({ model: MODEL, messages: [] })),
    (seen) => expect(seen).toMatchObject({ status: 400, name: 'BadRequestError' }),
  ),
  scenario(
    'an error in the middle of a stream is an APIError',
    (reach) =>
      thrownBy(async () =>
        collect(
          await client(reach, 'stream-error=1').chat.completions.create({
            model: MODEL,
            messages,
            stream: true,
          }),
        ),
      ),
    (seen) => expect(seen.error).toMatchObject({ type: 'server_error' }),
  ),
];

const compatible = [
  scenario(
    'Groq answers the OpenAI SDK',
    (reach) =>
      new OpenAI({ apiKey: reach.key, baseURL: reach.groqForOpenAi }).chat.completions.create({
        model: 'openai/gpt-oss-20b',
        messages,
      }),
    (seen) => expect(seen.usage?.completion_tokens).toBeGreaterThan(0),
  ),
  scenario(
    "Google's OpenAI-compatible endpoint answers the OpenAI SDK, whole and streamed",
    async (reach) => {
      const google = new OpenAI({ apiKey: reach.key, baseURL: reach.googleForOpenAi });
      const model = 'gemini-3.8-flash';
      return {
        whole: await google.chat.completions.create({ model, messages }),
        streamed: await collect(
          await google.chat.completions.create({ model, messages, stream: true }),
        ),
        embedded: await google.embeddings.create({ model: 'gemini-embedding-001', input: 'one' }),
      };
    },
    ({ whole, streamed, embedded }) => {
      expect(whole.model).toBe('gemini-3.8-flash');
      expect(streamed.length).toBeGreaterThan(2);
      expect(embedded.data[0]?.embedding).toHaveLength(3072);
    },
  ),
];

describeSdk({
  sdk: 'openai SDK',
  ways: WAYS,
  scenarios: [...chat, ...others, ...errors, ...compatible],
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
