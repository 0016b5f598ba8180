import type { ReasoningEffort, ThinkingMode } from '../classification/prompt-facts.js';
import type { Provider } from './provider.js';

/** When something is taken: some models refuse it unless reasoning is turned off in the request. */
export type Acceptance = 'always' | 'without_reasoning' | 'never';

/** What a model takes. Where the provider does not say, the narrower is given. */
export interface ModelCapabilities {
  readonly tools: Acceptance;
  /** Some models take tools in the Responses API only. */
  readonly toolsOnChat: Acceptance;
  readonly forcedTools: boolean;
  /** Takes a word on whether tools may be called side by side. */
  readonly parallelTools: boolean;
  readonly images: boolean;
  readonly audio: boolean;
  readonly documents: boolean;
  readonly jsonSchema: boolean;
  /** temperature, top_p, top_k, penalties. */
  readonly sampling: Acceptance;
  readonly logprobs: Acceptance;
  readonly multipleChoices: boolean;
  readonly prediction: boolean;
  readonly stop: boolean;
  /** OpenAI's `verbosity`. */
  readonly verbosity: boolean;
  /** Goes on from a last message that is the assistant's. */
  readonly prefill: boolean;
  /** OpenAI's `max_tokens`, instead of `max_completion_tokens`. */
  readonly legacyMaxTokens: boolean;
  /** Efforts taken when the request names one; naming none is always taken. */
  readonly efforts: readonly ReasoningEffort[];
  readonly thinking: readonly ThinkingMode[];
  /** Reasons when the request says nothing of it, which uses up a small output limit unseen. */
  readonly reasonsByDefault: boolean;
  readonly contextTokens: number;
  /** The most that a request may ask for. */
  readonly outputTokens: number;
}

/** A model that a call could go to. */
export interface Candidate {
  readonly provider: Provider;
  readonly model: string;
  readonly capabilities: ModelCapabilities;
}
