import { recomputeCost } from '../../../src/domain/pricing/price-record.js';
import type { LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import { PROJECT, requestIdAt } from '../records/record-samples.js';

/** Prices and usages as they occur: with odd halves, caches and several dimensions. */
const SERVED_PRICES = {
  inputTokens: '100000000',
  cacheReadTokens: '10000001',
  outputTokens: '500000000',
};
const BASELINE_PRICES = {
  inputTokens: '2000000000',
  cacheReadTokens: '200000000',
  cacheWrite30mTokens: '2500000000',
  outputTokens: '10000000000',
};

/** A routed call, whose amounts follow from its usage and prices unless they are given. */
export function routedEntryOf(orgId: string, changes: Partial<LedgerEntry> = {}): LedgerEntry {
  const atMs = changes.at_ms ?? Date.now();
  const requestId = changes.request_id ?? requestIdAt(atMs);
  const entry = {
    org_id: orgId,
    request_id: requestId,
    kind: 'routed',
    attempt: 0,
    at_ms: atMs,
    project_id: PROJECT,
    synthetic: false,
    auto: false,
    decision_source: 'classifier',
    decision_id: `${requestId}:rules-1`,
    baseline_provider: 'openai',
    baseline_model: 'gpt-6-sol',
    served_provider: 'openai',
    served_model: 'gpt-6-luna',
    usage: { inputTokens: 1_201, cacheReadTokens: 333, outputTokens: 257, reasoningTokens: 9 },
    served_prices: SERVED_PRICES,
    served_price_version: '2026-11-20.1',
    baseline_usage: { inputTokens: 201, cacheWrite30mTokens: 1_333, outputTokens: 257 },
    baseline_method: 'baseline-1',
    baseline_prices: BASELINE_PRICES,
    baseline_price_version: '2026-11-20.1',
    ...changes,
  } as const;
  const actual = recomputeCost(entry.usage, entry.served_prices) ?? 0n;
  const baseline = recomputeCost(entry.baseline_usage, entry.baseline_prices) ?? 0n;
  return {
    ...entry,
    actual_nano_usd: String(actual),
    baseline_nano_usd: String(baseline),
    savings_nano_usd: String(baseline - actual),
    ...changes,
  };
}

/** What a test needs much of: entries whose figures differ, each by its number. */
export function variedEntryOf(orgId: string, n: number, atMs = 1_790_000_000_000): LedgerEntry {
  const odd = (n * 2_654_435_761) % 4_294_967_296;
  return routedEntryOf(orgId, {
    request_id: requestIdAt(atMs + n, n),
    at_ms: atMs + n,
    synthetic: n % 17 === 0,
    auto: n % 5 === 0,
    usage: { inputTokens: odd % 9_001, cacheReadTokens: odd % 523, outputTokens: odd % 1_999 },
    served_prices: { ...SERVED_PRICES, inputTokens: String(100_000_000 + (odd % 1_000_003)) },
    // Some cost more than their baseline would have.
    baseline_usage: { inputTokens: odd % 4_001, outputTokens: (odd % 1_999) >> (n % 7) },
  });
}
