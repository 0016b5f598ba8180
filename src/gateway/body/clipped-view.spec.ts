import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEFT_OUT } from '../../modules/classifier/json-shapes.js';
import { readPrompt } from '../../modules/classifier/read-prompt.js';
import {
  clippedView,
  END_ELEMENTS,
  NODES_MAX,
  PARSED_WHOLE_BYTES_MAX,
  STRING_BYTES_MAX,
} from './clipped-view.js';
import { scanObject, type LongStrings } from './json-scan.js';

const view = (text: string) => {
  const bytes = Buffer.from(text);
  const longStrings: LongStrings = new Map();
  const scan = scanObject(bytes, 0, bytes.length, longStrings);
  if (!scan.ok) throw new Error(scan.reason);
  return clippedView(bytes, { ...scan, longStrings });
};
const padding = 'p'.repeat(PARSED_WHOLE_BYTES_MAX);

describe('the clipped view of a body', () => {
  it('is the parsed body where nothing is long', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const text = JSON.stringify({ value });
        expect(view(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('keeps the head, the tail and the length of a long string, whatever its escapes', () => {
    const unit = fc.constantFrom('a', '\n', '"', '\\', 'é', '🚂', '\u0001', '\u2028');
    fc.assert(
      fc.property(fc.array(unit, { minLength: 3_000, maxLength: 6_000 }), (units) => {
        const text = units.join('');
        const { long } = view(JSON.stringify({ padding, long: text })) as { long: string };
        const [head, tail] = long.split(/…\[\d+\]…/);
        if (tail === undefined) {
          expect(long).toBe(text);
          return;
        }
        expect(text.startsWith(head!)).toBe(true);
        expect(text.endsWith(tail)).toBe(true);
        expect(head!.length).toBeGreaterThanOrEqual(STRING_BYTES_MAX / 2 / 6 - 1);
      }),
      { numRuns: 50 },
    );
  });

  it('keeps every element of a long array', () => {
    const list = Array.from({ length: 10_000 }, (_, i) => i);
    const { kept } = view(JSON.stringify({ padding, kept: list })) as { kept: number[] };
    expect(kept).toEqual(list);
  });

  it.each([NODES_MAX + 1, NODES_MAX + END_ELEMENTS / 2, 2 * NODES_MAX])(
    'keeps the first and the last of %i elements, and marks the gap between them',
    (length) => {
      const list = Array.from({ length }, (_, i) => i);
      const { clipped } = view(JSON.stringify({ padding, clipped: list })) as { clipped: unknown };
      expect(clipped).toEqual([
        ...list.slice(0, END_ELEMENTS),
        LEFT_OUT,
        ...list.slice(-END_ELEMENTS),
      ]);
    },
  );

  it('marks what it has no room for, wherever it stands', () => {
    const long = 'x'.repeat(STRING_BYTES_MAX);
    const lists = Array.from({ length: 3 }, () => Array(NODES_MAX / 2 - 100).fill(0));
    const last = { long, list: [1] };
    const text = JSON.stringify({ lists, last });
    expect(view(text)).toMatchObject({ lists: [lists[0], lists[1], { length: 65 }] });
    const many = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`m${i}`, long]));
    expect(view(JSON.stringify(many))).toMatchObject({ [LEFT_OUT]: true, m69: long });
    expect(view(JSON.stringify({ many }))).toMatchObject({ many: { m0: long, [LEFT_OUT]: true } });
  });

  it('shows state, media and unknown parts anywhere in a conversation of 2,000 messages', () => {
    const text = 'The quick brown fox. '.repeat(50);
    const turn = (at: number) => ({
      role: at % 2 === 0 ? 'user' : 'assistant',
      content: at % 3 === 0 ? text : [{ type: 'text', text: text.repeat(1 + (at % 4)) }],
    });
    const messages: object[] = Array.from({ length: 2_000 }, (_, at) => turn(at));
    const factsOf = (change: object | null, at = 0) => {
      const all = change === null ? messages : messages.with(at, { role: 'user', ...change });
      return readPrompt('openai_chat', view(JSON.stringify({ messages: all })))!.facts;
    };
    expect(factsOf(null)).toMatchObject({ complete: true, unlisted: false, messageCount: 2_000 });
    const file = { content: [{ type: 'file', file: { file_id: 'f' } }] };
    const image = { content: [{ type: 'image_url', image_url: { url: 'u' } }] };
    const unknown = { content: [{ type: 'hologram', padding }] };
    for (const at of [0, 31, 32, 64, 700, 1_967, 1_999]) {
      expect(factsOf(file, at)).toMatchObject({ unlisted: false, pins: ['file'] });
      expect(factsOf(image, at)).toMatchObject({ unlisted: false, hasImages: true });
      expect(factsOf(unknown, at)).toMatchObject({ unlisted: true });
    }
  });

  it('stays small whatever a body is made of', () => {
    const nested = (depth: number): unknown =>
      depth === 0 ? 'x'.repeat(100) : Array.from({ length: 60 }, () => nested(depth - 1));
    const kept = JSON.stringify(view(JSON.stringify({ nested: nested(3) })));
    expect(kept.length).toBeLessThan(NODES_MAX * 110);
    expect(kept).toContain(LEFT_OUT);
  });

  it('takes no key for a prototype', () => {
    const text = `{"padding":"${padding}","__proto__":{"polluted":true}}`;
    expect(Object.getPrototypeOf(view(text))).toBe(Object.prototype);
  });
});
