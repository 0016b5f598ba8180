import type { PromptFacts, StatePin } from '../classification/prompt-facts.js';
import { modelAllowed, type AllowList } from '../policy/allow-lists.js';
import type { Acceptance, Candidate, ModelCapabilities } from './candidate.js';
import { parametersAccepted } from './parameters.js';
import type { Provider } from './provider.js';

export const INELIGIBILITIES = [
  'not_allowed',
  /** Nothing is known of what the model takes. */
  'unknown_model',
  /** Something in the request was not looked at, or stands in no list. */
  'request_unread',
  /** State in the request was made by, or is kept for, another model. */
  'state_pinned',
  /** The answer would hold state that the requested model refuses in the next call. */
  'state_would_bind',
  /** A parameter that the model might refuse, or take in another sense. */
  'parameter',
  'tools',
  'forced_tools',
  'parallel_tools',
  'images',
  'audio',
  'documents',
  'json_schema',
  'sampling',
  'logprobs',
  'choices',
  'prediction',
  'stop',
  'verbosity',
  'prefill',
  'max_tokens',
  'output_limit',
  'effort',
  'thinking',
  'hidden_reasoning',
  'context',
] as const;
export type Ineligibility = (typeof INELIGIBILITIES)[number];

/** An output limit below this may be used up by reasoning that the caller did not ask for. */
const SMALL_OUTPUT_TOKENS = 1_024;
/** What a provider puts in front of a prompt: the words that introduce tools, the marks between messages. */
const ADDED_TOKENS_MAX = 4_096;

export interface Allowance {
  readonly organization: AllowList;
  readonly project: AllowList;
}

/** What is known of a call besides its facts. */
export interface Circumstances {
  /** Whom the call was written for. */
  readonly provider: Provider;
  /**
   * No tokenizer makes more tokens of the prompt. One per byte of the body bounds every text in it, and what the
   * provider holds of the conversation comes on top; null takes one per character, which does for projections.
   */
  readonly promptTokensMax: number | null;
  /** Who gave all of the session's earlier answers; null where several did, or nobody knows. */
  readonly answeredBy: { readonly provider: Provider; readonly model: string } | null;
}

/**
 * Why a call cannot go to the candidate with nothing but the model's name changed; empty if it can.
 *
 * @param requested the capabilities of the model that was asked for; null where they are not known.
 */
export function ineligibilities(
  facts: PromptFacts,
  requested: ModelCapabilities | null,
  candidate: Candidate,
  allowance: Allowance,
  circumstances: Circumstances = {
    provider: candidate.provider,
    promptTokensMax: null,
    answeredBy: null,
  },
): readonly Ineligibility[] {
  const found: Ineligibility[] = [];
  const { organization, project } = allowance;
  const { provider, model, capabilities } = candidate;
  if (!modelAllowed(organization, project, provider, model)) found.push('not_allowed');
  if (facts.kind !== 'generation' || !facts.complete || facts.unlisted) {
    found.push('request_unread');
  }
  if (!parametersAccepted(facts, circumstances.provider, provider)) found.push('parameter');
  found.push(...stateNeeds(facts, candidate, circumstances));
  found.push(...contentNeeds(facts, capabilities), ...parameterNeeds(facts, capabilities));
  found.push(...sizeNeeds(facts, requested, capabilities, circumstances));
  return found;
}

/** State that answers bring, and the next call brings back: it belongs to the one that gave all answers of the session. */
const BROUGHT_BY_ANSWERS: ReadonlySet<StatePin> = new Set<StatePin>([
  'previous_response',
  'item_reference',
  'encrypted_reasoning',
  'thinking_signature',
  'thought_signature',
]);

function stateNeeds(
  facts: PromptFacts,
  { provider, model }: Candidate,
  { answeredBy }: Circumstances,
): Ineligibility[] {
  const found: Ineligibility[] = [];
  const isOwn =
    answeredBy?.provider === provider &&
    answeredBy.model === model &&
    facts.pins.every((pin) => BROUGHT_BY_ANSWERS.has(pin));
  if (facts.pins.length > 0 && !isOwn) found.push('state_pinned');
  // Google signs the calls of tools, and refuses another model's signature. Whatever ends routing in the middle of a
  // session (a kill switch, a restart, a rule that is withdrawn) would then break the session.
  if (provider === 'google' && facts.toolCount > 0) found.push('state_would_bind');
  return found;
}

function sizeNeeds(
  facts: PromptFacts,
  requested: ModelCapabilities | null,
  can: ModelCapabilities,
  { promptTokensMax }: Circumstances,
): Ineligibility[] {
  const found: Ineligibility[] = [];
  const { maxOutputTokens } = facts;
  // Zero only warms the cache of the model that was asked for.
  if (maxOutputTokens === 0 || (maxOutputTokens ?? 0) > can.outputTokens) {
    found.push('output_limit');
  }
  if (
    can.reasonsByDefault &&
    requested?.reasonsByDefault !== true &&
    !isReasoningOff(facts) &&
    maxOutputTokens !== null &&
    maxOutputTokens < SMALL_OUTPUT_TOKENS
  ) {
    found.push('hidden_reasoning');
  }
  const promptTokens =
    promptTokensMax === null ? facts.totalChars : promptTokensMax + ADDED_TOKENS_MAX;
  // What an image or a document counts is not bounded by its bytes, and may not even be in the body.
  const isBounded = !facts.hasImages && !facts.hasAudio && !facts.hasDocuments;
  const isWideEnough =
    isBounded || (requested !== null && can.contextTokens >= requested.contextTokens);
  if (promptTokens + (maxOutputTokens ?? 0) > can.contextTokens || !isWideEnough) {
    found.push('context');
  }
  return found;
}

function contentNeeds(facts: PromptFacts, can: ModelCapabilities): Ineligibility[] {
  const found: Ineligibility[] = [];
  if (facts.toolCount > 0) {
    const tools = facts.format === 'openai_chat' ? can.toolsOnChat : can.tools;
    if (!accepts(tools, facts)) found.push('tools');
    if (facts.toolChoiceForced && !can.forcedTools) found.push('forced_tools');
  }
  if (facts.parallelToolsSet && !can.parallelTools) found.push('parallel_tools');
  if (facts.hasImages && !can.images) found.push('images');
  if (facts.hasAudio && !can.audio) found.push('audio');
  if (facts.hasDocuments && !can.documents) found.push('documents');
  if ((facts.jsonSchema || facts.jsonMode) && !can.jsonSchema) found.push('json_schema');
  return found;
}

function parameterNeeds(facts: PromptFacts, can: ModelCapabilities): Ineligibility[] {
  const found: Ineligibility[] = [];
  if (facts.samplingSet && !accepts(can.sampling, facts)) found.push('sampling');
  if (facts.logprobs && !accepts(can.logprobs, facts)) found.push('logprobs');
  if (facts.choices !== 1 && !can.multipleChoices) found.push('choices');
  if (facts.predictionSet && !can.prediction) found.push('prediction');
  if (facts.stopSet && !can.stop) found.push('stop');
  if (facts.parameters.includes('verbosity') && !can.verbosity) found.push('verbosity');
  if (facts.endsWithAssistant && !can.prefill) found.push('prefill');
  if (facts.legacyMaxTokens && !can.legacyMaxTokens) found.push('max_tokens');
  if (facts.reasoningEffort !== 'unset' && !can.efforts.includes(facts.reasoningEffort)) {
    found.push('effort');
  }
  if (facts.thinking !== 'unset' && !can.thinking.includes(facts.thinking)) found.push('thinking');
  return found;
}

function accepts(acceptance: Acceptance, facts: PromptFacts): boolean {
  return acceptance === 'always' || (acceptance === 'without_reasoning' && isReasoningOff(facts));
}

function isReasoningOff(facts: PromptFacts): boolean {
  return facts.reasoningEffort === 'none' || facts.thinking === 'disabled';
}
