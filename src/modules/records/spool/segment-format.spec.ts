import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHeader, decodeSegment, encodeFrame } from './segment-format.js';
import { SpoolKeys } from './spool-keys.js';

const secret = randomBytes(32);
const keys = new SpoolKeys({ current: secret, previous: null });

function segmentOf(groups: readonly (readonly string[])[]): { bytes: Buffer; frameEnds: number[] } {
  const { header, dataKey } = createHeader(keys);
  const parts = [header];
  const frameEnds: number[] = [];
  for (const [index, lines] of groups.entries()) {
    const text = lines.map((line) => `${line}\n`).join('');
    parts.push(encodeFrame(dataKey.key, index, lines.length, text));
    frameEnds.push(parts.reduce((sum, part) => sum + part.length, 0));
  }
  return { bytes: Buffer.concat(parts), frameEnds };
}

describe('a segment', () => {
  it('gives back every line, in order', () => {
    const { bytes } = segmentOf([['s{"a":1}', 'f{"ü":"€"}'], ['f{}']]);
    expect(decodeSegment(bytes, keys)).toEqual({
      lines: ['s{"a":1}', 'f{"ü":"€"}', 'f{}'],
      torn: 0,
      corrupt: 0,
    });
  });

  it('holds nothing that can be read without the key', () => {
    const { bytes } = segmentOf([['f{"customer_id":"plainly visible"}']]);
    expect(bytes.includes('plainly')).toBe(false);
    const stranger = new SpoolKeys({ current: randomBytes(32), previous: null });
    expect(decodeSegment(bytes, stranger).lines).toBeNull();
  });

  it('stays readable under the previous key, and does not without it', () => {
    const { bytes } = segmentOf([['f{}']]);
    const rotated = { current: randomBytes(32), previous: secret };
    expect(decodeSegment(bytes, new SpoolKeys(rotated)).lines).toEqual(['f{}']);
    const forgotten = new SpoolKeys({ ...rotated, previous: null });
    expect(decodeSegment(bytes, forgotten).lines).toBeNull();
  });

  it('never repeats a ciphertext for the same lines', () => {
    const [one, other] = [segmentOf([['f{}'], ['f{}']]), segmentOf([['f{}']])];
    expect(one.bytes.subarray(-18).equals(other.bytes.subarray(-18))).toBe(false);
  });

  it('cut off anywhere keeps all whole frames and counts at most one torn', () => {
    const groups = [['f{"n":1}', 'f{"n":2}'], ['f{"n":3}'], ['f{"n":4}', 'f{"n":5}']];
    const { bytes, frameEnds } = segmentOf(groups);
    for (let length = 0; length <= bytes.length; length++) {
      const whole = frameEnds.filter((end) => end <= length).length;
      const decoded = decodeSegment(bytes.subarray(0, length), keys);
      expect(decoded.lines).toEqual(groups.slice(0, whole).flat());
      expect(decoded.corrupt).toBe(0);
      expect(decoded.torn).toBeLessThanOrEqual(1);
    }
  });

  it('with one changed byte loses at most the frame it is in', () => {
    const groups = [['f{"n":1}'], ['f{"n":2}'], ['f{"n":3}']];
    const { bytes, frameEnds } = segmentOf(groups);
    const [firstFrameAt, end] = [frameEnds[0]! - (frameEnds[1]! - frameEnds[0]!), bytes.length];
    fc.assert(
      fc.property(
        fc.integer({ min: firstFrameAt, max: end - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, flip) => {
          const damaged = Buffer.from(bytes);
          damaged[at] = damaged[at]! ^ flip;
          const hit = frameEnds.findIndex((frameEnd) => at < frameEnd);
          const decoded = decodeSegment(damaged, keys);
          expect(decoded.lines).toEqual(groups.filter((_, index) => index !== hit).flat());
          expect(decoded.corrupt + decoded.torn).toBe(1);
        },
      ),
    );
  });

  it('refuses a frame moved to another place in the file', () => {
    const { bytes, frameEnds } = segmentOf([['f{"n":1}'], ['f{"n":2}']]);
    const forged = Buffer.from(bytes);
    forged.writeUInt32LE(7, frameEnds[0]! + 8);
    expect(decodeSegment(forged, keys).lines).toEqual(['f{"n":1}']);
  });
});
