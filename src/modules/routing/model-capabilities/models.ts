import type { ReasoningEffort } from '../../../domain/classification/prompt-facts.js';
import type { ModelCapabilities } from '../../../domain/routing/candidate.js';
import type { Provider } from '../../../domain/routing/provider.js';
import {
  CLAUDE,
  GEMINI,
  GEMINI_4,
  GPT_OSS,
  OPENAI,
  OPENAI_5,
  OPENAI_5_4,
  OPENAI_ALWAYS_REASONING,
  OPENAI_TOOLS_WITHOUT_REASONING,
  OPENAI_WITHOUT_REASONING,
} from './profiles.js';

const withEfforts = (
  capabilities: ModelCapabilities,
  ...efforts: ReasoningEffort[]
): ModelCapabilities => ({ ...capabilities, efforts });

/** Models near their end stand here too: calls still ask for them. */
const MODELS: Readonly<Record<Provider, Readonly<Record<string, ModelCapabilities>>>> = {
  openai: {
    'gpt-6-astra': OPENAI_ALWAYS_REASONING,
    'gpt-6.2-astra': OPENAI_ALWAYS_REASONING,
    'gpt-6.2-sol': OPENAI_ALWAYS_REASONING,
    'gpt-6.1-sol': OPENAI_ALWAYS_REASONING,
    'gpt-6.1-terra': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-6-sol': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-6-luna': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-5.6-sol': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-5.6-terra': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-5.6-luna': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-5.5': OPENAI,
    'gpt-5.4': OPENAI_5_4,
    'gpt-5.4-mini': { ...OPENAI_5_4, contextTokens: 400_000 },
    'gpt-5.4-nano': { ...OPENAI_5_4, contextTokens: 400_000 },
    'gpt-5.1': withEfforts(OPENAI_5, 'none', 'low', 'medium', 'high'),
    'gpt-5': OPENAI_5,
    'gpt-5-mini': OPENAI_5,
    'gpt-5-nano': OPENAI_5,
    'gpt-4o': OPENAI_WITHOUT_REASONING,
    'gpt-4o-mini': OPENAI_WITHOUT_REASONING,
    'gpt-4.1': {
      ...OPENAI_WITHOUT_REASONING,
      contextTokens: 1_000_000,
      outputTokens: 32_000,
    },
    'gpt-4.1-mini': {
      ...OPENAI_WITHOUT_REASONING,
      contextTokens: 1_000_000,
      outputTokens: 32_000,
    },
  },
  anthropic: {
    'claude-fable-5-2': CLAUDE,
    'claude-fable-5-1': CLAUDE,
    'claude-fable-5': CLAUDE,
    'claude-opus-5-5': CLAUDE,
    'claude-opus-5': CLAUDE,
    // Thinking `between_tools` depends on the effort, so it is left out.
    'claude-sonnet-5-5': CLAUDE,
    'claude-sonnet-5': CLAUDE,
    'claude-haiku-5-5': {
      ...withEfforts(CLAUDE, 'low', 'medium', 'high'),
      thinking: ['adaptive', 'disabled'],
      // Beyond 100,000 tokens the whole request costs five times as much; it counts some 30 % more than others.
      contextTokens: 75_000,
    },
    'claude-haiku-4-5': {
      ...withEfforts(CLAUDE),
      thinking: ['disabled', 'budget'],
      reasonsByDefault: false,
      contextTokens: 200_000,
      outputTokens: 64_000,
    },
  },
  google: {
    'gemini-4-argon': GEMINI_4,
    'gemini-4-carbon': GEMINI_4,
    'gemini-4-hydrogen': withEfforts(GEMINI_4, 'low', 'medium', 'high', 'xhigh'),
    'gemini-3.8-flash': GEMINI,
    'gemini-3.7-flash': GEMINI,
    'gemini-3.6-flash': withEfforts(GEMINI, 'minimal', 'low', 'medium', 'high'),
    'gemini-3.5-flash-lite': {
      ...withEfforts(GEMINI, 'minimal', 'low', 'medium', 'high'),
      reasonsByDefault: false,
    },
  },
  groq: { 'openai/gpt-oss-120b': GPT_OSS, 'openai/gpt-oss-20b': GPT_OSS },
};

/** The name without a snapshot's date: `gpt-4o-2024-08-06` is `gpt-4o`, `claude-haiku-5-5-20261007` `claude-haiku-5-5`. */
const SNAPSHOT = /-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$/;

export function familyOf(model: string): string {
  return model.replace(SNAPSHOT, '');
}

/** What a model takes, known by its family; null where nothing is known of it. */
export function capabilitiesOf(provider: Provider, model: string): ModelCapabilities | null {
  const family = familyOf(model);
  const models = MODELS[provider];
  return Object.hasOwn(models, family) ? (models[family] ?? null) : null;
}
