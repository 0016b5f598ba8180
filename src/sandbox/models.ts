import type { Provider } from '../domain/routing/provider.js';

/** What the sandbox knows of a model; the rules that differ between models are in the provider's own folder. */
export interface SandboxModel {
  readonly id: string;
  readonly provider: Provider;
  readonly kind: 'chat' | 'embedding';
  /** The name that answers carry: dated where the provider answers with a dated name. */
  readonly answersAs: string;
  /** The shortest prefix that is cached without being asked; null where nothing is. */
  readonly cacheTokensMin: number | null;
  /** Dimensions of an embedding; 0 for the rest. */
  readonly dimensions: number;
}

// id, then the name it answers as where that is another one.
const OPENAI_CHAT: readonly (readonly [string, string?])[] = [
  ['gpt-6.2-astra'],
  ['gpt-6.2-sol'],
  ['gpt-6.1-sol'],
  ['gpt-6.1-terra'],
  ['gpt-6-astra'],
  ['gpt-6-sol'],
  ['gpt-6-luna'],
  ['gpt-5.6-sol'],
  ['gpt-5.6-terra'],
  ['gpt-5.6-luna'],
  ['gpt-5.5', 'gpt-5.5-2026-04-23'],
  ['gpt-5.5-pro', 'gpt-5.5-pro-2026-04-23'],
  ['gpt-5.4', 'gpt-5.4-2026-03-05'],
  ['gpt-5.4-mini', 'gpt-5.4-mini-2026-03-17'],
  ['gpt-5.4-nano', 'gpt-5.4-nano-2026-03-17'],
  ['gpt-5.2', 'gpt-5.2-2025-12-11'],
  ['gpt-5.1', 'gpt-5.1-2025-11-13'],
  ['gpt-5', 'gpt-5-2025-08-07'],
  ['gpt-5-mini', 'gpt-5-mini-2025-08-07'],
  ['gpt-5-nano', 'gpt-5-nano-2025-08-07'],
  ['gpt-4.1', 'gpt-4.1-2025-04-14'],
  ['gpt-4.1-mini', 'gpt-4.1-mini-2025-04-14'],
  ['gpt-4o', 'gpt-4o-2024-08-06'],
  ['gpt-4o-mini', 'gpt-4o-mini-2024-07-18'],
  ['o3', 'o3-2025-04-16'],
];

const ANTHROPIC: readonly (readonly [string, string?])[] = [
  ['claude-fable-5-2'],
  ['claude-fable-5-1'],
  ['claude-fable-5'],
  ['claude-opus-5-5'],
  ['claude-opus-5'],
  ['claude-opus-4-8'],
  ['claude-opus-4-7'],
  ['claude-opus-4-6'],
  ['claude-opus-4-5', 'claude-opus-4-5-20251101'],
  ['claude-sonnet-5-5'],
  ['claude-sonnet-5'],
  ['claude-sonnet-4-6'],
  ['claude-sonnet-4-5', 'claude-sonnet-4-5-20250929'],
  ['claude-haiku-5-5'],
  ['claude-haiku-4-5', 'claude-haiku-4-5-20251001'],
];

// id, shortest implicitly cached prefix, the name it answers as where that is another one.
const GOOGLE_CHAT: readonly (readonly [string, number, string?])[] = [
  ['gemini-4-argon', 6144],
  ['gemini-4-carbon', 6144],
  ['gemini-4-hydrogen', 4096],
  ['gemini-3.8-flash', 4096],
  ['gemini-3.7-flash', 4096],
  ['gemini-3.6-flash', 4096],
  ['gemini-3.5-flash', 4096],
  ['gemini-3.5-flash-lite', 4096],
  ['gemini-3.1-flash-lite', 4096],
  ['gemini-3.1-pro-preview', 4096],
  ['gemini-2.5-pro', 2048],
  ['gemini-2.5-flash', 2048],
  ['gemini-2.5-flash-lite', 2048],
  ['gemini-flash-latest', 4096, 'gemini-3.8-flash'],
];

const GROQ_CHAT = ['openai/gpt-oss-120b', 'openai/gpt-oss-20b', 'qwen/qwen3-32b'];

const EMBEDDINGS: readonly (readonly [Provider, string, number])[] = [
  ['openai', 'text-embedding-3-small', 1536],
  ['openai', 'text-embedding-3-large', 3072],
  ['google', 'gemini-embedding-2', 3072],
  ['google', 'gemini-embedding-001', 3072],
  ['groq', 'nomic-embed-text-v1_5', 768],
];

function chat(
  provider: Provider,
  id: string,
  cacheTokensMin: number | null,
  answersAs: string = id,
): SandboxModel {
  return { id, provider, kind: 'chat', answersAs, cacheTokensMin, dimensions: 0 };
}

const MODELS: readonly SandboxModel[] = [
  ...OPENAI_CHAT.map(([id, answersAs]) => chat('openai', id, 1024, answersAs)),
  ...ANTHROPIC.map(([id, answersAs]) => chat('anthropic', id, null, answersAs)),
  ...GOOGLE_CHAT.map(([id, cacheTokensMin, answersAs]) =>
    chat('google', id, cacheTokensMin, answersAs),
  ),
  ...GROQ_CHAT.map((id) => chat('groq', id, id.includes('gpt-oss') ? 1024 : null)),
  ...EMBEDDINGS.map(([provider, id, dimensions]): SandboxModel => ({
    id,
    provider,
    kind: 'embedding',
    answersAs: id,
    cacheTokensMin: null,
    dimensions,
  })),
];

const BY_NAME = new Map(
  MODELS.flatMap((model) => [
    [`${model.provider}/${model.id}`, model] as const,
    [`${model.provider}/${model.answersAs}`, { ...model, id: model.answersAs }] as const,
  ]).toReversed(),
);

/** The provider's model of this name, alias or dated; null where the provider would answer 404. */
export function findModel(provider: Provider, name: string): SandboxModel | null {
  return BY_NAME.get(`${provider}/${name}`) ?? null;
}

export function modelsOf(provider: Provider): readonly SandboxModel[] {
  return MODELS.filter((model) => model.provider === provider);
}
