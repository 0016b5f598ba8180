import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AnswerReader } from './answer-reader.js';
import { EventStreamReader } from './event-stream-reader.js';
import { HeldBytes, LastBytes } from './held-bytes.js';
import { JsonBodyReader } from './json-body-reader.js';
import { streamMarks } from './stream-marks.js';
import { UsageStripper } from './usage-stripper.js';

const pieces = fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 30 });

describe('held bytes', () => {
  it('are given back as they came, up to the bound and never beyond it', () => {
    fc.assert(
      fc.property(pieces, (all) => {
        const held = new HeldBytes(2_000);
        const taken: Uint8Array[] = [];
        for (const piece of all) {
          const fits = held.length + piece.length <= 2_000;
          expect(held.append(Buffer.from(piece))).toBe(fits);
          if (fits) taken.push(piece);
        }
        expect(held.take()).toEqual(Buffer.concat(taken));
        expect(held.length).toBe(0);
      }),
    );
  });

  it('that were handed over are not written to again', () => {
    const held = new HeldBytes(100);
    held.append(Buffer.from('first'));
    const first = held.take();
    held.append(Buffer.from('second'));
    expect(first.toString()).toBe('first');
  });

  it('at the end of a stream are its last ones, however it is cut', () => {
    fc.assert(
      fc.property(pieces, (all) => {
        const last = new LastBytes(500);
        for (const piece of all) last.append(Buffer.from(piece));
        expect(last.view()).toEqual(Buffer.concat(all).subarray(-500));
      }),
    );
  });
});

const READERS: readonly (readonly [string, () => AnswerReader])[] = [
  ['an event stream', () => new EventStreamReader(streamMarks('openai_chat'))],
  ['a stream with injected usage', () => new UsageStripper()],
  ['a JSON body', () => new JsonBodyReader(new Set(['usage']))],
];

describe('an answer that comes byte by byte', () => {
  it.each(READERS)('costs memory for its bytes alone: %s', (_, make) => {
    const reader = make();
    reader.feed(Buffer.from('data: "'));
    for (let i = 0; i < 100_000; i++) reader.feed(Buffer.from('a'));
    expect(reachable(reader)).toBeLessThan(1_000);
  });
});

/** How many objects can be reached from a value by its members. */
function reachable(root: object): number {
  const seen = new Set<object>([root]);
  for (const value of seen) {
    if (ArrayBuffer.isView(value)) continue;
    for (const inner of Object.values(value)) {
      if (typeof inner === 'object' && inner !== null) seen.add(inner as object);
    }
  }
  return seen.size;
}
