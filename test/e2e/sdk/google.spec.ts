import { FunctionCallingConfigMode, GoogleGenAI, Type } from '@google/genai';
import { expect } from 'vitest';
import type { Reach } from './reach.js';
import { collect, describeSdk, scenario, SLOW_STREAM, thrownBy } from './scenario.js';

const MODEL = 'gemini-3.8-flash';
const ask = { model: MODEL, contents: 'Say something kind.' };
const tools = [
  {
    functionDeclarations: [
      {
        name: 'get_weather',
        description: 'The weather of a place',
        parameters: { type: Type.OBJECT, properties: { place: { type: Type.STRING } } },
      },
    ],
  },
];

function client(reach: Reach, directives?: string, apiVersion?: string): GoogleGenAI {
  return new GoogleGenAI({
    apiKey: reach.key,
    httpOptions: {
      baseUrl: reach.google,
      headers: directives === undefined ? {} : { 'x-sandbox': directives },
      ...(apiVersion === undefined ? {} : { apiVersion }),
    },
  });
}

const answers = [
  scenario(
    'content is generated, with usage that counts thoughts apart',
    (reach) => client(reach).models.generateContent(ask),
    (seen) => {
      const usage = seen.usageMetadata;
      expect(seen.candidates?.[0]?.finishReason).toBe('STOP');
      expect(usage?.totalTokenCount).toBe(
        (usage?.promptTokenCount ?? 0) +
          (usage?.candidatesTokenCount ?? 0) +
          (usage?.thoughtsTokenCount ?? 0),
      );
      expect(seen.modelVersion).toBe(MODEL);
    },
  ),
  scenario(
    'the beta version answers the same calls',
    (reach) => client(reach, undefined, 'v1beta').models.generateContent(ask),
    (seen) => expect(seen.candidates).toHaveLength(1),
  ),
  scenario(
    'a stream counts usage up to its last chunk',
    async (reach) => collect(await client(reach).models.generateContentStream(ask)),
    (seen) => {
      const counts = seen.map((chunk) => chunk.usageMetadata?.totalTokenCount ?? 0);
      expect(seen.length).toBeGreaterThan(2);
      expect(counts).toEqual(counts.toSorted((a, b) => a - b));
      expect(seen.at(-1)?.candidates?.[0]?.finishReason).toBe('STOP');
    },
  ),
  scenario(
    'a stream without alt=sse is one JSON array',
    async (reach) => {
      const response = await fetch(`${reach.google}/v1beta/models/${MODEL}:streamGenerateContent`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-goog-api-key': reach.key },
        body: JSON.stringify({ contents: [{ parts: [{ text: 'Say something kind.' }] }] }),
      });
      return (await response.json()) as unknown[];
    },
    (seen) => expect(seen.length).toBeGreaterThan(2),
  ),
  scenario(
    'a function is called when the caller demands it, and its answer is taken back',
    async (reach) => {
      const config = {
        tools,
        toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
      };
      const first = await client(reach).models.generateContent({ ...ask, config });
      const called = first.candidates?.[0]?.content;
      const second = await client(reach).models.generateContent({
        model: MODEL,
        contents: [
          { role: 'user', parts: [{ text: 'Say something kind.' }] },
          called ?? {},
          {
            role: 'user',
            parts: [{ functionResponse: { name: 'get_weather', response: { ok: true } } }],
          },
        ],
        config: { tools },
      });
      return { first, second };
    },
    ({ first, second }) => {
      const part = first.candidates?.[0]?.content?.parts?.[0];
      expect(part).toMatchObject({
        functionCall: { name: 'get_weather', args: { place: 'sample' } },
      });
      expect(part?.thoughtSignature).toBeTypeOf('string');
      expect(second.candidates?.[0]?.finishReason).toBe('STOP');
    },
  ),
  scenario(
    'a streamed function call comes whole',
    async (reach) =>
      collect(
        await client(reach).models.generateContentStream({
          model: MODEL,
          contents: 'Use the weather tool.',
          config: { tools },
        }),
      ),
    (seen) => expect(seen[0]?.candidates?.[0]?.content?.parts?.[0]).toHaveProperty('functionCall'),
  ),
  scenario(
    'structured output is valid JSON of the schema',
    (reach) =>
      client(reach).models.generateContent({
        ...ask,
        config: {
          responseMimeType: 'application/json',
          responseSchema: { type: Type.OBJECT, properties: { good: { type: Type.BOOLEAN } } },
        },
      }),
    (seen) =>
      expect(JSON.parse(seen.candidates?.[0]?.content?.parts?.[0]?.text ?? '')).toEqual({
        good: true,
      }),
  ),
  scenario(
    'tokens are counted',
    (reach) => client(reach).models.countTokens(ask),
    (seen) => expect(seen.totalTokens).toBeGreaterThan(3),
  ),
  scenario(
    'several texts are embedded in one call',
    (reach) =>
      client(reach).models.embedContent({
        model: 'gemini-embedding-001',
        contents: ['one', 'two'],
        config: { outputDimensionality: 8 },
      }),
    (seen) => expect(seen.embeddings?.map((it) => it.values?.length)).toEqual([8, 8]),
  ),
  scenario(
    'models are listed and retrieved',
    async (reach) => ({
      listed: await collect(await client(reach).models.list()),
      one: await client(reach).models.get({ model: MODEL }),
    }),
    ({ listed, one }) => {
      expect(listed.map((model) => model.name)).toContain(`models/${MODEL}`);
      expect(one.name).toBe(`models/${MODEL}`);
    },
  ),
];

const failing = (directives: string, status: number) =>
  scenario(
    `${directives} is an ApiError of status ${status}`,
    (reach) => thrownBy(() => client(reach, directives).models.generateContent(ask)),
    (seen) => expect(seen).toMatchObject({ status, name: 'ApiError' }),
  );

const errors = [
  failing('error=rate_limit', 429),
  failing('error=quota', 429),
  failing('error=credential', 400),
  failing('error=overloaded', 503),
  failing('error=context', 400),
  scenario(
    'an unknown model is an ApiError of status 404',
    (reach) =>
      thrownBy(() => client(reach).models.generateContent({ ...ask, model: 'gemini-none' })),
    (seen) => expect(seen).toMatchObject({ status: 404, name: 'ApiError' }),
  ),
  scenario(
    'an error in the middle of a stream is thrown',
    (reach) =>
      thrownBy(async () =>
        collect(await client(reach, 'stream-error=1').models.generateContentStream(ask)),
      ),
    (seen) => expect(seen.name).toBe('ApiError'),
  ),
];

describeSdk({
  sdk: '@google/genai',
  ways: ['direct', 'gateway'],
  scenarios: [...answers, ...errors],
  refused: { call: async (reach) => client(reach).models.generateContent(ask), name: 'ApiError' },
  abort: async (reach) => {
    const gone = new AbortController();
    const stream = await client(reach).models.generateContentStream({
      ...ask,
      config: { abortSignal: gone.signal, httpOptions: { headers: SLOW_STREAM } },
    });
    await stream.next();
    gone.abort();
  },
});
