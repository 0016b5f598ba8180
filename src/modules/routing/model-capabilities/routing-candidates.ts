import type { PromptFacts } from '../../../domain/classification/prompt-facts.js';
import type { ModelCapabilities } from '../../../domain/routing/candidate.js';
import { CANDIDATES_MAX, type Target } from '../../../domain/routing/decision.js';
import type { Provider } from '../../../domain/routing/provider.js';
import { substitutionFor } from '../../classifier/substitutes.js';
import { capabilitiesOf } from './models.js';

/** Models of other providers that a chat completion may go to, where the project has opted in. */
const CHAT_SUBSTITUTES: Readonly<Partial<Record<Provider, readonly string[]>>> = {
  openai: ['gpt-6-luna', 'gpt-6.1-terra'],
  groq: ['openai/gpt-oss-20b', 'openai/gpt-oss-120b'],
  google: ['gemini-3.5-flash-lite', 'gemini-3.8-flash'],
};

export interface RoutingCandidate extends Target {
  /** Null where nothing is known of the model: it can be overridden to, and is never chosen. */
  readonly capabilities: ModelCapabilities | null;
}

/**
 * The models that a decision looks at, each once and never the requested one: what people named (an override, the
 * rule's targets, the project's chain) first, then what is known to take the requested model's place.
 */
export function routingCandidates(
  requested: Target,
  format: PromptFacts['format'],
  named: readonly Target[],
): readonly RoutingCandidate[] {
  const found = new Map<string, RoutingCandidate>();
  for (const target of [...named, ...substitutesFor(requested, format)]) {
    const { provider, model } = target;
    const key = `${provider}/${model}`;
    if (found.size === CANDIDATES_MAX) break;
    if (found.has(key) || (provider === requested.provider && model === requested.model)) continue;
    found.set(key, { provider, model, capabilities: capabilitiesOf(provider, model) });
  }
  return [...found.values()];
}

function substitutesFor({ provider, model }: Target, format: PromptFacts['format']): Target[] {
  const own = substitutionFor(provider, model).candidates;
  // Which models they could stand in for is not known of a model that is not known itself.
  if (format !== 'openai_chat' || capabilitiesOf(provider, model) === null) return [...own];
  const others = (Object.keys(CHAT_SUBSTITUTES) as Provider[])
    .filter((other) => other !== provider)
    .flatMap((other) =>
      (CHAT_SUBSTITUTES[other] ?? []).map((name) => ({ provider: other, model: name })),
    );
  return [...own, ...others];
}
