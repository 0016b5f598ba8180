import { NO_USAGE, type Usage } from '../../../src/domain/pricing/usage.js';
import type { Target } from '../../../src/domain/routing/decision.js';
import {
  adjustmentEntries,
  failedAttemptEntry,
  routedEntry,
  type LedgerCall,
} from '../../../src/domain/savings/ledger-entries.js';
import type { LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import { tokenizerRatio } from '../../../src/domain/savings/tokenizer-ratio.js';
import { PriceBook } from '../../../src/modules/catalog/price-book.js';
import { requestIdAt } from '../records/record-samples.js';

const PRICES = new PriceBook();

/** What was asked for, and what served it: some of it dearer. */
const PAIRS = [
  ['openai', 'gpt-6-sol', 'gpt-6-luna'],
  ['openai', 'gpt-4o', 'gpt-4o-mini'],
  ['openai', 'gpt-4o-mini', 'gpt-4o'],
  ['anthropic', 'claude-opus-4-5', 'claude-haiku-4-5'],
  ['google', 'gemini-2.5-pro', 'gemini-2.5-flash'],
] as const;

/** The entries of one routed call of a made-up month, as the product makes them: prices of the catalogue, no two calls alike. */
export function entriesOfCall(orgId: string, i: number, atMs: number): readonly LedgerEntry[] {
  const [provider, requested, other] = PAIRS[i % PAIRS.length]!;
  const [baseline, served]: [Target, Target] = [
    { provider, model: requested },
    { provider, model: other },
  ];
  const usage: Usage = {
    ...NO_USAGE,
    inputTokens: (i * 7_919) % 90_001,
    cacheReadTokens: (i % 7) * 331,
    outputTokens: 1 + ((i * 104_729) % 3_001),
  };
  const call: LedgerCall = {
    orgId,
    requestId: requestIdAt(atMs, i),
    projectId: `0193e2b0-0000-7000-8000-0000000000${(10 + (i % 60)).toString(16).padStart(2, '0')}`,
    atMs,
    synthetic: i % 41 === 0,
    auto: i % 13 === 0,
    source: i % 3 === 0 ? 'session' : 'classifier',
    rulesVersion: 'routing-1',
    baseline,
  };
  const rated = (target: Target, used: Usage) =>
    PRICES.rate({ ...target, atMs, usage: used, serviceTier: null, speed: null, region: null });
  const accounted = routedEntry({
    ...call,
    served,
    metering: 'reported',
    usage,
    servedRating: rated(served, usage),
    ratio: tokenizerRatio(baseline, served),
    cache: { readTokens: (i % 11) * 1_024, writeTokens: (i % 5) * 512, writeTtl: provider === 'anthropic' ? '5m' : 'free' }, // prettier-ignore
    baselineReasons: i % 2 === 0,
    rateBaseline: (used) => rated(baseline, used),
  });
  if (accounted.kind !== 'entry') throw new Error(`call ${i} has no entry: ${accounted.why}`);
  return [...failedAttempts(call, served, usage, i), accounted.entry, ...corrections(accounted.entry, i)]; // prettier-ignore
}

/** Before every twenty-third call one of another model failed, after it had used something. */
function failedAttempts(call: LedgerCall, tried: Target, usage: Usage, i: number): LedgerEntry[] {
  if (i % 23 !== 0) return [];
  const rating = PRICES.rate({ ...tried, atMs: call.atMs, usage, serviceTier: null, speed: null, region: null }); // prettier-ignore
  const entry = failedAttemptEntry({ ...call, attempt: 0, tried, usage, rating });
  if (entry === null || entry === 'free') throw new Error(`attempt ${i} cost nothing`);
  return [entry];
}

/** Of every ninety-seventh call the prices were learned late. */
function corrections(entry: LedgerEntry, i: number): readonly LedgerEntry[] {
  if (i % 97 !== 0) return [];
  const usageOf = (counts: Readonly<Record<string, number>>): Usage => ({ ...NO_USAGE, ...counts });
  const learned = (prices: Readonly<Record<string, string>>, percent: bigint) =>
    Object.fromEntries(
      Object.entries(prices).map(([name, price]) => [name, (BigInt(price) * percent) / 100n]),
    );
  const pair = adjustmentEntries(
    entry,
    { served: usageOf(entry.usage), baseline: usageOf(entry.baseline_usage) },
    {
      atMs: entry.at_ms + 1,
      attempt: 0,
      servedPrices: learned(entry.served_prices, 83n),
      servedPriceVersion: 'agreed',
      baselinePrices: learned(entry.baseline_prices, 91n),
      baselinePriceVersion: 'agreed',
    },
  );
  if (pair === null) throw new Error(`call ${i} cannot be corrected`);
  return pair;
}
