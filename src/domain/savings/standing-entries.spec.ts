import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { costOf } from '../pricing/rating.js';
import { NO_USAGE, type Usage } from '../pricing/usage.js';
import { adjustmentEntries, failedAttemptEntry } from './ledger-entries.js';
import type { LedgerEntry } from './ledger-entry.js';
import { standingEntries } from './standing-entries.js';

const USAGE: Usage = { ...NO_USAGE, inputTokens: 1_000_000 };
const PRICES = fc.bigInt({ min: 0n, max: 5n });

/** Attempts of one request that are alike in all but their number. */
function attempts(count: number, price: bigint): LedgerEntry[] {
  const frozen = { inputTokens: price };
  return Array.from({ length: count }, (_, attempt) => {
    const entry = failedAttemptEntry({
      orgId: '0193e2b0-0000-7000-8000-00000000000a',
      requestId: '0193e2b0-0000-7000-8000-000000000001',
      projectId: '0193e2b0-0000-7000-8000-0000000000aa',
      atMs: 1_790_000_000_000,
      synthetic: false,
      auto: false,
      source: 'fallback',
      rulesVersion: 'routing-1',
      baseline: { provider: 'openai', model: 'gpt-6-sol' },
      tried: { provider: 'openai', model: 'gpt-6-luna' },
      attempt,
      usage: USAGE,
      rating: {
        kind: 'priced',
        costNanoUsd: costOf(USAGE, frozen) ?? 0n,
        frozen,
        priceVersion: 'list',
      },
    });
    if (entry === null || entry === 'free') throw new Error('it cost nothing');
    return entry;
  });
}

function corrected(entries: readonly LedgerEntry[], which: number, price: bigint): LedgerEntry[] {
  const { entries: standing, nextAttempt } = standingEntries(entries)!;
  const pair = adjustmentEntries(
    standing[which % standing.length]!,
    { served: USAGE, baseline: NO_USAGE },
    {
      atMs: 1_790_000_000_001,
      attempt: nextAttempt,
      servedPrices: { inputTokens: price },
      servedPriceVersion: 'late',
      baselinePrices: {},
      baselinePriceVersion: 'none',
    },
  );
  return [...entries, ...pair!];
}

const total = (entries: readonly LedgerEntry[]): bigint =>
  entries.reduce((sum, entry) => sum + BigInt(entry.actual_nano_usd), 0n);

describe('what stands of the entries of a request', () => {
  it('is as many as there were, and comes to the same as all of them, whatever was corrected to nothing and back', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.tuple(fc.nat(2), PRICES), { maxLength: 12 }),
        (count, corrections) => {
          let entries = attempts(count, 3n);
          for (const [which, price] of corrections) entries = corrected(entries, which, price);
          const standing = standingEntries(entries.toReversed());
          expect(standing?.entries).toHaveLength(count);
          expect(total(standing!.entries)).toBe(total(entries));
          expect(standing?.nextAttempt).toBe(corrections.length * 2);
        },
      ),
    );
  });

  it('is not known where something is taken back that was never said', () => {
    const [, takenBack] = corrected(attempts(1, 3n), 0, 4n);
    expect(standingEntries([takenBack!])).toBeNull();
  });

  it('leaves a number out where an entry is said for the first time', () => {
    const said = { ...attempts(1, 3n)[0]!, kind: 'adjustment', attempt: 1 } as const;
    expect(standingEntries([said])).toEqual({ entries: [said], nextAttempt: 2 });
  });
});
