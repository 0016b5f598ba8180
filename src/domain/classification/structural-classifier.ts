import type { AbstainReason, Classification, Classifier } from './classification.js';
import type { PromptFacts } from './prompt-facts.js';

/** At most a word or a number: a label, a yes or no, a grade. */
export const TINY_OUTPUT_TOKENS_MAX = 16;

const DEEP_EFFORTS: ReadonlySet<string> = new Set(['high', 'xhigh', 'max']);

/**
 * A placeholder, for observation alone: **nothing is routed by it**, and its scores are not calibrated.
 *
 * Scores of a prompt's "complexity" (length, code, keywords) were measured to order calls no better than
 * chance, so none is used. It speaks only where the form of the request itself says something: an
 * output limited to a word, asked for without reasoning, or reasoning that the caller turned up. In every other
 * case, which is most of them, it abstains. The learned classifier takes its place.
 */
export const structuralClassifier: Classifier = Object.freeze({
  version: 'structural-1',
  classify(facts: PromptFacts): Classification {
    if (facts.kind === 'embedding') return abstain('embedding');
    if (facts.kind === 'count_tokens') return abstain('not_generation');
    if (facts.kind === 'unread' || !facts.complete) return abstain('unread');
    if (DEEP_EFFORTS.has(facts.reasoningEffort)) {
      return { verdict: 'stronger_needed', score: 0.75, reasons: ['deep_reasoning_requested'] };
    }
    if (isTinyOutput(facts)) {
      return { verdict: 'cheaper_suffices', score: 0.25, reasons: ['tiny_output'] };
    }
    return abstain('no_evidence');
  },
});

function isTinyOutput(facts: PromptFacts): boolean {
  const { maxOutputTokens, reasoningEffort, thinking, toolCount } = facts;
  // Zero only warms a provider's prompt cache, which is of use to this very model.
  const isTiny =
    maxOutputTokens !== null && maxOutputTokens > 0 && maxOutputTokens <= TINY_OUTPUT_TOKENS_MAX;
  const asksForReasoning =
    !['unset', 'none', 'minimal'].includes(reasoningEffort) ||
    !['unset', 'disabled'].includes(thinking);
  return isTiny && !asksForReasoning && toolCount === 0;
}

function abstain(reason: AbstainReason): Classification {
  return { verdict: 'abstain', reason };
}
