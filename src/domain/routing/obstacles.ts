import type { PromptFacts, StatePin } from '../classification/prompt-facts.js';
import type { ModelCapabilities } from './candidate.js';
import type { Obstacle, Target } from './decision.js';
import { ineligibilities, type Allowance } from './eligibility.js';
import type { Provider } from './provider.js';
import { modelAllowed } from '../policy/allow-lists.js';
import { betasAccepted } from './parameters.js';

/** The call, and whose it is, as far as it matters for where it may go. */
export interface RoutedCall {
  readonly facts: PromptFacts;
  readonly requested: Target;
  /** Of the requested model; null where they are not known. */
  readonly requestedCapabilities: ModelCapabilities | null;
  readonly allowance: Allowance;
  /** Of the whole body, inflated. */
  readonly bodyBytes: number;
  /** The value of `anthropic-beta`; null where there is none. */
  readonly betas: string | null;
  /** Providers that the organization has a key for. */
  readonly keyed: readonly Provider[];
  /** Other providers that the project takes, by name. */
  readonly optedIn: readonly Provider[];
  /** Who gave all of the session's earlier answers; null where several did, or nobody knows. */
  readonly answeredBy: Target | null;
  /** Of the session's last prompt and its answer; 0 where there is none that is known. */
  readonly sessionTokens: number;
}

/**
 * Why a call cannot go to a model, all reasons that there are; empty where it can.
 *
 * @param capabilities null where nothing is known of the model: then it is never eligible.
 */
export function obstaclesOf(
  call: RoutedCall,
  { provider, model }: Target,
  capabilities: ModelCapabilities | null,
): readonly Obstacle[] {
  const { facts, requested, allowance } = call;
  const found = new Set<Obstacle>();
  if (!call.keyed.includes(provider)) found.add('no_key');
  if (provider !== requested.provider) {
    if (!call.optedIn.includes(provider)) found.add('not_opted_in');
    if (!speakSameFormat(facts.format, requested.provider, provider)) found.add('other_format');
  }
  if (!betasAccepted(call.betas)) found.add('parameter');
  if (capabilities === null) {
    const { organization, project } = allowance;
    if (!modelAllowed(organization, project, provider, model)) found.add('not_allowed');
    return [...found.add('unknown_model')];
  }
  const circumstances = {
    provider: requested.provider,
    promptTokensMax: call.bodyBytes + heldTokens(call),
    answeredBy: call.answeredBy,
  };
  const candidate = { provider, model, capabilities };
  for (const reason of ineligibilities(
    facts,
    call.requestedCapabilities,
    candidate,
    allowance,
    circumstances,
  )) {
    found.add(reason);
  }
  return [...found];
}

/** What stands against the requested model itself: policy and keys alone, since it was written for it. */
export function obstaclesOfRequested(call: RoutedCall): readonly Obstacle[] {
  const { requested, allowance } = call;
  const { provider, model } = requested;
  const found: Obstacle[] = [];
  if (!call.keyed.includes(provider)) found.push('no_key');
  if (!modelAllowed(allowance.organization, allowance.project, provider, model)) {
    found.push('not_allowed');
  }
  return found;
}

/** What names earlier turns instead of bringing them: the provider puts them in front of the body's prompt. */
const HELD_BY_PROVIDER: readonly StatePin[] = [
  'previous_response',
  'conversation',
  'item_reference',
];

function heldTokens({ facts, sessionTokens }: RoutedCall): number {
  return HELD_BY_PROVIDER.some((pin) => facts.pins.includes(pin)) ? sessionTokens : 0;
}

/** Chat completions alone are spoken by several providers. */
const CHAT_PROVIDERS: readonly Provider[] = ['openai', 'groq', 'google'];

function speakSameFormat(format: PromptFacts['format'], a: Provider, b: Provider): boolean {
  return format === 'openai_chat' && CHAT_PROVIDERS.includes(a) && CHAT_PROVIDERS.includes(b);
}
