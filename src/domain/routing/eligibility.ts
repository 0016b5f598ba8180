import type { PromptFacts } from '../classification/prompt-facts.js';
import { modelAllowed, type AllowList } from '../policy/allow-lists.js';
import type { Acceptance, Candidate, ModelCapabilities } from './candidate.js';

export type Ineligibility =
  | 'not_allowed'
  | 'request_unread'
  | 'state_pinned'
  | 'tools'
  | 'forced_tools'
  | 'images'
  | 'audio'
  | 'documents'
  | 'json_schema'
  | 'sampling'
  | 'logprobs'
  | 'choices'
  | 'prediction'
  | 'stop'
  | 'max_tokens'
  | 'effort'
  | 'thinking'
  | 'hidden_reasoning'
  | 'context';

/** An output limit below this may be used up by reasoning that the caller did not ask for. */
const SMALL_OUTPUT_TOKENS = 1_024;

export interface Allowance {
  readonly organization: AllowList;
  readonly project: AllowList;
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
): readonly Ineligibility[] {
  const found: Ineligibility[] = [];
  const { organization, project } = allowance;
  const { provider, model, capabilities } = candidate;
  if (!modelAllowed(organization, project, provider, model)) found.push('not_allowed');
  if (facts.kind !== 'generation' || !facts.complete) found.push('request_unread');
  if (facts.pins.length > 0) found.push('state_pinned');
  found.push(...contentNeeds(facts, capabilities), ...parameterNeeds(facts, capabilities));
  if (
    capabilities.reasonsByDefault &&
    requested?.reasonsByDefault !== true &&
    !isReasoningOff(facts) &&
    facts.maxOutputTokens !== null &&
    facts.maxOutputTokens < SMALL_OUTPUT_TOKENS
  ) {
    found.push('hidden_reasoning');
  }
  // No tokenizer is run for this: text is taken at one token per character, four times what is usual.
  if (facts.totalChars + (facts.maxOutputTokens ?? 0) > capabilities.contextTokens) {
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
