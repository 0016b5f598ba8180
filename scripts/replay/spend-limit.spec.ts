import { describe, expect, test } from 'vitest';
import { SpendLimit } from './spend-limit.js';

const AT_MS = Date.parse('2026-11-20');
const MODEL = 'gpt-4o';

describe('SpendLimit', () => {
  test('what is set aside and spent together never passes the limit', () => {
    const limit = new SpendLimit(0.05, 'openai', AT_MS);
    const reserved: bigint[] = [];
    for (;;) {
      const reservation = limit.reserve(MODEL, 2_000, 512);
      if (reservation.kind !== 'reserved') break;
      reserved.push(reservation.nanoUsd);
    }
    expect(reserved.length).toBeGreaterThan(1);
    for (const nanoUsd of reserved) limit.settle(MODEL, nanoUsd, null);
    expect(limit.spentUsd).toBeGreaterThan(0.04);
    expect(limit.spentUsd).toBeLessThanOrEqual(0.05);
  });

  test('what a call did not use is free for the next one', () => {
    const limit = new SpendLimit(0.01, 'openai', AT_MS);
    for (let at = 0; at < 100; at += 1) {
      const reservation = limit.reserve(MODEL, 2_000, 512);
      if (reservation.kind !== 'reserved') throw new Error('Nothing was left.');
      limit.settle(MODEL, reservation.nanoUsd, { inputTokens: 1, outputTokens: 1 });
    }
    // 100 x (1 x 2.5 + 1 x 10) USD a million.
    expect(limit.spentUsd).toBeCloseTo(0.00125, 9);
  });

  test('a model without a price is not called', () => {
    const limit = new SpendLimit(10, 'openai', AT_MS);
    expect(limit.reserve('no-such-model', 10, 10)).toEqual({ kind: 'unpriced' });
  });
});
