import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { readUsage } from '../../modules/metering/usage/read-usage.js';
import type { AnswerReader } from './answer-reader.js';
import { EventStreamReader } from './event-stream-reader.js';
import { streamMarks } from './stream-marks.js';
import { UsageStripper } from './usage-stripper.js';

const chunk = (delta: string, extra = '') =>
  `data: {"id":"c1","model":"gpt-5.4-2026","choices":[{"index":0,"delta":{"content":${JSON.stringify(delta)}}}]${extra},"obfuscation":"xY"}\n\n`;
const USAGE = '{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}';
const USAGE_CHUNK = `data: {"id":"c1","model":"gpt-5.4-2026","choices":[],"usage":${USAGE},"obfuscation":""}\n\n`;
const DONE = 'data: [DONE]\n\n';
const TEXTS = ['Hello', ' "usage":null, ', '\n\ndata: x', 'é🚂', '{"usage":{"prompt_tokens":99}}'];

const asked = TEXTS.map((text) => chunk(text, ',"usage":null')).join('') + USAGE_CHUNK + DONE;
const unasked = TEXTS.map((text) => chunk(text)).join('') + DONE;

/** Feeds a text cut at the given places, and gives what was released. */
function through(reader: AnswerReader, text: string, cuts: readonly number[]): string {
  const bytes = Buffer.from(text);
  const places = [...new Set(cuts.map((cut) => cut % bytes.length))].toSorted((a, b) => a - b);
  const released: Buffer[] = [];
  let from = 0;
  for (const place of [...places, bytes.length]) {
    const out = reader.feed(bytes.subarray(from, place));
    if (out !== null) released.push(out);
    from = place;
  }
  const rest = reader.flush();
  if (rest !== null) released.push(rest);
  return Buffer.concat(released).toString();
}

const cuts = fc.array(fc.nat(100_000), { maxLength: 60 });
const everyByte = (text: string) => Array.from({ length: Buffer.byteLength(text) }, (_, at) => at);

describe('taking injected usage out of a stream', () => {
  it('gives the stream that the provider would have sent without the request for usage, however it is cut', () => {
    fc.assert(
      fc.property(cuts, (places) => {
        expect(through(new UsageStripper(), asked, places)).toBe(unasked);
      }),
    );
    expect(through(new UsageStripper(), asked, everyByte(asked))).toBe(unasked);
  });

  it('does so with carriage returns too', () => {
    const crlf = (text: string) => text.replaceAll('\n', '\r\n');
    const plain = [chunk('a', ',"usage":null'), USAGE_CHUNK, DONE].join('');
    const wanted = [chunk('a'), DONE].join('');
    expect(through(new UsageStripper(), crlf(plain), everyByte(crlf(plain)))).toBe(crlf(wanted));
    expect(through(new UsageStripper(), crlf(plain), [])).toBe(crlf(wanted));
  });

  it('keeps a chunk that has usage and choices, less its usage', () => {
    const mixed = chunk('a', `,"usage":${USAGE}`);
    expect(through(new UsageStripper(), mixed + DONE, [])).toBe(chunk('a') + DONE);
  });

  it('removes usage wherever it stands among the members, and only at the top level', () => {
    const stream = [
      'data: {"usage":null,"choices":[{"usage":null}]}\n\n',
      'data: {"choices":[{"usage":null}] , "usage" : null }\n\n',
      'data: {"usage":null}\n\n',
    ].join('');
    expect(through(new UsageStripper(), stream, [])).toBe(
      [
        'data: {"choices":[{"usage":null}]}\n\n',
        'data: {"choices":[{"usage":null}] }\n\n',
        'data: {}\n\n',
      ].join(''),
    );
  });

  it('passes comments, unknown events, garbage and an unfinished last event as they came', () => {
    const stream =
      ': ping\n\nevent: x\ndata: hello\n\ndata: {"usage": broken\n\nid: 4\n\ndata: {"choi';
    fc.assert(
      fc.property(cuts, (places) => {
        expect(through(new UsageStripper(), stream, places)).toBe(stream);
      }),
    );
  });

  it('reads the usage that it takes out', () => {
    const reader = new UsageStripper();
    through(reader, asked, [7, 90, 300]);
    expect(reader.findings()).toMatchObject({ complete: true, unreadable: false });
    expect(reader.findings().usageEvents).toEqual([
      expect.objectContaining({ usage: JSON.parse(USAGE) }),
    ]);
  });
});

describe('watching a stream', () => {
  const anthropic = [
    'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-x","usage":{"input_tokens":9,"output_tokens":1}}}\n\n',
    'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"\\"usage\\":{}"}}\n\n',
    'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":5}}\n\n',
    'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":8}}\n\n',
    'event: message_stop\ndata: {"type":"message_stop"}\n\n',
  ];

  it('passes every byte, however cut, and finds the first and the last event with usage', () => {
    const stream = anthropic.join('');
    fc.assert(
      fc.property(cuts, (places) => {
        const reader = new EventStreamReader(streamMarks('anthropic_messages'));
        expect(through(reader, stream, places)).toBe(stream);
        expect(reader.ended).toBe(true);
        expect(reader.findings()).toMatchObject({
          complete: true,
          unreadable: false,
          error: undefined,
        });
        expect(reader.findings().usageEvents).toMatchObject([
          { type: 'message_start' },
          { usage: { output_tokens: 8 } },
        ]);
      }),
    );
  });

  it('knows that a stream without its last event was cut short', () => {
    const reader = new EventStreamReader(streamMarks('anthropic_messages'));
    through(reader, anthropic.slice(0, 2).join(''), []);
    expect(reader.findings()).toMatchObject({ complete: false });
    expect(reader.findings().usageEvents).toHaveLength(1);
  });

  it('says that it ended only when the last event is whole', () => {
    const reader = new EventStreamReader(streamMarks('openai_responses'));
    reader.feed(Buffer.from('event: response.completed\n'));
    expect(reader.ended).toBe(false);
    reader.feed(
      Buffer.from('data: {"type":"response.completed","response":{"usage":{"input_tokens":1}}}\n'),
    );
    expect(reader.ended).toBe(false);
    reader.feed(Buffer.from('\n'));
    expect(reader.ended).toBe(true);
    expect(reader.findings().usageEvents).toHaveLength(1);
  });

  it.each([
    ['openai_chat', 'data: {"error":{"message":"x","code":"server_error"}}\n\n'],
    [
      'anthropic_messages',
      'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
    ],
    ['google_generate_content', 'data: {"error":{"code":503,"status":"UNAVAILABLE"}}\n\n'],
  ] as const)('finds an error in a stream of %s', (format, stream) => {
    const reader = new EventStreamReader(streamMarks(format));
    through(reader, stream, [5]);
    expect(reader.findings().error).toBeTypeOf('object');
  });

  it('takes a null error in a whole answer for none', () => {
    const reader = new EventStreamReader(streamMarks('openai_responses'));
    const last =
      '{"type":"response.completed","response":{"error":null,"usage":{"input_tokens":1}}}';
    through(reader, `event: response.completed\ndata: ${last}\n\n`, []);
    expect(reader.findings()).toMatchObject({ complete: true, error: undefined });
  });

  it('reads on after a line that is too long to hold', () => {
    const reader = new EventStreamReader(streamMarks('openai_chat'));
    const megabyte = Buffer.alloc(1024 * 1024, 'a');
    reader.feed(Buffer.from('data: "'));
    for (let i = 0; i < 18; i++) reader.feed(megabyte);
    reader.feed(Buffer.from('"\n\n'));
    reader.feed(Buffer.from(USAGE_CHUNK + DONE));
    expect(reader.ended).toBe(true);
    expect(reader.findings().usageEvents).toHaveLength(1);
  });

  it.each(['data: [DONE]\n', 'data: [DONE]', 'data:[DONE]\r\n'])(
    'has ended with the line that clients stop at, without its blank one: %j',
    (last) => {
      for (const reader of [
        new EventStreamReader(streamMarks('openai_chat')),
        new UsageStripper(),
      ]) {
        reader.feed(Buffer.from(asked.slice(0, -DONE.length)));
        expect(reader.ended).toBe(false);
        reader.feed(Buffer.from(last));
        expect(reader.ended).toBe(last.endsWith('\n'));
        reader.flush();
        expect(reader.findings()).toMatchObject({ complete: true });
      }
    },
  );

  it('counts a last event as whole at the end of the body, if its data is', () => {
    const stream = anthropic.join('');
    const completeAt = (end: number) => {
      const reader = new EventStreamReader(streamMarks('anthropic_messages'));
      through(reader, stream.slice(0, end), []);
      return reader.findings().complete;
    };
    expect(completeAt(-1)).toBe(true);
    expect(completeAt(-2)).toBe(true);
    expect(completeAt(-3)).toBe(false);
  });

  it('goes on after an error event of a Responses stream: the usage of its failure may follow', () => {
    const error = '{"type":"error","code":"server_error","message":"x","sequence_number":4}';
    const failed =
      '{"type":"response.failed","response":{"error":null,"usage":{"input_tokens":7,"output_tokens":2}}}';
    const reader = new EventStreamReader(streamMarks('openai_responses'));
    through(reader, `event: error\ndata: ${error}\n\n`, []);
    expect(reader.ended).toBe(false);
    expect(reader.findings()).toMatchObject({ complete: false, error: { code: 'server_error' } });
    through(reader, `event: response.failed\ndata: ${failed}\n\n`, []);
    expect(reader.ended).toBe(true);
    expect(reader.findings()).toMatchObject({ complete: true, error: { code: 'server_error' } });
    expect(reader.findings().usageEvents).toHaveLength(1);
  });

  it('parses the last event of a Responses stream once', () => {
    const last =
      '{"type":"response.completed","response":{"error":null,"usage":{"input_tokens":1}}}';
    const reader = new EventStreamReader(streamMarks('openai_responses'));
    through(reader, `event: response.completed\ndata: ${last}\n\n`, []);
    const parse = vi.spyOn(JSON, 'parse');
    reader.findings();
    expect(parse).toHaveBeenCalledTimes(1);
    parse.mockRestore();
  });

  it.each([
    ['"over_capacity"', { code: 'over_capacity' }],
    ['{"code":"server_error"}', { code: 'server_error' }],
    ['null', undefined],
  ])('finds the error that Groq puts beside the answer: %s', (error, expected) => {
    const stream = `data: {"id":"c","choices":[],"x_groq":{"id":"r","error":${error},"usage":${USAGE}}}\n\n`;
    const reader = new EventStreamReader(streamMarks('openai_chat'));
    through(reader, chunk('"error":1') + stream + DONE, []);
    expect(reader.findings().error).toEqual(expected);
    expect(reader.findings().usageEvents).toHaveLength(1);
  });

  it.each([
    ['in the middle', [[], ['a', 'b'], [], []], 2],
    ['in the middle, and none at the end', [[], ['a', 'b'], [''], []], 2],
    ['again in each event', [['a'], ['a', 'b'], ['a', 'b']], 2],
    ['at the end', [[], ['a', 'b', 'c']], 3],
  ])('counts search queries once that are named %s', (_, named, expected) => {
    const stream = named.map((webSearchQueries, at) => {
      const grounding = at === 0 ? {} : { groundingMetadata: { webSearchQueries } };
      const usageMetadata = { promptTokenCount: 5, candidatesTokenCount: at };
      return `data: ${JSON.stringify({ candidates: [grounding], usageMetadata })}\r\n\r\n`;
    });
    const reader = new EventStreamReader(streamMarks('google_generate_content'));
    through(reader, stream.join(''), [40, 90, 200]);
    const { usageEvents } = reader.findings();
    expect(readUsage('google_generate_content', 'google', usageEvents)?.usage).toMatchObject({
      webSearchCalls: expected,
      outputTokens: named.length - 1,
    });
  });
});
