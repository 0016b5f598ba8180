import { createSecretKey, hash, type KeyObject } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isControl } from './session-control.js';

const SESSIONS = 40_000;
/** One degree of freedom, one in ten thousand; the keys are fixed, so the test is not a matter of luck. */
const CHI_SQUARE_MAX = 15.14;

const keyOf = (organization: string): KeyObject =>
  createSecretKey(hash('sha256', organization, 'buffer'));

/** As the gateway does it: a keyed hash of the purpose and the session's key. */
function member(key: KeyObject, session: string, shareBasisPoints: number): boolean {
  const text = `${key.export().toString('base64')}control\0${session}`;
  return isControl(hash('sha256', text, 'buffer').subarray(0, 16), shareBasisPoints);
}

function chiSquare(observed: number, expected: number, of: number): number {
  const off = (observed - expected) ** 2;
  return off / expected + off / (of - expected);
}

describe('the control group', () => {
  it.each([50, 200, 1_000, 5_000])('holds its share of the sessions: %i basis points', (share) => {
    const key = keyOf('a');
    let members = 0;
    for (let at = 0; at < SESSIONS; at += 1) if (member(key, `session-${at}`, share)) members += 1;
    expect(chiSquare(members, (SESSIONS * share) / 10_000, SESSIONS)).toBeLessThan(CHI_SQUARE_MAX);
  });

  it('is another one for each organization: that one takes a session tells nothing of the other', () => {
    const [a, b] = [keyOf('a'), keyOf('b')];
    let both = 0;
    let onlyA = 0;
    for (let at = 0; at < SESSIONS; at += 1) {
      const session = `session-${at}`;
      if (!member(a, session, 2_000)) continue;
      if (member(b, session, 2_000)) both += 1;
      else onlyA += 1;
    }
    expect(chiSquare(both, (both + onlyA) * 0.2, both + onlyA)).toBeLessThan(CHI_SQUARE_MAX);
  });

  it('keeps a session, and keeps it when the share grows', () => {
    const share = fc.nat(10_000);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), share, share, (hashed, a, b) => {
        expect(isControl(hashed, a)).toBe(isControl(hashed, a));
        if (isControl(hashed, Math.min(a, b))) expect(isControl(hashed, Math.max(a, b))).toBe(true);
      }),
    );
  });

  it('is nobody at 0 and everybody at 10,000', () => {
    for (const hashed of [0n, 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(isControl(hashed, 0)).toBe(false);
      expect(isControl(hashed, 10_000)).toBe(true);
    }
    expect(() => isControl(new Uint8Array(7), 200)).toThrow(RangeError);
  });
});
