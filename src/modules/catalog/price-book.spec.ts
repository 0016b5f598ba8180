import { describe, expect, it } from 'vitest';
import type { NegotiatedPrices } from '../../domain/pricing/negotiated-prices.js';
import { NO_USAGE } from '../../domain/pricing/usage.js';
import type { Usage } from '../../domain/pricing/usage.js';
import type { Provider } from '../../domain/routing/provider.js';
import { PriceBook } from './price-book.js';
import type { RateRequest } from './price-book.js';

const BOOK = new PriceBook();
const NOW_MS = Date.parse('2026-11-20T12:00:00Z');
const BOTH_WAYS: Partial<Usage> = { inputTokens: 100_000, outputTokens: 100_000 };

function request(
  provider: Provider,
  model: string | null,
  usage: Partial<Usage>,
  rest: Partial<RateRequest> = {},
): RateRequest {
  return {
    provider,
    model,
    usage: { ...NO_USAGE, ...usage },
    atMs: NOW_MS,
    serviceTier: null,
    speed: null,
    region: null,
    ...rest,
  };
}

function cost(
  provider: Provider,
  model: string | null,
  usage: Partial<Usage>,
  rest: Partial<RateRequest> = {},
): bigint | string {
  const rating = BOOK.rate(request(provider, model, usage, rest));
  return rating.kind === 'priced' ? rating.costNanoUsd : rating.reason;
}

describe('list prices', () => {
  // 100,000 in + 100,000 out at these dollars a million = (in + out) x 100,000,000 nano-USD.
  it.each([
    ['openai', 'gpt-6.2-sol', 1_200_000_000n],
    ['openai', 'gpt-6.1-terra', 600_000_000n],
    ['openai', 'gpt-6.2-astra', 4_800_000_000n],
    ['openai', 'gpt-6-luna', 60_000_000n],
    ['openai', 'gpt-5.6-sol', 2_400_000_000n],
    ['openai', 'gpt-5.2', 1_575_000_000n],
    ['openai', 'o3', 1_000_000_000n],
    ['anthropic', 'claude-fable-5-2', 4_800_000_000n],
    ['anthropic', 'claude-sonnet-4-6', 1_800_000_000n],
    ['anthropic', 'claude-sonnet-5', 1_200_000_000n],
    ['google', 'gemini-4-carbon', 1_200_000_000n],
    ['google', 'gemini-4-hydrogen', 900_000_000n],
    ['google', 'gemini-3.1-flash-lite', 175_000_000n],
    ['groq', 'qwen/qwen3.6-27b', 360_000_000n],
    ['groq', 'openai/gpt-oss-safeguard-20b', 37_500_000n],
  ] as const)('%s %s', (provider, model, expected) => {
    expect(cost(provider, model, BOTH_WAYS)).toBe(expected);
  });

  it('of claude-haiku-5-5 double in five above 100K for the whole request, cache included', () => {
    const at = (cacheReadTokens: number) =>
      cost('anthropic', 'claude-haiku-5-5', {
        inputTokens: 40_000,
        cacheReadTokens,
        outputTokens: 100,
      });
    // 40000 x 100 + 60000 x 10 + 100 x 500, and 40000 x 500 + 60001 x 50 + 100 x 2500
    expect(at(60_000)).toBe(4_650_000n);
    expect(at(60_001)).toBe(23_250_050n);
  });

  it.each(['gpt-5.4', 'gpt-5.5', 'gpt-5.6-terra', 'gpt-6-astra', 'gpt-6-sol', 'gpt-6.1-sol'])(
    'of %s step up above exactly 272,000 prompt tokens: 2x input, 1.5x output',
    (model) => {
      const at = (usage: Partial<Usage>) => BigInt(cost('openai', model, usage));
      const oneIn = at({ inputTokens: 272_000 }) / 272_000n;
      const oneOut = at({ inputTokens: 272_000, outputTokens: 1 }) - at({ inputTokens: 272_000 });
      expect(at({ inputTokens: 272_001 })).toBe(oneIn * 2n * 272_001n);
      expect(at({ inputTokens: 272_001, outputTokens: 2 }) - at({ inputTokens: 272_001 })).toBe(
        oneOut * 3n,
      );
    },
  );

  it('of gpt-5.4 at 272,000 and 272,001 tokens', () => {
    // 272000 x 2500 + 10 x 15000, and 272001 x 5000 + 10 x 22500
    const used = { outputTokens: 10 };
    expect(cost('openai', 'gpt-5.4', { inputTokens: 272_000, ...used })).toBe(680_150_000n);
    expect(cost('openai', 'gpt-5.4', { inputTokens: 272_001, ...used })).toBe(1_360_230_000n);
  });

  it('of gpt-5.4-mini are flat', () => {
    expect(cost('openai', 'gpt-5.4-mini', { inputTokens: 390_000 })).toBe(292_500_000n);
  });

  it('of a cache write depend on its time to live', () => {
    expect(cost('openai', 'gpt-6-sol', { cacheWrite30mTokens: 1 })).toBe(2_500n);
    expect(cost('openai', 'gpt-6-sol', { cacheWrite12hTokens: 1 })).toBe(5_000n);
    expect(cost('openai', 'gpt-5.4', { cacheWrite30mTokens: 1 })).toBe(2_500n);
    expect(cost('anthropic', 'claude-opus-5', { cacheWrite5mTokens: 1 })).toBe(6_250n);
    expect(cost('anthropic', 'claude-opus-5', { cacheWrite1hTokens: 1 })).toBe(10_000n);
  });

  it('of a model that is rerouted are those of the one it is billed as', () => {
    const later = { atMs: Date.parse('2026-12-01T00:00:00Z') };
    expect(cost('google', 'gemini-2.5-pro', BOTH_WAYS)).toBe(1_125_000_000n);
    expect(cost('google', 'gemini-2.5-pro', BOTH_WAYS, later)).toBe(
      cost('google', 'gemini-3.8-flash', BOTH_WAYS, later),
    );
    expect(cost('google', 'gemini-2.5-flash', BOTH_WAYS, later)).toBe(
      cost('google', 'gemini-3.5-flash-lite', BOTH_WAYS, later),
    );
  });
});

describe('what has no known price is unpriceable', () => {
  it.each([
    ['openai', 'gpt-9', {}, 'unknown_model'],
    ['groq', 'qwen/qwen3.8-27b', {}, 'unknown_model'],
    ['openai', null, {}, 'unknown_model'],
    ['openai', `gpt-4o${'x'.repeat(300)}`, {}, 'unknown_model'],
    ['openai', 'gpt-6.2-astra', { cacheReadTokens: 1 }, 'no_price_for_dimension'],
    ['openai', 'gpt-4o-mini-search-preview', { inputTokens: 1 }, 'no_price_for_dimension'],
    ['google', 'gemini-2.5-pro', { webSearchCalls: 1 }, 'no_price_for_dimension'],
    ['google', 'claude-opus-5', {}, 'unknown_model'],
  ] as const)('%s %s %j: %s', (provider, model, usage, reason) => {
    expect(cost(provider, model, usage)).toBe(reason);
  });

  it.each([
    ['openai', 'gpt-5.4', { serviceTier: 'scale' }, 'unknown_service_tier'],
    ['anthropic', 'claude-opus-5', { serviceTier: 'priority' }, 'unknown_service_tier'],
    ['groq', 'openai/gpt-oss-20b', { serviceTier: 'performance' }, 'unknown_service_tier'],
    [
      'google',
      'gemini-3.8-flash',
      { serviceTier: 'PROVISIONED_THROUGHPUT' },
      'unknown_service_tier',
    ],
    ['anthropic', 'claude-opus-5', { speed: 'ludicrous' }, 'unknown_speed'],
    ['anthropic', 'claude-opus-5', { region: 'moon' }, 'unknown_region'],
  ] as const)('%s %s %j: %s', (provider, model, terms, reason) => {
    expect(cost(provider, model, { inputTokens: 1 }, terms)).toBe(reason);
  });
});

describe('terms', () => {
  it.each([
    ['openai', 'gpt-5.4', { serviceTier: 'default' }, 2_500n],
    ['openai', 'gpt-5.4', { serviceTier: 'flex' }, 1_250n],
    ['openai', 'gpt-5.4', { serviceTier: 'batch' }, 1_250n],
    ['openai', 'gpt-5.4', { serviceTier: 'fast' }, 5_000n],
    ['openai', 'gpt-5.4', { serviceTier: 'flex', region: 'eu' }, 1_375n],
    ['openai', 'gpt-4.1', { serviceTier: 'priority' }, 3_500n],
    ['anthropic', 'claude-opus-5', { serviceTier: 'standard', region: 'global' }, 5_000n],
    ['anthropic', 'claude-opus-5', { serviceTier: 'batch' }, 2_500n],
    ['anthropic', 'claude-opus-5', { serviceTier: 'batch', region: 'us' }, 2_750n],
    ['anthropic', 'claude-opus-5', { speed: 'fast', region: 'us' }, 11_000n],
    ['anthropic', 'claude-opus-4-8', { speed: 'fast' }, 10_000n],
    ['anthropic', 'claude-opus-4-6', { speed: 'fast' }, 30_000n],
    ['openai', 'gpt-5.5', { serviceTier: 'priority' }, 12_500n],
    ['google', 'gemini-3.8-flash', { serviceTier: 'priority' }, 1_350n],
    ['google', 'gemini-3.8-flash', { serviceTier: 'flex' }, 375n],
    ['groq', 'openai/gpt-oss-120b', { serviceTier: 'flex' }, 150n],
    ['groq', 'openai/gpt-oss-120b', { serviceTier: 'on_demand' }, 150n],
  ] as const)('%s %s %j: %s nano-USD a token', (provider, model, terms, expected) => {
    expect(cost(provider, model, { inputTokens: 1 }, terms)).toBe(expected);
  });

  it('leave the fee of a search alone', () => {
    const terms = { speed: 'fast', region: 'us' };
    expect(cost('anthropic', 'claude-opus-5', { webSearchCalls: 1 }, terms)).toBe(10_000_000n);
  });
});

describe('names', () => {
  it.each([
    ['openai', 'gpt-4o-2024-08-06', 'gpt-4o'],
    ['openai', 'gpt-4o-2024-05-13', 'gpt-4o-2024-05-13'],
    ['openai', 'gpt-6.1-sol-2026-09-30', 'gpt-6.1-sol'],
    ['openai', 'gpt-5.5-2026-11-02', 'gpt-5.5'],
    ['openai', 'GPT-4o', 'gpt-4o'],
    ['openai', 'ft:gpt-4o-2024-08-06:acme::abc', 'ft:gpt-4o'],
    ['anthropic', 'claude-haiku-4-5-20251001', 'claude-haiku-4-5'],
    ['anthropic', 'claude-3-5-haiku-latest', 'claude-3-5-haiku-latest'],
    ['anthropic', 'claude-sonnet-4-5', 'claude-sonnet-4-5'],
    ['anthropic', 'claude-sonnet-5-5-20261007', 'claude-sonnet-5-5'],
    ['anthropic', 'claude-sonnet-5', 'claude-sonnet-5'],
    ['google', 'models/gemini-3.8-flash', 'gemini-3.8-flash'],
    ['google', 'gemini-2.5-pro-preview-05-06', 'gemini-2.5-pro'],
    ['google', 'gemini-2.5-flash-preview-09-2025', 'gemini-2.5-flash'],
    ['google', 'gemini-3.1-flash-lite-preview', 'gemini-3.1-flash-lite'],
    ['groq', 'openai/gpt-oss-120b', 'openai/gpt-oss-120b'],
  ] as const)('%s %s means %s', (provider, name, expected) => {
    expect(BOOK.canonicalModel(provider, name)).toBe(expected);
  });

  it.each([
    ['anthropic', 'claude-sonnet-5-7'],
    ['anthropic', 'claude-opus-4-9'],
    ['anthropic', 'claude-haiku-5-5-mini'],
    ['google', 'gemini-3.6-flash-image'],
    ['google', 'gemini-3.8-flash-lite'],
    ['openai', 'gpt-5.4-micro'],
    ['openai', ''],
    ['openai', '__proto__'],
  ] as const)('%s %s is not taken for a model with a similar name', (provider, name) => {
    expect(BOOK.canonicalModel(provider, name)).toBeNull();
  });

  it('are remembered, known and unknown, without changing the answer', () => {
    for (let round = 0; round < 3; round += 1) {
      expect(BOOK.canonicalModel('openai', 'gpt-4o-2024-11-20')).toBe('gpt-4o');
      expect(BOOK.canonicalModel('openai', 'nothing')).toBeNull();
    }
  });
});

describe('negotiated prices', () => {
  const agreement: NegotiatedPrices = {
    provider: 'openai',
    model: 'gpt-5.4',
    effectiveFromMs: Date.parse('2026-11-01T00:00:00Z'),
    revision: 0,
    prices: { inputTokens: 1_000_000_000n },
    tiers: [],
  };
  const negotiated = [agreement];

  it('are laid over the list from their date on, and named in the price version', () => {
    const usage = { inputTokens: 10, outputTokens: 1 };
    const rating = BOOK.rate(request('openai', 'gpt-5.4-2026-03-05', usage, { negotiated }));
    expect(rating).toMatchObject({
      kind: 'priced',
      costNanoUsd: 25_000n,
      priceVersion: `${BOOK.version}+negotiated.2026-11-01.0`,
    });
    const before = { negotiated, atMs: agreement.effectiveFromMs - 1 };
    expect(cost('openai', 'gpt-5.4', usage, before)).toBe(40_000n);
  });

  it('keep the multipliers of the list', () => {
    const terms = { negotiated, serviceTier: 'flex' };
    expect(cost('openai', 'gpt-5.4', { inputTokens: 10 }, terms)).toBe(5_000n);
  });

  it('price a model that the catalog lacks', () => {
    const own = [{ ...agreement, model: 'gpt-private' }];
    expect(cost('openai', 'gpt-private', { inputTokens: 10 }, { negotiated: own })).toBe(10_000n);
    expect(cost('openai', 'gpt-private', { outputTokens: 1 }, { negotiated: own })).toBe(
      'no_price_for_dimension',
    );
  });

  it('of other models change nothing', () => {
    expect(cost('openai', 'gpt-4o', { inputTokens: 10 }, { negotiated })).toBe(25_000n);
  });
});

describe('the version', () => {
  it('is the same for the same catalog, and every rating names it', () => {
    expect(new PriceBook().version).toBe(BOOK.version);
    expect(BOOK.version).toMatch(/^\d{4}-\d{2}-\d{2}\.[0-9a-f]{12}$/);
    expect(BOOK.rate(request('openai', 'gpt-9', {})).priceVersion).toBe(BOOK.version);
    expect(BOOK.rate(request('openai', 'gpt-4o', {})).priceVersion).toBe(BOOK.version);
  });
});

describe('facts for routing', () => {
  it('name the context window and the longest output where known', () => {
    expect(BOOK.facts('anthropic', 'claude-haiku-4-5-20251001')).toEqual({
      contextTokens: 200_000,
      maxOutputTokens: 64_000,
    });
    expect(BOOK.facts('openai', 'gpt-9')).toBeNull();
  });
});
