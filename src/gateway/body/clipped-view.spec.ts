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
import { NESTING_MAX, scanObject, valuesSince, type KnownEnds } from './json-scan.js';

const scanned = (bytes: Buffer) => {
  const knownEnds: KnownEnds = new Map();
  const scan = scanObject(bytes, 0, bytes.length, knownEnds);
  if (!scan.ok) throw new Error(scan.reason);
  return { ...scan, knownEnds };
};
const view = (text: string) => {
  const bytes = Buffer.from(text);
  return clippedView(bytes, scanned(bytes));
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

  it('keeps as many short texts as it has room for', () => {
    const texts = Array.from({ length: NODES_MAX - 1 }, (_, i) => `${i} ${'x'.repeat(120)}`);
    const { input } = view(JSON.stringify({ input: texts })) as { input: unknown };
    expect(input).toEqual(texts);
  });

  it('marks the end of a list whose last elements are too far to walk', () => {
    const { clipped } = view(`{"clipped":[${'0,'.repeat(2_000_000)}0]}`) as { clipped: unknown };
    expect(clipped).toEqual([...Array(END_ELEMENTS).fill(0), LEFT_OUT]);
  });

  it.each(['', padding])(
    'takes a body that says a thing twice for one that is not whole',
    (text) => {
      const twice = (first: string, second: string) =>
        `{"input":"q","padding":"${text}",${first},"model":"m",${second}}`;
      const pairs = [
        ['"previous_response_id":"r"', '"previous_response_id":null'],
        ['"previous_response_id":"r"', '"previous\\u005fresponse_id":"s"'],
        ['"__proto__":1', '"__proto__":2'],
      ] as const;
      for (const [first, second] of pairs) {
        const seen = view(twice(first, second));
        expect(seen).toMatchObject({ [LEFT_OUT]: true });
        const { facts } = readPrompt('openai_responses', seen)!;
        expect(facts).toMatchObject({ complete: false, unlisted: true });
      }
      const once = view(twice('"temperature":1', '"top_p":1'));
      expect(once).not.toHaveProperty(LEFT_OUT);
      expect(readPrompt('openai_responses', once)!.facts.complete).toBe(true);
    },
  );

  it('takes no key for a prototype', () => {
    const text = `{"padding":"${padding}","__proto__":{"polluted":true}}`;
    expect(Object.getPrototypeOf(view(text))).toBe(Object.prototype);
  });
});

describe('the work of a view', () => {
  const BYTES = 2_000_000;
  const list = (unit: string, bytes = BYTES) =>
    `[${Array(Math.ceil(bytes / unit.length))
      .fill(unit)
      .join(',')}]`;
  const within = (open: string, levels: number, inside: string, close: string) =>
    open.repeat(levels) + inside + close.repeat(levels);
  const longKey = `{"${'k'.repeat(BYTES / 20)}":`;
  const shapes: Record<string, string> = {
    'one list': list('1'),
    'lists in lists': within('[', 15, list('1'), ']'),
    'lists as deep as may be': within('[', NESTING_MAX - 1, list('1'), ']'),
    'objects in objects': within('{"a":', 15, list('-1.5e3'), '}'),
    'lists and objects by turns': within('{"a":[', 7, list('true'), ']}'),
    'empty lists': within('[', 15, list('[]'), ']'),
    'empty objects': within('[', 15, list('{}'), ']'),
    'empty strings': within('[', 15, list('""'), ']'),
    'small objects': within('[', 15, list('{"a":0}'), ']'),
    'lists of 3 KB': within('[', 12, list(list('1', 1_500)), ']'),
    'lists of 3 KB, each within 16': within(
      '[',
      1,
      list(within('[', 16, list('1', 1_500), ']')),
      ']',
    ),
    'strings that do not parse': list(within('[', 15, list('"\\x"', 1_000), ']')),
    'objects with long keys': within(longKey, 15, '1', '}'),
    'white space': within('[', 15, ' '.repeat(BYTES), ']'),
    backslashes: within('[', 15, `"${'\\\\'.repeat(BYTES / 2)}"`, ']'),
  };

  const timed = (run: () => void): number => {
    const began = performance.now();
    run();
    return performance.now() - began;
  };
  const passed = (run: () => void): number => {
    const before = valuesSince(0);
    run();
    return valuesSince(before);
  };

  it.each(Object.keys(shapes))('is in proportion to that of the scan: %s', (shape) => {
    const bytes = Buffer.from(`{"messages":${shapes[shape]!}}`);
    const scan = scanned(bytes);
    const look = () => clippedView(bytes, scan);
    // Where room runs out, short lists within lists are walked again level by level, for so long as bytes are left.
    expect(passed(look)).toBeLessThanOrEqual(4 * passed(() => scanned(bytes)));
    // The best of three: the machine may be busy with something else.
    const viewMs = Math.min(timed(look), timed(look), timed(look));
    expect(viewMs).toBeLessThan(2 * timed(() => scanned(bytes)) + 100);
  });

  it('is in proportion to that of the scan, whatever is nested in what', () => {
    const opener = fc.constantFrom('[', '{"a":', '[[],', '[{"b":[1,2]},');
    const filler = fc.constantFrom('1', '"x"', '{}', '[[0]]', '{"c":"\\x"}', '{"d":[null]}');
    fc.assert(
      fc.property(fc.array(opener, { maxLength: 40 }), filler, (openers, unit) => {
        const closers = openers.map((open) => (open.startsWith('[') ? ']' : '}')).reverse();
        const inside = list(unit, 2 * PARSED_WHOLE_BYTES_MAX);
        const bytes = Buffer.from(`{"a":${openers.join('')}${inside}${closers.join('')}}`);
        const scan = scanned(bytes);
        const values = passed(() => scanned(bytes));
        expect(passed(() => clippedView(bytes, scan))).toBeLessThanOrEqual(2 * values);
      }),
      { numRuns: 100 },
    );
  });
});
