import type { Provider } from '../../../domain/routing/provider.js';

/** What routing needs to know of a model's size. A missing number is not known. */
export interface ModelFacts {
  readonly contextTokens?: number;
  readonly maxOutputTokens?: number;
}

type FactsTable = Readonly<Record<string, ModelFacts>>;

function facts(contextTokens: number, maxOutputTokens: number, ...models: string[]): FactsTable {
  return Object.fromEntries(models.map((model) => [model, { contextTokens, maxOutputTokens }]));
}

/** Source: the providers' model pages (od:models, ad:models, gd:models, qd:models). */
export const MODEL_FACTS: Readonly<Record<Provider, FactsTable>> = {
  openai: {
    ...facts(
      1_050_000,
      128_000,
      'gpt-6.2-astra',
      'gpt-6.2-sol',
      'gpt-6.1-sol',
      'gpt-6-astra',
      'gpt-6.1-terra',
      'gpt-6-sol',
      'gpt-6-luna',
      'gpt-5.6-sol',
      'gpt-5.6-terra',
      'gpt-5.6-luna',
      'gpt-5.4',
    ),
    ...facts(1_000_000, 128_000, 'gpt-5.5'),
    ...facts(400_000, 128_000, 'gpt-5.4-mini', 'gpt-5.4-nano', 'gpt-5.2', 'gpt-5.1'),
    ...facts(400_000, 128_000, 'gpt-5', 'gpt-5-mini', 'gpt-5-nano'),
    ...facts(1_000_000, 32_000, 'gpt-4.1', 'gpt-4.1-mini'),
    ...facts(128_000, 16_000, 'gpt-4o', 'gpt-4o-mini'),
  },
  anthropic: {
    ...facts(
      1_000_000,
      128_000,
      'claude-fable-5-2',
      'claude-fable-5-1',
      'claude-fable-5',
      'claude-opus-5-5',
      'claude-opus-5',
      'claude-opus-4-8',
      'claude-opus-4-7',
      'claude-opus-4-6',
      'claude-sonnet-5-5',
      'claude-sonnet-5',
      'claude-haiku-5-5',
    ),
    'claude-sonnet-4-6': { contextTokens: 1_000_000 },
    'claude-sonnet-4-5': { contextTokens: 200_000 },
    ...facts(200_000, 64_000, 'claude-haiku-4-5'),
  },
  google: {
    // One window for input and output together.
    'gemini-4-argon': { contextTokens: 1_000_000, maxOutputTokens: 65_536 },
    'gemini-4-carbon': { contextTokens: 1_000_000, maxOutputTokens: 65_536 },
    'gemini-4-hydrogen': { contextTokens: 1_000_000, maxOutputTokens: 65_536 },
    ...facts(
      1_000_000,
      65_000,
      'gemini-3.8-flash',
      'gemini-3.7-flash',
      'gemini-3.6-flash',
      'gemini-3.5-flash',
      'gemini-3.5-flash-lite',
      'gemini-3.1-flash-lite',
      'gemini-3.1-pro-preview',
      'gemini-2.5-pro',
      'gemini-2.5-flash',
      'gemini-2.5-flash-lite',
    ),
  },
  groq: {
    ...facts(131_000, 65_000, 'openai/gpt-oss-120b', 'openai/gpt-oss-20b'),
    'qwen/qwen3-32b': { contextTokens: 131_000 },
  },
};
