import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { USAGE_MEMBERS } from '../../modules/metering/usage/usage-members.js';
import { readUsage } from '../../modules/metering/usage/read-usage.js';
import type { WireFormat } from '../../modules/providers/wire-format.js';
import type { AnswerFindings } from './answer-reader.js';
import { JsonBodyReader, WHOLE_BODY_BYTES_MAX } from './json-body-reader.js';
import { membersOfHead, membersOfTail } from './json-edges.js';
import { searchMark } from './stream-marks.js';

const FILLING = 'x'.repeat(WHOLE_BODY_BYTES_MAX);
const LOOK_ALIKE = '"usage":{"prompt_tokens":9},"usageMetadata":{"promptTokenCount":9}}';

function read(format: WireFormat, body: string, chunkBytes = 50_000): AnswerFindings {
  return reading(format, body, chunkBytes).findings();
}

function reading(format: WireFormat, body: string, chunkBytes = 50_000): JsonBodyReader {
  const reader = new JsonBodyReader(USAGE_MEMBERS[format], searchMark(format));
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    reader.feed(bytes.subarray(at, at + chunkBytes));
  }
  return reader;
}

describe('a body too large to keep', () => {
  it('is read: 1,024 embeddings of 3,072 dimensions', () => {
    const embedding = Buffer.alloc(3_072 * 4, 7).toString('base64');
    const data = Array.from({ length: 1_024 }, (_, index) => ({ index, embedding }));
    const usage = { prompt_tokens: 8_000, total_tokens: 8_000 };
    const body = JSON.stringify({ object: 'list', data, model: 'text-embedding-3-large', usage });
    expect(body.length).toBeGreaterThan(16 * 1024 * 1024);
    const found = read('openai_embeddings', body);
    expect(found).toMatchObject({ unreadable: false, complete: true, error: undefined });
    expect(readUsage('openai_embeddings', 'openai', found.usageEvents)).toMatchObject({
      usage: { inputTokens: 8_000 },
      answeringModel: 'text-embedding-3-large',
    });
  });

  it('is read by its head and its tail, whatever the size of the chunks', () => {
    const body = JSON.stringify(
      {
        id: 'c1',
        model: 'gpt-5.4',
        choices: [{ message: { content: `${LOOK_ALIKE}${FILLING}${LOOK_ALIKE}\\` } }],
        usage: { prompt_tokens: 3, completion_tokens: 4 },
        service_tier: 'flex',
      },
      null,
      1,
    );
    for (const chunkBytes of [1_021, 65_536, 2_000_000]) {
      expect(read('openai_chat', `${body}\n`, chunkBytes).usageEvents).toEqual([
        {
          model: 'gpt-5.4',
          usage: { prompt_tokens: 3, completion_tokens: 4 },
          service_tier: 'flex',
        },
      ]);
    }
  });

  it.each([
    ['the usage of something inside it', `{"a":"${FILLING}","b":{"c":[{"usage":{"x":1}}]}}`],
    ['a usage between its ends', `{"a":"${FILLING}","usage":{"x":1},"b":"${'y'.repeat(70_000)}"}`],
    ['a body that broke off', `{"a":"${FILLING}","usage":{"x":1},`],
    ['text that ends like one', `${FILLING}${LOOK_ALIKE}`],
  ])('is unreadable rather than misread: %s', (_, body) => {
    expect(read('openai_chat', body)).toMatchObject({ usageEvents: [], unreadable: true });
  });

  it('is read where it is an array: the last element counts', () => {
    const element = (tokens: number) => ({
      candidates: [{ content: { parts: [{ text: FILLING.slice(0, 300_000) }] } }],
      usageMetadata: { promptTokenCount: 5, candidatesTokenCount: tokens },
      modelVersion: 'gemini-3.5-flash',
    });
    const { usageEvents } = read(
      'google_generate_content',
      JSON.stringify([1, 2, 3, 4].map(element)),
    );
    expect(readUsage('google_generate_content', 'google', usageEvents)).toMatchObject({
      usage: { inputTokens: 5, outputTokens: 4 },
      answeringModel: 'gemini-3.5-flash',
    });
  });

  it('has the search queries of its last bytes', () => {
    const body = JSON.stringify({
      candidates: [
        {
          content: { parts: [{ inlineData: FILLING }] },
          groundingMetadata: { webSearchQueries: ['a', 'b', ''] },
        },
      ],
      usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 6 },
    });
    const { usageEvents } = read('google_generate_content', body);
    expect(readUsage('google_generate_content', 'google', usageEvents)?.usage).toMatchObject({
      webSearchCalls: 2,
    });
  });

  it('gives a sample that keeps nothing else in memory', () => {
    for (const body of [`{"a":"${FILLING}"}`, `{"a":"${FILLING.slice(0, 900_000)}"}`]) {
      const sample = reading('openai_chat', body).sample();
      expect(sample.totalBytes).toBe(body.length);
      expect(sample.bytes.toString()).toBe(body.slice(0, 65_536));
      expect(sample.bytes.buffer.byteLength).toBeLessThan(200_000);
    }
  });
});

describe('the members of an edge', () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true });

  it('are members of the outermost object and have their values, wherever the body is cut', () => {
    fc.assert(
      fc.property(object, fc.nat(400), fc.boolean(), (value, cut, pretty) => {
        const bytes = Buffer.from(JSON.stringify(value, null, pretty ? 2 : 0));
        const tail = bytes.subarray(Math.min(cut, bytes.length - 1));
        for (const { key, value: span } of membersOfTail(tail) ?? []) {
          const name = JSON.parse(`"${key}"`) as string;
          expect(Object.keys(value)).toContain(name);
          const member: unknown = JSON.parse(tail.toString('utf8', span.start, span.end));
          expect(member).toEqual(JSON.parse(JSON.stringify(value[name])));
        }
        const head = bytes.subarray(0, cut);
        for (const { key, value: span } of membersOfHead(head)) {
          const name = JSON.parse(`"${key}"`) as string;
          const member: unknown = JSON.parse(head.toString('utf8', span.start, span.end));
          expect(member).toEqual(JSON.parse(JSON.stringify(value[name])));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('are all there where nothing was cut off', () => {
    fc.assert(
      fc.property(object, (value) => {
        const bytes = Buffer.from(` ${JSON.stringify(value)}\n`);
        const count = Object.keys(value).length;
        expect(membersOfTail(bytes)).toHaveLength(count);
        expect(membersOfHead(bytes)).toHaveLength(count);
      }),
    );
  });
});
