import type { ModelCapabilities } from '../../../domain/routing/candidate.js';

/**
 * What families of models take, as of 2026-11-20, from the providers' model pages. Where a page is silent the narrower
 * is given: a model left out costs a saving, one that refuses a call costs the call.
 */

export const OPENAI: ModelCapabilities = {
  tools: 'always',
  toolsOnChat: 'always',
  forcedTools: true,
  parallelTools: true,
  images: true,
  audio: false,
  documents: true,
  jsonSchema: true,
  sampling: 'without_reasoning',
  logprobs: 'without_reasoning',
  multipleChoices: true,
  prediction: false,
  stop: false,
  verbosity: true,
  prefill: true,
  legacyMaxTokens: false,
  efforts: ['none', 'low', 'medium', 'high', 'xhigh', 'max'],
  thinking: [],
  reasonsByDefault: true,
  contextTokens: 1_050_000,
  outputTokens: 128_000,
};

/** Takes no effort `none` or `minimal`, and tools only through Responses. */
export const OPENAI_ALWAYS_REASONING: ModelCapabilities = {
  ...OPENAI,
  toolsOnChat: 'never',
  sampling: 'never',
  logprobs: 'never',
  efforts: ['low', 'medium', 'high', 'xhigh'],
};

export const OPENAI_TOOLS_WITHOUT_REASONING: ModelCapabilities = {
  ...OPENAI,
  toolsOnChat: 'without_reasoning',
};

/** Of the generation of gpt-5.4: effort `max` came later. */
export const OPENAI_5_4: ModelCapabilities = {
  ...OPENAI,
  efforts: ['none', 'low', 'medium', 'high', 'xhigh'],
};

export const OPENAI_5: ModelCapabilities = {
  ...OPENAI,
  sampling: 'never',
  logprobs: 'never',
  efforts: ['minimal', 'low', 'medium', 'high'],
  contextTokens: 400_000,
};

export const OPENAI_WITHOUT_REASONING: ModelCapabilities = {
  ...OPENAI,
  sampling: 'always',
  logprobs: 'always',
  prediction: true,
  stop: true,
  verbosity: false,
  legacyMaxTokens: true,
  efforts: [],
  reasonsByDefault: false,
  contextTokens: 128_000,
  outputTokens: 16_000,
};

export const CLAUDE: ModelCapabilities = {
  ...OPENAI,
  forcedTools: false,
  // Anthropic refuses temperature and the like on all of these, whatever the value.
  sampling: 'never',
  logprobs: 'never',
  multipleChoices: false,
  stop: true,
  verbosity: false,
  // The newer models refuse a last message of the assistant's.
  prefill: false,
  legacyMaxTokens: true,
  efforts: ['low', 'medium', 'high', 'xhigh', 'max'],
  thinking: ['adaptive'],
  contextTokens: 1_000_000,
};

export const GEMINI: ModelCapabilities = {
  ...OPENAI,
  parallelTools: false,
  audio: true,
  sampling: 'always',
  logprobs: 'never',
  multipleChoices: false,
  stop: true,
  verbosity: false,
  prefill: false,
  efforts: ['low', 'medium', 'high'],
  contextTokens: 1_000_000,
  outputTokens: 65_000,
};

/** Ignores sampling parameters, which is not taking them; longer answers come in several. */
export const GEMINI_4: ModelCapabilities = {
  ...GEMINI,
  sampling: 'never',
  outputTokens: 32_768,
};

export const GPT_OSS: ModelCapabilities = {
  ...OPENAI,
  parallelTools: false,
  images: false,
  documents: false,
  sampling: 'always',
  logprobs: 'never',
  multipleChoices: false,
  stop: true,
  verbosity: false,
  prefill: false,
  legacyMaxTokens: true,
  efforts: ['low', 'medium', 'high'],
  contextTokens: 131_000,
  outputTokens: 65_000,
};
