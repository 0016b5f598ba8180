import type { Candidate, ModelCapabilities } from '../../domain/routing/candidate.js';
import type { Substitution } from '../../domain/routing/projection.js';
import type { Provider } from '../../domain/routing/provider.js';
import { capabilitiesOf, familyOf } from '../routing/model-capabilities/models.js';

/**
 * Which model could take which one's place within its provider, as of 2026-11-20, from the providers' model pages.
 * Where a page is silent no model stands.
 */

/** From dear to cheap: each model may be replaced by any that stands after it. */
const CHAINS: readonly { readonly provider: Provider; readonly models: readonly string[] }[] = [
  { provider: 'openai', models: ['gpt-6-astra', 'gpt-6.2-sol', 'gpt-6.1-terra', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-6.2-astra', 'gpt-6.2-sol', 'gpt-6.1-terra', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-6.1-sol', 'gpt-6.1-terra', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-6-sol', 'gpt-6.1-terra', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-5.5', 'gpt-5.6-terra', 'gpt-5.6-luna'] },
  { provider: 'openai', models: ['gpt-4o', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-4.1', 'gpt-6-luna'] },
  { provider: 'openai', models: ['gpt-5.4', 'gpt-5.4-mini', 'gpt-5.4-nano'] },
  { provider: 'openai', models: ['gpt-5.6-sol', 'gpt-5.6-terra', 'gpt-5.6-luna'] },
  ...['claude-fable-5-2', 'claude-fable-5-1', 'claude-fable-5'].map((fable) => ({
    provider: 'anthropic' as const,
    models: [fable, 'claude-opus-5-5', 'claude-sonnet-5-5', 'claude-haiku-5-5'],
  })),
  { provider: 'anthropic', models: ['claude-opus-5', 'claude-sonnet-5-5', 'claude-haiku-5-5'] },
  { provider: 'anthropic', models: ['claude-sonnet-5', 'claude-haiku-5-5'] },
  {
    provider: 'google',
    models: ['gemini-4-argon', 'gemini-4-hydrogen', 'gemini-3.8-flash', 'gemini-3.5-flash-lite'],
  },
  { provider: 'groq', models: ['openai/gpt-oss-120b', 'openai/gpt-oss-20b'] },
];

const CANDIDATES: ReadonlyMap<string, readonly Candidate[]> = candidatesByModel();

/** What could take a model's place; no candidates where none is known. */
export function substitutionFor(provider: Provider, model: string): Substitution {
  return {
    provider,
    model,
    capabilities: capabilitiesOf(provider, model),
    candidates: CANDIDATES.get(keyOf(provider, familyOf(model))) ?? [],
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
          capabilities: capabilitiesKnown(provider, name),
        })),
      );
    }
  }
  return found;
}

function capabilitiesKnown(provider: Provider, model: string): ModelCapabilities {
  const capabilities = capabilitiesOf(provider, model);
  if (capabilities === null) throw new Error(`no capabilities are known of ${model}`);
  return capabilities;
}

function keyOf(provider: Provider, model: string): string {
  return `${provider}/${model}`;
}
