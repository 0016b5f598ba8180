/** How much reasoning the caller asked for, in whichever provider's words; `unset` leaves it to the model. */
export const REASONING_EFFORTS = [
  'unset',
  'none',
  'minimal',
  'low',
  'medium',
  'high',
  'xhigh',
  'max',
  /** A word that is not among these. */
  'other',
] as const;
export type ReasoningEffort = (typeof REASONING_EFFORTS)[number];

/** Anthropic's `thinking.type`, or Google's budget; `unset` where the request says nothing. */
export const THINKING_MODES = [
  'unset',
  'disabled',
  'adaptive',
  'between_tools',
  'budget',
  'other',
] as const;
export type ThinkingMode = (typeof THINKING_MODES)[number];

/** State that binds a call to the model that made it. */
export const STATE_PINS = [
  'previous_response',
  'conversation',
  'stored_prompt',
  'item_reference',
  'encrypted_reasoning',
  'thinking_signature',
  'thought_signature',
  'cached_content',
  'continuation',
  'file',
  'container',
  'background',
] as const;
export type StatePin = (typeof STATE_PINS)[number];

/**
 * What is known of a call without reading what it means: counts, lengths (UTF-16 code units), shares and closed
 * words. Holds no text. Numbers describe what was looked at; `complete` is false where a bound cut that short.
 */
export interface PromptFacts {
  readonly kind: 'generation' | 'embedding' | 'count_tokens' | 'unread';
  /** Responses alone takes tools on some models that refuse them on chat. */
  readonly format: 'openai_chat' | 'openai_responses' | 'anthropic_messages' | 'google' | 'none';
  readonly complete: boolean;
  readonly messageCount: number;
  /** Each a run of what an assistant said and called, between what others said: one answer may be several messages. */
  readonly answerCount: number;
  readonly toolResultCount: number;
  readonly systemChars: number;
  readonly lastUserChars: number;
  readonly totalChars: number;
  readonly toolCount: number;
  readonly toolChoiceForced: boolean;
  readonly hasImages: boolean;
  readonly hasAudio: boolean;
  readonly hasDocuments: boolean;
  readonly jsonSchema: boolean;
  readonly jsonMode: boolean;
  readonly maxOutputTokens: number | null;
  /** OpenAI's `max_tokens`, which reasoning models refuse. */
  readonly legacyMaxTokens: boolean;
  readonly choices: number;
  readonly logprobs: boolean;
  readonly samplingSet: boolean;
  readonly stopSet: boolean;
  readonly predictionSet: boolean;
  /** Whether tools may be called side by side is said, either way. */
  readonly parallelToolsSet: boolean;
  /** The last message is the assistant's: the model is to go on from there. */
  readonly endsWithAssistant: boolean;
  readonly reasoningEffort: ReasoningEffort;
  readonly thinking: ThinkingMode;
  readonly streaming: boolean;
  readonly pins: readonly StatePin[];
  /** What the request sets, by the names of `domain/routing/parameters.ts`: a closed list, each once. */
  readonly parameters: readonly string[];
  /** Something stands in the request that is in none of the lists: nobody knows what another model makes of it. */
  readonly unlisted: boolean;
  /** Of the last user message: pairs of code fences, question marks, and shares from 0 to 1. */
  readonly codeFences: number;
  readonly questionMarks: number;
  readonly digitShare: number;
  readonly nonLatinShare: number;
}

export const NO_FACTS: PromptFacts = Object.freeze({
  kind: 'unread',
  format: 'none',
  complete: false,
  messageCount: 0,
  answerCount: 0,
  toolResultCount: 0,
  systemChars: 0,
  lastUserChars: 0,
  totalChars: 0,
  toolCount: 0,
  toolChoiceForced: false,
  hasImages: false,
  hasAudio: false,
  hasDocuments: false,
  jsonSchema: false,
  jsonMode: false,
  maxOutputTokens: null,
  legacyMaxTokens: false,
  choices: 1,
  logprobs: false,
  samplingSet: false,
  stopSet: false,
  predictionSet: false,
  parallelToolsSet: false,
  endsWithAssistant: false,
  reasoningEffort: 'unset',
  thinking: 'unset',
  streaming: false,
  pins: Object.freeze([]),
  parameters: Object.freeze([]),
  unlisted: false,
  codeFences: 0,
  questionMarks: 0,
  digitShare: 0,
  nonLatinShare: 0,
});
