import type { Provider } from '../../../domain/routing/provider.js';

const AFTER_ASTRA = ['gpt-6.2-sol', 'gpt-6.1-sol', 'gpt-6.1-terra', 'gpt-6-luna'];
const AFTER_FABLE = ['claude-opus-5-5', 'claude-sonnet-5-5', 'claude-haiku-5-5'];
const AFTER_GEMINI_4 = ['gemini-4-hydrogen', 'gemini-3.8-flash', 'gemini-3.5-flash-lite'];

/**
 * Models of the same provider that can stand in for one, dearest first. Whether one may is decided per
 * request: tools, effort, thinking state and prompt size differ between them.
 */
export const SUBSTITUTES: Readonly<Record<Provider, Readonly<Record<string, readonly string[]>>>> =
  {
    openai: {
      'gpt-6-astra': AFTER_ASTRA,
      'gpt-6.2-sol': AFTER_ASTRA.slice(2),
      'gpt-6.1-sol': AFTER_ASTRA.slice(2),
      'gpt-6.1-terra': AFTER_ASTRA.slice(3),
      'gpt-5.5': ['gpt-5.6-terra', 'gpt-5.6-luna'],
      'gpt-5.6-terra': ['gpt-5.6-luna'],
      'gpt-4o': ['gpt-6-luna'],
      'gpt-4.1': ['gpt-6-luna'],
    },
    anthropic: {
      'claude-fable-5-2': AFTER_FABLE,
      'claude-fable-5-1': AFTER_FABLE,
      'claude-fable-5': AFTER_FABLE,
      'claude-opus-5-5': AFTER_FABLE.slice(1),
      'claude-sonnet-5-5': AFTER_FABLE.slice(2),
    },
    google: {
      'gemini-4-argon': AFTER_GEMINI_4,
      'gemini-4-hydrogen': AFTER_GEMINI_4.slice(1),
      'gemini-3.8-flash': AFTER_GEMINI_4.slice(2),
    },
    groq: {
      'openai/gpt-oss-120b': ['openai/gpt-oss-20b'],
    },
  };
