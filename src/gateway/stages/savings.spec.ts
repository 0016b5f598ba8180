import { describe, expect, it } from 'vitest';
import { NO_FACTS, type PromptFacts } from '../../domain/classification/prompt-facts.js';
import { NO_USAGE, type Usage } from '../../domain/pricing/usage.js';
import type { Target } from '../../domain/routing/decision.js';
import { NO_CACHE } from '../../domain/routing/session-cache.js';
import { unseenSession } from '../../domain/routing/session-state.js';
import { PriceBook } from '../../modules/catalog/price-book.js';
import type { ExplicitCache } from '../../modules/session-routing/cache-rules.js';
import type { Attempt, Planned } from '../call.js';
import type { FailedAttempt } from './failed-attempt.js';
import type { Metering } from './meter.js';
import type { Settlement } from './relay.js';
import { savingsOf } from './savings.js';

const AT_MS = Date.parse('2026-11-20T12:00:00Z');
const PRICES = new PriceBook();

interface Case {
  readonly provider: Target['provider'];
  readonly requested: string;
  readonly served: string;
  readonly usage: Partial<Usage>;
  readonly facts?: Partial<PromptFacts>;
  readonly outcome?: Settlement['outcome'];
  readonly explicit?: ExplicitCache;
  readonly failed?: readonly Partial<FailedAttempt>[];
  /** Of the session's prompt before, by the served model's count. */
  readonly promptBefore?: number;
}

/** Of a call that a rule sent elsewhere, as far as its savings depend on it. */
function savings(given: Case) {
  const { provider, explicit = null } = given;
  const requested = { provider, model: given.requested };
  const served = { provider, model: given.served };
  const usage = { ...NO_USAGE, ...given.usage };
  const state =
    given.promptBefore === undefined
      ? null
      : unseenSession(served, NO_CACHE, 1, given.promptBefore, AT_MS);
  const call = {
    mode: 'active',
    decision: 'classifier',
    requestId: '0193e2b0-0000-7000-8000-000000000001',
    startedAtMs: AT_MS,
    principal: { orgId: 'org', projectId: 'project', negotiatedPrices: [] },
    routing: {
      inputs: { requested, auto: false, version: 'routing-1' },
      decision: { decision: 'classifier', target: served },
      sighting: { reading: { facts: { ...NO_FACTS, ...given.facts } } },
      size: { explicit, atMs: AT_MS, promptTokens: 0, state },
    },
  } as unknown as Planned;
  const settlement = {
    outcome: given.outcome ?? 'completed',
    attempt: { number: 0, ...served },
    decision: 'classifier',
    failed: given.failed ?? [],
    synthetic: false,
  } as unknown as Settlement;
  const terms = { serviceTier: null, speed: null, region: null };
  const report = { usage, answeringModel: served.model, ...terms };
  const metering = { kind: 'reported', report } as Metering;
  const rating = PRICES.rate({ ...served, ...terms, atMs: AT_MS, usage });
  return savingsOf(call, settlement, metering, rating, PRICES);
}

const TEXT = { inputTokens: 10_000, outputTokens: 500 };
const MINI = { provider: 'openai', requested: 'gpt-4o', served: 'gpt-4o-mini' } as const;

describe('what the ledger says of a routed call', () => {
  it('is its baseline less its cost', () => {
    const { entries, exclusion } = savings({ ...MINI, usage: TEXT });
    expect(exclusion).toBeNull();
    expect(entries).toMatchObject([{ kind: 'routed', baseline_usage: TEXT, usage: TEXT }]);
  });

  it('claims nothing for a call with a picture or a document, which models of one family count differently', () => {
    for (const facts of [{ hasImages: true }, { hasDocuments: true }]) {
      const none = { entries: [], exclusion: 'unpriceable', baselineNanoUsd: null };
      expect(savings({ ...MINI, usage: TEXT, facts })).toEqual(none);
    }
  });

  it('claims nothing for an answer that failed, though its error reports usage', () => {
    for (const outcome of ['upstream_error', 'truncated', 'upstream_failed'] as const) {
      const none = { entries: [], exclusion: 'failed', baselineNanoUsd: null };
      expect(savings({ ...MINI, usage: TEXT, outcome })).toEqual(none);
    }
  });

  it('claims nothing where an attempt before it fell silent, and may have cost something', () => {
    const tried = { number: 0, provider: 'openai', model: 'gpt-4.1-nano' } as Attempt;
    const silent = { attempt: tried, answered: false };
    const { exclusion } = savings({ ...MINI, usage: TEXT, failed: [silent] });
    expect(exclusion).toBe('unpriceable');
    const own = { attempt: { ...tried, model: MINI.requested }, answered: false };
    expect(savings({ ...MINI, usage: TEXT, failed: [own] }).exclusion).toBeNull();
  });

  it('leaves the served model’s reasoning out of the baseline of a model that would not have reasoned', () => {
    const usage = { ...TEXT, outputTokens: 2_000, reasoningTokens: 1_900 };
    const unasked = savings({ ...MINI, requested: 'gpt-4.1', served: 'gpt-6-luna', usage });
    expect(unasked.entries).toMatchObject([
      { usage: { outputTokens: 2_000 }, baseline_usage: { outputTokens: 100 } },
    ]);
    expect(unasked.entries[0]?.baseline_usage).not.toHaveProperty('reasoningTokens');
    const alike = savings({ ...MINI, requested: 'gpt-6-sol', served: 'gpt-6-luna', usage });
    expect(alike.entries).toMatchObject([{ baseline_usage: { outputTokens: 2_000 } }]);
  });

  it('writes the baseline’s cache at the price of the shorter lifetime where a request marks both', () => {
    const mixed = { cacheWrite1hTokens: 2_000, cacheWrite5mTokens: 28_000, outputTokens: 100 };
    const claude = { provider: 'anthropic', requested: 'claude-opus-5-5', explicit: '1h' } as const;
    const call = { ...claude, served: 'claude-haiku-5-5' };
    const [both] = savings({ ...call, usage: mixed }).entries;
    expect(both?.baseline_usage).toMatchObject({ cacheWrite5mTokens: 30_000 });
    const long = { cacheWrite1hTokens: 30_000, outputTokens: 100 };
    const [one] = savings({ ...call, usage: long }).entries;
    expect(one?.baseline_usage).toMatchObject({ cacheWrite1hTokens: 30_000 });
  });

  it('holds the prompt before in the baseline’s cache by the baseline’s own count', () => {
    const [entry] = savings({
      provider: 'anthropic',
      requested: 'claude-opus-5-5',
      served: 'claude-haiku-4-5',
      explicit: '5m',
      promptBefore: 10_000,
      usage: { cacheWrite5mTokens: 10_000, outputTokens: 100 },
    }).entries;
    expect(entry?.baseline_usage).toMatchObject({ cacheReadTokens: 13_000 });
    expect(entry?.baseline_usage).not.toHaveProperty('cacheWrite5mTokens');
  });
});
