import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linesOf, openPrompts, readRow, rowsOf, type ReadRow } from './prompt-rows.js';

async function* from<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

describe('linesOf', () => {
  test('lines do not depend on where the text was cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ maxLength: 12 }).map((text) => text.replaceAll('\n', ''))),
        fc.array(fc.nat({ max: 60 })),
        async (lines, cuts) => {
          const text = lines.map((line) => `${line}\n`).join('');
          const ends = [...cuts, text.length].toSorted((a, b) => a - b);
          const pieces = ends.map((end, at) => text.slice(at === 0 ? 0 : ends[at - 1], end));
          expect(await all(linesOf(from(pieces)))).toEqual(lines);
        },
      ),
    );
  });

  test('a line over the bound is dropped, and the next one is whole', async () => {
    expect(await all(linesOf(from(['12345', '67890\nab\n', 'cd']), 6))).toEqual([null, 'ab', 'cd']);
  });
});

describe('rowsOf', () => {
  test('a malformed line is named and does not end the reading', async () => {
    const lines = ['{"prompt":"a"}', '', 'nonsense', '[]', '{"prompt":7}', '{"prompt":"b"}'];
    const seen = await all(rowsOf(from([...lines, null])));
    const short = (read: ReadRow): string =>
      read.kind === 'row' ? `${read.line} ${read.row.prompt}` : `${read.line} ${read.reason}`;
    expect(seen.map(short)).toEqual([
      '1 a',
      '3 not JSON',
      '4 not an object',
      '5 no "prompt" text',
      '6 b',
      '7 the line is too long',
    ]);
  });
});

describe('readRow', () => {
  test('bare and wrapped tools read the same, with types and names that providers take', () => {
    const tool = {
      name: 'math.sum',
      parameters: { type: 'dict', properties: { xs: { type: 'tuple' }, y: { type: 'float' } } },
    };
    const expected = [
      {
        name: 'math_sum',
        description: '',
        parameters: {
          type: 'object',
          properties: { xs: { type: 'array', items: { type: 'string' } }, y: { type: 'number' } },
        },
      },
    ];
    expect(readRow(JSON.stringify({ prompt: 'p', tools: [tool] }))).toMatchObject({
      tools: expected,
    });
    expect(
      readRow(JSON.stringify({ prompt: 'p', tools: [{ type: 'function', function: tool }] })),
    ).toMatchObject({ tools: expected });
  });

  test('a tool without a name is malformed', () => {
    expect(readRow('{"prompt":"p","tools":[null]}')).toBe('a tool without a name');
  });
});

test('a packed file reads as the plain one does, and says how far it is', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'replay-'));
  try {
    const text = '{"prompt":"é"}\n{"prompt":"b"}\n';
    const plain = path.join(directory, 'a.jsonl');
    const packed = `${plain}.gz`;
    await writeFile(plain, text);
    await writeFile(packed, gzipSync(text));
    const [one, other] = [await openPrompts(plain), await openPrompts(packed)];
    expect(await all(one.rows)).toEqual(await all(other.rows));
    expect([one.share(), other.share()]).toEqual([1, 1]);
    await expect(openPrompts(directory)).rejects.toThrow(/not a file/);
  } finally {
    await rm(directory, { recursive: true });
  }
});
