import type { PromptFacts } from './prompt-facts.js';

export type AbstainReason =
  /** Nothing is known that would tell the models apart. The usual answer. */
  | 'no_evidence'
  /** Embeddings of different models cannot be mixed: there is nothing to choose. */
  | 'embedding'
  | 'not_generation'
  /** The request was not read, or only in part. */
  | 'unread'
  /** The classifier itself failed. */
  | 'error';

export type VerdictReason = 'tiny_output' | 'deep_reasoning_requested';

/** What a classifier says of one call. `score` is from 0 (sure that the cheaper model suffices) to 1. */
export type Classification =
  | { readonly verdict: 'abstain'; readonly reason: AbstainReason }
  | {
      readonly verdict: 'cheaper_suffices' | 'stronger_needed';
      readonly score: number;
      readonly reasons: readonly VerdictReason[];
    };

/** Pure, bounded, deterministic: the same facts and version give the same verdict. */
export interface Classifier {
  readonly version: string;
  readonly classify: (facts: PromptFacts) => Classification;
}
