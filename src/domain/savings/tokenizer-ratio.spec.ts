import { describe, expect, it } from 'vitest';
import type { Provider } from '../routing/provider.js';
import { tokenizerRatio } from './tokenizer-ratio.js';

const target = (name: string) => {
  const [provider, ...model] = name.split(' ');
  return { provider: provider as Provider, model: model.join(' ') };
};
const SAME = { numerator: 1n, denominator: 1n };

describe('the ratio of two tokenizers', () => {
  it.each([
    ['openai gpt-6-sol', 'openai gpt-6-luna'],
    ['openai gpt-4o-2024-08-06', 'openai gpt-6-luna'],
    ['openai gpt-5.4', 'openai gpt-5.4-mini-2026-03-05'],
    ['openai gpt-4o-mini', 'groq openai/gpt-oss-20b'],
    ['anthropic claude-opus-5-5', 'anthropic claude-haiku-5-5-20261007'],
    ['google gemini-4-argon', 'google models/gemini-4-hydrogen'],
    ['google gemini-3.8-flash', 'google gemini-3.5-flash-lite'],
    ['groq something/of-its-own', 'groq something/of-its-own'],
  ])('is 1 within a family: %s, %s', (baseline, served) => {
    expect(tokenizerRatio(target(baseline), target(served))).toEqual(SAME);
    expect(tokenizerRatio(target(served), target(baseline))).toEqual(SAME);
  });

  it('is what the provider says between two generations, in both directions', () => {
    const [older, newer] = [
      target('anthropic claude-haiku-4-5'),
      target('anthropic claude-haiku-5-5'),
    ];
    expect(tokenizerRatio(newer, older)).toEqual({ numerator: 13n, denominator: 10n });
    expect(tokenizerRatio(older, newer)).toEqual({ numerator: 10n, denominator: 13n });
  });

  it.each([
    ['openai gpt-6-sol', 'anthropic claude-haiku-5-5'],
    ['anthropic claude-fable-5-2', 'anthropic claude-opus-5-5'],
    ['google gemini-4-argon', 'google gemini-3.8-flash'],
    ['groq a/b', 'groq a/c'],
    ['openai gpt-40', 'openai gpt-4o'],
    ['groq gpt-6-sol', 'openai gpt-6-sol'],
  ])('is not guessed where nobody says it: %s, %s', (baseline, served) => {
    expect(tokenizerRatio(target(baseline), target(served))).toBeNull();
    expect(tokenizerRatio(target(served), target(baseline))).toBeNull();
  });
});
