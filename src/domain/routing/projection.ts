import type { Classification } from '../classification/classification.js';
import type { PromptFacts } from '../classification/prompt-facts.js';
import type { Candidate, ModelCapabilities } from './candidate.js';
import { ineligibilities, type Allowance } from './eligibility.js';
import type { Provider } from './provider.js';

/** The model that was asked for, and those of the same provider that could take its place. */
export interface Substitution {
  readonly provider: Provider;
  readonly model: string;
  /** Null where they are not known. */
  readonly capabilities: ModelCapabilities | null;
  /** All cheaper than the model asked for, cheapest first. */
  readonly candidates: readonly Candidate[];
}

export type ProjectionReason =
  'abstained' | 'stronger_needed' | 'cheaper_suffices' | 'no_candidate' | 'none_eligible';

/** The model that would have been picked, and why. */
export interface Projection {
  readonly model: string;
  readonly reason: ProjectionReason;
}

/** The model asked for, unless a cheaper one is said to suffice and an eligible one of the same provider exists. */
export function project(
  classification: Classification,
  requested: Substitution,
  facts: PromptFacts,
  allowance: Allowance,
): Projection {
  const stay = (reason: ProjectionReason): Projection => ({ model: requested.model, reason });
  if (classification.verdict === 'abstain') return stay('abstained');
  if (classification.verdict === 'stronger_needed') return stay('stronger_needed');
  const candidates = requested.candidates.filter(({ provider }) => provider === requested.provider);
  if (candidates.length === 0) return stay('no_candidate');
  const cheapest = candidates.find(
    (candidate) =>
      ineligibilities(facts, requested.capabilities, candidate, allowance).length === 0,
  );
  return cheapest === undefined
    ? stay('none_eligible')
    : { model: cheapest.model, reason: 'cheaper_suffices' };
}
