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
  readonly decision?: 'classifier' | 'control';
  readonly failed?: readonly Partial<FailedAttempt>[];
  /** The system prompt's part of the request, where other sessions used it lately at the requested model. */
  readonly sharedPercent?: number;
  /** Of the session's prompt before, by the served model's count. */
  readonly promptBefore?: number;
}

/** Of a call that a rule sent elsewhere, as far as its savings depend on it. */
function savings(given: Case) {
  const { provider, explicit = null, decision = 'classifier' } = given;
  const requested = { provider, model: given.requested };
  const served = { provider, model: given.served };
  const usage = { ...NO_USAGE, ...given.usage };
  const state =
    given.promptBefore === undefined
      ? null
      : unseenSession(served, NO_CACHE, 1, given.promptBefore, AT_MS);
  const call = {
    mode: 'active',
    decision,
    requestId: '0193e2b0-0000-7000-8000-000000000001',
    startedAtMs: AT_MS,
    route: { format: provider === 'anthropic' ? 'anthropic_messages' : 'openai_chat' },
    sharedPrefix: {
      use: { known: given.sharedPercent === undefined ? 0 : 1 },
      checkpoints: 1,
      leadingBytes: 100 * (given.sharedPercent ?? 0),
      bodyBytes: 10_000,
    },
    principal: { orgId: 'org', projectId: 'project', negotiatedPrices: [] },
    routing: {
      inputs: { requested, auto: false, version: 'routing-1' },
      decision: { decision, target: served },
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
const NONE = { entries: [], baselineNanoUsd: null, unknownCostAttempts: 0 } as const;
const MINI = { provider: 'openai', requested: 'gpt-4o', served: 'gpt-4o-mini' } as const;

const TRIED = { number: 0, provider: 'openai', model: 'gpt-4.1-nano' } as Attempt;

/** An attempt whose whole answer was read. */
function stating(answer: unknown, model = TRIED.model): Partial<FailedAttempt> {
  return { attempt: { ...TRIED, model }, usage: 'stated', answer };
}

describe('what the ledger says of a routed call', () => {
  it('is its baseline less its cost', () => {
    const { entries, exclusion } = savings({ ...MINI, usage: TEXT });
    expect(exclusion).toBeNull();
    expect(entries).toMatchObject([{ kind: 'routed', baseline_usage: TEXT, usage: TEXT }]);
  });

  it('claims nothing for a call with a picture or a document, which models of one family count differently', () => {
    for (const facts of [{ hasImages: true }, { hasDocuments: true }]) {
      const none = { ...NONE, exclusion: 'unpriceable' };
      expect(savings({ ...MINI, usage: TEXT, facts })).toEqual(none);
    }
  });

  it('claims nothing for an answer that failed, though its error reports usage', () => {
    for (const outcome of ['upstream_error', 'truncated', 'upstream_failed'] as const) {
      const none = { ...NONE, exclusion: 'failed' };
      expect(savings({ ...MINI, usage: TEXT, outcome })).toEqual(none);
    }
  });

  it.each<[string, Partial<FailedAttempt>]>([
    ['fell silent after it was sent, or said more than was read', { usage: 'unknown' }],
    ['used what has no price', stating({ usage: { prompt_tokens: 9 } }, 'gpt-none')],
    ['used what cannot be read', stating({ usage: { completion_tokens: 9 } })],
    ['used what cannot be read, in its error', stating({ error: { usage: { tokens: 9 } } })],
  ])('claims nothing where an attempt before it %s: its cost is not known', (_, attempt) => {
    const failed = [{ attempt: TRIED, ...attempt }];
    const said = savings({ ...MINI, usage: TEXT, failed });
    expect(said).toEqual({ ...NONE, exclusion: 'unpriceable', unknownCostAttempts: 1 });
    // What the requested model costs for failing, it would have cost without Shunt; it is not known either.
    const own = [{ ...attempt, attempt: { ...TRIED, model: MINI.requested } }];
    const alone = savings({ ...MINI, usage: TEXT, failed: own });
    expect(alone).toMatchObject({ exclusion: null, unknownCostAttempts: 1 });
  });

  it.each(['classifier', 'control'] as const)(
    'says of a %s call that an attempt at the model asked for cost what no entry states',
    (decision) => {
      const own = { ...TRIED, model: MINI.requested };
      const stated = {
        ...stating({ usage: { prompt_tokens: 9, completion_tokens: 9 } }),
        attempt: own,
      };
      for (const attempt of [stated, { attempt: own, usage: 'unknown' as const }]) {
        const said = savings({ ...MINI, usage: TEXT, decision, failed: [attempt] });
        expect(said.unknownCostAttempts).toBe(1);
        expect(said.entries.map(({ kind }) => kind)).toEqual(
          decision === 'control' ? [] : ['routed'],
        );
      }
    },
  );

  it.each<[string, Partial<FailedAttempt>]>([
    ['never reached its provider', { usage: 'nothing' }],
    ['was refused with an error that says nothing of usage', stating({ error: { code: 'x' } })],
    ['was refused with an error that says there was none', stating({ error: {}, usage: null })],
    ['was refused with what is not JSON', stating(undefined)],
    ['was refused in a list', stating([{ error: { message: 'busy' } }])],
  ])('counts an attempt that %s as one that cost nothing', (_, attempt) => {
    const said = savings({ ...MINI, usage: TEXT, failed: [{ attempt: TRIED, ...attempt }] });
    expect(said).toMatchObject({ exclusion: null, unknownCostAttempts: 0 });
    expect(said.entries.map(({ kind }) => kind)).toEqual(['routed']);
  });

  it('counts what a failed attempt says that it used, in a list of answers too', () => {
    const answer = [{ error: {}, usage: { prompt_tokens: 1_000, completion_tokens: 0 } }];
    const said = savings({
      ...MINI,
      usage: TEXT,
      failed: [{ attempt: TRIED, ...stating(answer) }],
    });
    expect(said.entries.map(({ kind }) => kind)).toEqual(['failed_attempt', 'routed']);
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

  it('reads what other sessions used lately from the baseline’s cache, by its share of the request', () => {
    const sol = { provider: 'openai', requested: 'gpt-6-sol', served: 'gpt-6-luna' } as const;
    const prompt = { inputTokens: 2_999, outputTokens: 100 };
    const [shared] = savings({ ...sol, usage: prompt, sharedPercent: 80 }).entries;
    expect(shared?.baseline_usage).toMatchObject({
      cacheReadTokens: 2_400,
      cacheWrite30mTokens: 599,
    });
    const [alone] = savings({ ...sol, usage: prompt }).entries;
    expect(alone?.baseline_usage).toMatchObject({ cacheWrite30mTokens: 2_999 });
    expect(alone?.baseline_usage).not.toHaveProperty('cacheReadTokens');
  });

  it('writes nothing to the baseline’s cache where a substitute that keeps nothing hides what is marked', () => {
    const call = {
      provider: 'anthropic',
      requested: 'claude-opus-5-5',
      served: 'claude-haiku-5-5',
      explicit: '5m',
      usage: { inputTokens: 3_000, outputTokens: 100 },
    } as const;
    const [first] = savings(call).entries;
    expect(first?.baseline_usage).toEqual({ inputTokens: 3_000, outputTokens: 100 });
    const [shared] = savings({ ...call, sharedPercent: 90 }).entries;
    expect(shared?.baseline_usage).toEqual({
      inputTokens: 300,
      cacheReadTokens: 2_700,
      outputTokens: 100,
    });
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
