import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clippedView,
  ELEMENTS_MAX,
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

  it('keeps the first and the last elements of a long array', () => {
    const list = Array.from({ length: 10_000 }, (_, i) => i);
    const { clipped } = view(JSON.stringify({ padding, clipped: list })) as { clipped: number[] };
    expect(clipped).toHaveLength(ELEMENTS_MAX);
    expect(clipped[0]).toBe(0);
    expect(clipped.at(-1)).toBe(9_999);
  });

  it('takes no key for a prototype', () => {
    const text = `{"padding":"${padding}","__proto__":{"polluted":true}}`;
    expect(Object.getPrototypeOf(view(text))).toBe(Object.prototype);
  });
});
