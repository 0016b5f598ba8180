import type { ReasoningEffort } from '../../domain/classification/prompt-facts.js';
import type { Candidate, ModelCapabilities } from '../../domain/routing/candidate.js';
import type { Substitution } from '../../domain/routing/projection.js';
import type { Provider } from '../../domain/routing/provider.js';

/**
 * Which model could take which one's place, as of 2026-11-20, from the providers' model pages. For projections
 * during observation only. Where a page is silent the narrower is assumed: a projection left out costs
 * nothing, one that would have failed is a false promise.
 */

const OPENAI: ModelCapabilities = {
  tools: 'always',
  toolsOnChat: 'always',
  forcedTools: true,
  images: true,
  audio: false,
  documents: true,
  jsonSchema: true,
  sampling: 'without_reasoning',
  logprobs: 'without_reasoning',
  multipleChoices: true,
  prediction: false,
  stop: false,
  legacyMaxTokens: false,
  efforts: ['none', 'low', 'medium', 'high', 'xhigh', 'max'],
  thinking: [],
  reasonsByDefault: true,
  contextTokens: 1_050_000,
};

/** Takes no effort `none` or `minimal`, and tools only through Responses. */
const OPENAI_ALWAYS_REASONING: ModelCapabilities = {
  ...OPENAI,
  toolsOnChat: 'never',
  efforts: ['low', 'medium', 'high', 'xhigh'],
};
const OPENAI_TOOLS_WITHOUT_REASONING: ModelCapabilities = {
  ...OPENAI,
  toolsOnChat: 'without_reasoning',
};
const OPENAI_WITHOUT_REASONING: ModelCapabilities = {
  ...OPENAI,
  sampling: 'always',
  logprobs: 'always',
  prediction: true,
  stop: true,
  legacyMaxTokens: true,
  efforts: [],
  reasonsByDefault: false,
  contextTokens: 128_000,
};

const CLAUDE: ModelCapabilities = {
  ...OPENAI,
  forcedTools: false,
  // Anthropic refuses temperature and the like on all of these, whatever the value.
  sampling: 'never',
  logprobs: 'never',
  multipleChoices: false,
  stop: true,
  legacyMaxTokens: true,
  efforts: ['low', 'medium', 'high', 'xhigh', 'max'],
  thinking: ['adaptive'],
  contextTokens: 1_000_000,
};

const GEMINI: ModelCapabilities = {
  ...OPENAI,
  audio: true,
  sampling: 'always',
  logprobs: 'never',
  multipleChoices: false,
  stop: true,
  efforts: ['low', 'medium', 'high'],
  contextTokens: 1_000_000,
};

const GPT_OSS: ModelCapabilities = {
  ...OPENAI,
  images: false,
  documents: false,
  jsonSchema: true,
  sampling: 'always',
  logprobs: 'never',
  multipleChoices: false,
  stop: true,
  legacyMaxTokens: true,
  efforts: ['low', 'medium', 'high'],
  contextTokens: 131_000,
};

const withEfforts = (
  capabilities: ModelCapabilities,
  ...efforts: ReasoningEffort[]
): ModelCapabilities => ({ ...capabilities, efforts });

const MODELS: Readonly<Record<Provider, Readonly<Record<string, ModelCapabilities>>>> = {
  openai: {
    'gpt-6-astra': OPENAI_ALWAYS_REASONING,
    'gpt-6.2-astra': OPENAI_ALWAYS_REASONING,
    'gpt-6.2-sol': OPENAI_ALWAYS_REASONING,
    'gpt-6.1-sol': OPENAI_ALWAYS_REASONING,
    'gpt-6.1-terra': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-6-sol': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-6-luna': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-5.6-terra': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-5.6-luna': OPENAI_TOOLS_WITHOUT_REASONING,
    'gpt-5.5': OPENAI,
    'gpt-4o': OPENAI_WITHOUT_REASONING,
    'gpt-4.1': { ...OPENAI_WITHOUT_REASONING, contextTokens: 1_000_000 },
  },
  anthropic: {
    'claude-fable-5-2': CLAUDE,
    'claude-fable-5-1': CLAUDE,
    'claude-fable-5': CLAUDE,
    'claude-opus-5-5': CLAUDE,
    'claude-sonnet-5-5': { ...CLAUDE, thinking: ['adaptive', 'between_tools'] },
    'claude-haiku-5-5': {
      ...withEfforts(CLAUDE, 'low', 'medium', 'high'),
      thinking: ['adaptive', 'disabled'],
      // Beyond 100,000 tokens the whole request costs five times as much; it counts some 30 % more than others.
      contextTokens: 75_000,
    },
  },
  google: {
    'gemini-4-argon': GEMINI,
    'gemini-4-hydrogen': withEfforts(GEMINI, 'low', 'medium', 'high', 'xhigh'),
    'gemini-3.8-flash': GEMINI,
    'gemini-3.5-flash-lite': {
      ...withEfforts(GEMINI, 'minimal', 'low', 'medium', 'high'),
      reasonsByDefault: false,
    },
  },
  groq: { 'openai/gpt-oss-120b': GPT_OSS, 'openai/gpt-oss-20b': GPT_OSS },
};

/** From dear to cheap: each model may be replaced by any that stands after it. */
const CHAINS: readonly { readonly provider: Provider; readonly models: readonly string[] }[] = [
  { provider: 'openai', models: ['gpt-6-astra', 'gpt-6.2-sol', 'gpt-6.1-terra', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-6.2-astra', 'gpt-6.2-sol', 'gpt-6.1-terra', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-6.1-sol', 'gpt-6.1-terra', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-6-sol', 'gpt-6.1-terra', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-5.5', 'gpt-5.6-terra', 'gpt-5.6-luna'] },
  { provider: 'openai', models: ['gpt-4o', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-4.1', 'gpt-6-luna'] },
  ...['claude-fable-5-2', 'claude-fable-5-1', 'claude-fable-5'].map((fable) => ({
    provider: 'anthropic' as const,
    models: [fable, 'claude-opus-5-5', 'claude-sonnet-5-5', 'claude-haiku-5-5'],
  })),
  {
    provider: 'google',
    models: ['gemini-4-argon', 'gemini-4-hydrogen', 'gemini-3.8-flash', 'gemini-3.5-flash-lite'],
  },
  { provider: 'groq', models: ['openai/gpt-oss-120b', 'openai/gpt-oss-20b'] },
];

const CANDIDATES: ReadonlyMap<string, readonly Candidate[]> = candidatesByModel();

/** The name without a snapshot's date: `gpt-4o-2024-08-06` is `gpt-4o`, `claude-haiku-5-5-20261007` `claude-haiku-5-5`. */
const SNAPSHOT = /-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$/;

/** What could take a model's place; no candidates where none is known. */
export function substitutionFor(provider: Provider, model: string): Substitution {
  const family = model.replace(SNAPSHOT, '');
  const models = MODELS[provider];
  return {
    provider,
    model,
    capabilities: Object.hasOwn(models, family) ? (models[family] ?? null) : null,
    candidates: CANDIDATES.get(keyOf(provider, family)) ?? [],
  };
}

function candidatesByModel(): Map<string, readonly Candidate[]> {
  const found = new Map<string, readonly Candidate[]>();
  for (const { provider, models } of CHAINS) {
    for (const [at, model] of models.entries()) {
      const key = keyOf(provider, model);
      if (found.has(key)) continue;
      const cheaper = models.slice(at + 1).toReversed();
      found.set(
        key,
        cheaper.map((name) => ({
          provider,
          model: name,
          capabilities: capabilitiesOf(provider, name),
        })),
      );
    }
  }
  return found;
}

function capabilitiesOf(provider: Provider, model: string): ModelCapabilities {
  const capabilities = MODELS[provider][model];
  if (capabilities === undefined) throw new Error(`no capabilities are known of ${model}`);
  return capabilities;
}

function keyOf(provider: Provider, model: string): string {
  return `${provider}/${model}`;
}
