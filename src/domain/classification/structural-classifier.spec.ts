import { describe, expect, it } from 'vitest';
import { NO_FACTS, type PromptFacts } from './prompt-facts.js';
import { structuralClassifier } from './structural-classifier.js';

const ordinary: PromptFacts = {
  ...NO_FACTS,
  kind: 'generation',
  format: 'openai_chat',
  complete: true,
  messageCount: 1,
  totalChars: 400,
};
const classify = (facts: Partial<PromptFacts>) =>
  structuralClassifier.classify({ ...ordinary, ...facts });

describe('structuralClassifier', () => {
  it('abstains on an ordinary call, long or short, with or without code, tools or digits', () => {
    for (const facts of [
      {},
      { totalChars: 500_000, messageCount: 60 },
      { codeFences: 9, questionMarks: 4, digitShare: 0.5 },
      { toolCount: 12, jsonSchema: true },
      { reasoningEffort: 'low', maxOutputTokens: 4_096 },
    ] as const) {
      expect(classify(facts)).toEqual({ verdict: 'abstain', reason: 'no_evidence' });
    }
  });

  it('never says that a cheaper model suffices for embeddings, token counts, or what was not wholly read', () => {
    const tiny = { maxOutputTokens: 1 };
    expect(classify({ ...tiny, kind: 'embedding' })).toMatchObject({ reason: 'embedding' });
    expect(classify({ ...tiny, kind: 'count_tokens' })).toMatchObject({ reason: 'not_generation' });
    expect(classify({ ...tiny, complete: false })).toMatchObject({ reason: 'unread' });
    expect(structuralClassifier.classify(NO_FACTS)).toMatchObject({ reason: 'unread' });
  });

  it('says so of an output limited to a word, unless tools or reasoning are asked for', () => {
    expect(classify({ maxOutputTokens: 16 })).toMatchObject({
      verdict: 'cheaper_suffices',
      reasons: ['tiny_output'],
    });
    for (const more of [
      { maxOutputTokens: 17 },
      { maxOutputTokens: 0 },
      { maxOutputTokens: 16, toolCount: 1 },
      { maxOutputTokens: 16, reasoningEffort: 'low' },
      { maxOutputTokens: 16, thinking: 'adaptive' },
    ] as const) {
      expect(classify(more).verdict).toBe('abstain');
    }
  });

  it('takes reasoning that the caller turned up at its word', () => {
    expect(classify({ reasoningEffort: 'high' }).verdict).toBe('stronger_needed');
  });
});
