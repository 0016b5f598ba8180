import { describe, expect, it } from 'vitest';
import { entryAt, prepareModelPrices, pricesForPrompt } from './model-prices.js';
import type { PriceTerms } from './model-prices.js';
import { negotiatedAt, overlayNegotiated } from './negotiated-prices.js';
import type { NegotiatedPrices } from './negotiated-prices.js';

const TERMS: PriceTerms = { serviceTier: new Map(), speed: new Map(), region: new Map() };
const LIST = prepareModelPrices('m', [
  {
    effectiveFromMs: 0,
    prices: { inputTokens: 10n, imageInputTokens: 10n, audioInputTokens: 50n, outputTokens: 40n },
    tiers: [{ abovePromptTokens: 100, prices: { inputTokens: 20n, outputTokens: 60n } }],
    terms: TERMS,
    source: 'list',
  },
]);

function agreement(rest: Partial<NegotiatedPrices>): NegotiatedPrices {
  return {
    provider: 'openai',
    model: 'm',
    effectiveFromMs: 0,
    revision: 0,
    prices: {},
    tiers: [],
    ...rest,
  };
}

function pricesAt(negotiated: NegotiatedPrices, promptSize: number) {
  const entry = entryAt(overlayNegotiated(LIST, negotiated, 5, TERMS), 5);
  return entry === null ? null : pricesForPrompt(entry, promptSize);
}

describe('the agreement in force', () => {
  const old = agreement({ effectiveFromMs: 1 });
  const current = agreement({ effectiveFromMs: 3 });
  const corrected = agreement({ effectiveFromMs: 3, revision: 1 });
  const future = agreement({ effectiveFromMs: 9 });

  it('is the newest that has begun, in its latest revision, in whatever order they come', () => {
    for (const list of [
      [old, current, corrected, future],
      [future, corrected, current, old],
    ]) {
      expect(negotiatedAt(list, 'openai', ['m'], 5)).toBe(corrected);
    }
    expect(negotiatedAt([current, old], 'openai', ['m'], 2)).toBe(old);
    expect(negotiatedAt([current, old], 'openai', ['m'], 0)).toBeNull();
  });

  it('is of the same provider and model', () => {
    expect(negotiatedAt([old], 'groq', ['m'], 5)).toBeNull();
    expect(negotiatedAt([old], 'openai', ['other'], 5)).toBeNull();
    expect(negotiatedAt([old], 'openai', ['other', 'm'], 5)).toBe(old);
  });
});

describe('a negotiated price', () => {
  it('replaces what it names, and what is priced like it, and leaves the rest to the list', () => {
    expect(pricesAt(agreement({ prices: { inputTokens: 7n } }), 1)).toEqual({
      inputTokens: 7n,
      imageInputTokens: 7n,
      audioInputTokens: 50n,
      outputTokens: 40n,
    });
  });

  it('holds above the list tier too, where the rest pays the tier', () => {
    expect(pricesAt(agreement({ prices: { inputTokens: 7n } }), 101)).toEqual({
      inputTokens: 7n,
      outputTokens: 60n,
    });
  });

  it('can have tiers of its own, merged with those of the list', () => {
    const tiered = agreement({
      prices: { inputTokens: 7n },
      tiers: [{ abovePromptTokens: 500, prices: { inputTokens: 8n } }],
    });
    expect(pricesAt(tiered, 500)).toEqual({ inputTokens: 7n, outputTokens: 60n });
    expect(pricesAt(tiered, 501)).toEqual({ inputTokens: 8n, outputTokens: 60n });
  });

  it('prices a model that no list has', () => {
    const own = overlayNegotiated(null, agreement({ prices: { inputTokens: 1n } }), 5, TERMS);
    expect(entryAt(own, 5)?.prices).toEqual({ inputTokens: 1n });
  });
});
