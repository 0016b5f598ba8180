import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { OpaqueReader, type AnswerReader } from './answer-reader.js';
import { chooseReader } from './choose-reader.js';
import { DecodingReader } from './decoding-reader.js';
import { GuardedReader } from './guarded-reader.js';
import { UsageStripper } from './usage-stripper.js';

const BODY = '{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2}}';

function chosen(contentEncoding: string): AnswerReader {
  return chooseReader('openai_chat', false, {
    status: 200,
    contentType: 'application/json',
    contentEncoding,
  });
}

class Faulty extends OpaqueReader {
  override feed(): Buffer {
    throw new Error('a fault');
  }
}

describe('compressed answers', () => {
  it.each([
    ['GZip', zlib.gzipSync(BODY)],
    ['BR', zlib.brotliCompressSync(BODY)],
    ['Identity', Buffer.from(BODY)],
  ])('are read whatever the case of the encoding: %s', async (encoding, bytes) => {
    const reader = chosen(encoding);
    expect(reader.feed(bytes)).toEqual(bytes);
    expect(await reader.findings()).toMatchObject({
      unreadable: false,
      usageEvents: [{ usage: { prompt_tokens: 1 } }],
    });
  });

  it.each(['constructor', 'toString', '__proto__', 'compress', 'gzip, br'])(
    'pass unread in an encoding that is not known: %s',
    async (encoding) => {
      const reader = chosen(encoding);
      expect(reader.feed(Buffer.from(BODY))?.toString()).toBe(BODY);
      expect(await reader.findings()).toMatchObject({ unreadable: true, usageEvents: [] });
    },
  );

  it('pass unread after a fault of the reader inside, which is told and ends nothing', async () => {
    const faults: unknown[] = [];
    const reader = new DecodingReader(new Faulty(), 'gzip', (error) => faults.push(error));
    const bytes = zlib.gzipSync(BODY);
    expect(reader.feed(bytes)).toBe(bytes);
    expect(await reader.findings()).toMatchObject({ unreadable: true });
    expect(faults).toEqual([new Error('a fault')]);
  });
});

describe('a fault while usage is taken out of a stream', () => {
  it('loses no byte of the answer', () => {
    const stripper = new UsageStripper();
    const inner = Reflect.get(stripper, 'reader') as { watch: () => number };
    const faults: unknown[] = [];
    const reader = new GuardedReader(stripper, (error) => faults.push(error));
    const stream = 'data: {"a":1}\n\ndata: {"b":2}\n\ndata: {"c":3}';
    const released: string[] = [];
    for (let at = 0; at < stream.length; at += 4) {
      if (at === 24) {
        inner.watch = () => {
          throw new Error('a fault');
        };
      }
      released.push(reader.feed(Buffer.from(stream.slice(at, at + 4)))?.toString() ?? '');
    }
    released.push(reader.flush()?.toString() ?? '');
    expect(released.join('')).toBe(stream);
    expect(reader.findings()).toMatchObject({ unreadable: true });
    expect(faults).toHaveLength(1);
  });
});
