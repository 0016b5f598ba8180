import type { PromptFacts } from '../classification/prompt-facts.js';
import type { Provider } from './provider.js';

/**
 * What a call may set, and what happens to it when the call goes to another model. Nothing is ever renamed, left out
 * or translated: only the model's name changes. So a row says who takes the parameter exactly as it stands, and where
 * that is not known, nobody does. What stands in no row is taken by nobody either.
 *
 * - `all`: every model of the same provider takes it, and means the same by it.
 * - `capability`: the candidate's capabilities decide, by what the call sets it to.
 * - `state`: it names state; eligibility tells whose.
 * - `never`: models differ in it, or what they make of it is not known. The call keeps its model.
 */
export type Acceptor = 'all' | 'capability' | 'state' | 'never';

export interface ParameterRule {
  readonly within: Acceptor;
  /** Those that take it as it stands in a call that was written for another provider of the same format. */
  readonly across: readonly Provider[];
}

export type ParameterTable = Readonly<Record<string, ParameterRule>>;

const NOBODY: readonly Provider[] = [];
const OPENAI: readonly Provider[] = ['openai'];
const OPENAI_GROQ: readonly Provider[] = ['openai', 'groq'];
const EVERY: readonly Provider[] = ['openai', 'groq', 'google'];

const all = (across: readonly Provider[] = NOBODY): ParameterRule => ({ within: 'all', across });
const capability = (across: readonly Provider[] = NOBODY): ParameterRule => ({
  within: 'capability',
  across,
});
const STATE: ParameterRule = { within: 'state', across: NOBODY };
const NEVER: ParameterRule = { within: 'never', across: NOBODY };

/** Chat completions: OpenAI's, Groq's, and Google's endpoint of that format. */
const OPENAI_CHAT: ParameterTable = {
  model: all(EVERY),
  messages: all(EVERY),
  stream: all(EVERY),
  // Whether Groq takes it is not documented.
  stream_options: all(['openai', 'google']),
  max_completion_tokens: capability(OPENAI_GROQ),
  // Refused by OpenAI's reasoning models; renaming it would be a change of the call.
  max_tokens: capability(OPENAI_GROQ),
  temperature: capability(EVERY),
  top_p: capability(EVERY),
  presence_penalty: capability(OPENAI),
  frequency_penalty: capability(OPENAI),
  stop: capability(EVERY),
  n: capability(EVERY),
  logprobs: capability(OPENAI),
  top_logprobs: capability(OPENAI),
  // Google takes fewer words of JSON Schema, and signs the calls of its tools.
  tools: capability(OPENAI_GROQ),
  tool_choice: capability(OPENAI_GROQ),
  parallel_tool_calls: capability(OPENAI_GROQ),
  response_format: capability(OPENAI_GROQ),
  reasoning_effort: capability(EVERY),
  verbosity: capability(OPENAI),
  prediction: capability(OPENAI),
  store: all(OPENAI),
  metadata: all(OPENAI),
  user: all(OPENAI_GROQ),
  safety_identifier: all(OPENAI),
  prompt_cache_key: all(OPENAI),
  /** `messages[].name`; Groq refuses it. */
  message_name: all(OPENAI),
  /** A message of the role `developer`. */
  developer_role: all(OPENAI),
  /** `tools[].function.strict`. */
  strict_tools: capability(OPENAI),
  // Tiers are barred per model and project, and change the price.
  service_tier: NEVER,
  // Who fixes the seed wants the same model's answer again.
  seed: NEVER,
  // Numbers of tokens, which every tokenizer gives anew.
  logit_bias: NEVER,
  audio: NEVER,
  modalities: NEVER,
  web_search_options: NEVER,
  functions: NEVER,
  function_call: NEVER,
  prompt_cache_options: NEVER,
  prompt_cache_retention: NEVER,
  moderation: NEVER,
  citation_options: NEVER,
  compound_custom: NEVER,
  disable_tool_validation: NEVER,
  documents: NEVER,
  exclude_domains: NEVER,
  include_domains: NEVER,
  include_reasoning: NEVER,
  reasoning_format: NEVER,
  search_settings: NEVER,
  built_in_tools: NEVER,
};

const OPENAI_RESPONSES: ParameterTable = {
  model: all(),
  input: all(),
  instructions: all(),
  stream: all(),
  stream_options: all(),
  store: all(),
  metadata: all(),
  user: all(),
  safety_identifier: all(),
  prompt_cache_key: all(),
  max_output_tokens: capability(),
  temperature: capability(),
  top_p: capability(),
  top_logprobs: capability(),
  tools: capability(),
  tool_choice: capability(),
  parallel_tool_calls: capability(),
  reasoning: capability(),
  text: capability(),
  verbosity: capability(),
  previous_response_id: STATE,
  conversation: STATE,
  prompt: STATE,
  background: STATE,
  // Asks for encrypted reasoning among others, which the next call would have to bring back to the same model.
  include: NEVER,
  service_tier: NEVER,
  // What is cut depends on the model's context window.
  truncation: NEVER,
  max_tool_calls: NEVER,
  context_management: NEVER,
  prompt_cache_options: NEVER,
  prompt_cache_retention: NEVER,
  access_programs: NEVER,
  image: NEVER,
  moderation: NEVER,
  built_in_tools: NEVER,
};

const ANTHROPIC_MESSAGES: ParameterTable = {
  model: all(),
  messages: all(),
  system: all(),
  stream: all(),
  metadata: all(),
  cache_control: all(),
  max_tokens: capability(),
  stop_sequences: capability(),
  temperature: capability(),
  top_p: capability(),
  top_k: capability(),
  thinking: capability(),
  output_config: capability(),
  output_format: capability(),
  tools: capability(),
  tool_choice: capability(),
  container: STATE,
  fallback_credit_token: STATE,
  thread: STATE,
  service_tier: NEVER,
  speed: NEVER,
  inference_geo: NEVER,
  mcp_servers: NEVER,
  context_management: NEVER,
  compaction: NEVER,
  diagnostics: NEVER,
  fallbacks: NEVER,
  billing_policy: NEVER,
  user_profile_id: NEVER,
  workspace_id: NEVER,
  built_in_tools: NEVER,
};

/** Named as in JSON; Google takes the same names in snake case. Those of `generationConfig` stand beside it. */
const GOOGLE: ParameterTable = {
  contents: all(),
  systemInstruction: all(),
  generationConfig: all(),
  includeThoughts: all(),
  // The calls of tools come back signed by the model that made them.
  tools: STATE,
  toolConfig: STATE,
  maxOutputTokens: capability(),
  candidateCount: capability(),
  temperature: capability(),
  topP: capability(),
  topK: capability(),
  stopSequences: capability(),
  responseMimeType: capability(),
  responseSchema: capability(),
  responseJsonSchema: capability(),
  responseLogprobs: capability(),
  thinkingConfig: capability(),
  cachedContent: STATE,
  continuationToken: STATE,
  // The model is named by the path; a second name in the body would stay behind.
  model: NEVER,
  // Models differ in the categories and thresholds that they know.
  safetySettings: NEVER,
  labels: NEVER,
  serviceTier: NEVER,
  logprobs: NEVER,
  presencePenalty: NEVER,
  frequencyPenalty: NEVER,
  seed: NEVER,
  responseModalities: NEVER,
  responseFormat: NEVER,
  mediaResolution: NEVER,
  speechConfig: NEVER,
  modelSelectionConfig: NEVER,
  routingConfig: NEVER,
  audioTimestamp: NEVER,
  audioTranscriptionConfig: NEVER,
  enableAffectiveDialog: NEVER,
  enableEnhancedCivicAnswers: NEVER,
  translationConfig: NEVER,
  imageConfig: NEVER,
  built_in_tools: NEVER,
};

export const PARAMETERS: Readonly<Record<PromptFacts['format'], ParameterTable>> = {
  openai_chat: OPENAI_CHAT,
  openai_responses: OPENAI_RESPONSES,
  anthropic_messages: ANTHROPIC_MESSAGES,
  google: GOOGLE,
  none: {},
};

export function isListed(format: PromptFacts['format'], name: string): boolean {
  return Object.hasOwn(PARAMETERS[format], name);
}

/** Whether a model of `candidate` takes all that is set, as far as that does not depend on the model. */
export function parametersAccepted(
  { format, parameters }: PromptFacts,
  asked: Provider,
  candidate: Provider,
): boolean {
  const table = PARAMETERS[format];
  return parameters.every((name) => {
    const rule = Object.hasOwn(table, name) ? table[name] : undefined;
    if (rule === undefined || rule.within === 'never') return false;
    return asked === candidate || rule.across.includes(candidate);
  });
}

/** Betas that change no more than caching, which every model of Anthropic's has by now. */
const NEUTRAL_BETAS: ReadonlySet<string> = new Set([
  'prompt-caching-2024-07-31',
  'extended-cache-ttl-2025-04-11',
]);

/**
 * Whether a call's `anthropic-beta` header asks for nothing that models could differ in.
 *
 * @param header its value, names separated by commas; null where there is none.
 */
export function betasAccepted(header: string | null): boolean {
  if (header === null) return true;
  return header
    .split(',')
    .map((name) => name.trim())
    .every((name) => name === '' || NEUTRAL_BETAS.has(name));
}
