import { describe, expect, it } from 'vitest';
import * as models from '../../../test/support/capabilities.js';
import type { Classification } from '../classification/classification.js';
import { NO_FACTS, type PromptFacts } from '../classification/prompt-facts.js';
import type { Candidate, ModelCapabilities } from './candidate.js';
import { ineligibilities, type Allowance, type Ineligibility } from './eligibility.js';
import { project, type Substitution } from './projection.js';

const ABLE: ModelCapabilities = { ...models.ABLE, contextTokens: 1_000, outputTokens: 500 };
const UNABLE: ModelCapabilities = {
  ...models.UNABLE,
  contextTokens: 1_000,
  outputTokens: 500,
};
const ANY: Allowance = {
  organization: { providers: null, models: null },
  project: { providers: null, models: null },
};
const FACTS: PromptFacts = {
  ...NO_FACTS,
  kind: 'generation',
  format: 'openai_chat',
  complete: true,
};
const cheap = (capabilities: ModelCapabilities, model = 'cheap'): Candidate => ({
  provider: 'openai',
  model,
  capabilities,
});

describe('ineligibilities', () => {
  it('finds nothing against a plain call, whatever the candidate lacks', () => {
    expect(ineligibilities(FACTS, ABLE, cheap(UNABLE), ANY)).toEqual([]);
  });

  it.each<[Ineligibility, Partial<PromptFacts>]>([
    ['tools', { toolCount: 1 }],
    ['parallel_tools', { parallelToolsSet: true }],
    ['verbosity', { parameters: ['verbosity'] }],
    ['prefill', { endsWithAssistant: true }],
    ['forced_tools', { toolCount: 1, toolChoiceForced: true }],
    ['images', { hasImages: true }],
    ['audio', { hasAudio: true }],
    ['documents', { hasDocuments: true }],
    ['json_schema', { jsonSchema: true }],
    ['json_schema', { jsonMode: true }],
    ['sampling', { samplingSet: true }],
    ['logprobs', { logprobs: true }],
    ['choices', { choices: 2 }],
    ['prediction', { predictionSet: true }],
    ['stop', { stopSet: true }],
    ['max_tokens', { legacyMaxTokens: true }],
    ['effort', { reasoningEffort: 'low' }],
    ['thinking', { thinking: 'disabled' }],
    ['hidden_reasoning', { maxOutputTokens: 16 }],
  ])('finds %s where the call needs it and the candidate lacks it', (reason, facts) => {
    const call = { ...FACTS, ...facts };
    expect(ineligibilities(call, ABLE, cheap(UNABLE), ANY)).toContain(reason);
    expect(ineligibilities(call, ABLE, cheap(ABLE), ANY)).toEqual([]);
  });

  it.each<[Ineligibility, Partial<PromptFacts>]>([
    ['state_pinned', { pins: ['previous_response'] }],
    ['request_unread', { complete: false }],
    ['request_unread', { unlisted: true }],
    ['parameter', { parameters: ['seed'] }],
    ['parameter', { parameters: ['of_no_table'] }],
    ['output_limit', { maxOutputTokens: 501 }],
    ['output_limit', { maxOutputTokens: 0 }],
    ['request_unread', { kind: 'embedding' }],
    ['context', { totalChars: 900, maxOutputTokens: 101 }],
    ['effort', { reasoningEffort: 'other' }],
    ['thinking', { thinking: 'other' }],
  ])('finds %s against every candidate', (reason, facts) => {
    const found = ineligibilities({ ...FACTS, ...facts }, ABLE, cheap(ABLE), ANY);
    expect(found).toContain(reason);
  });

  it('takes tools on Responses that the model refuses on chat, and what needs reasoning turned off', () => {
    const model = cheap({
      ...ABLE,
      toolsOnChat: 'without_reasoning',
      sampling: 'without_reasoning',
    });
    const call = { ...FACTS, toolCount: 1, samplingSet: true };
    expect(ineligibilities(call, ABLE, model, ANY)).toEqual(['tools', 'sampling']);
    const off = { ...call, reasoningEffort: 'none' } as const;
    expect(ineligibilities(off, ABLE, model, ANY)).toEqual([]);
    const responses = { ...call, format: 'openai_responses' } as const;
    expect(ineligibilities(responses, ABLE, model, ANY)).toEqual(['sampling']);
  });

  it('forgives hidden reasoning where the model asked for does the same', () => {
    const call = { ...FACTS, maxOutputTokens: 16 };
    expect(ineligibilities(call, UNABLE, cheap(UNABLE), ANY)).toEqual([]);
    expect(ineligibilities(call, null, cheap(UNABLE), ANY)).toEqual(['hidden_reasoning']);
  });

  it('finds a model that a list leaves out', () => {
    const listed = { ...ANY, project: { providers: null, models: ['dear*'] } };
    expect(ineligibilities(FACTS, ABLE, cheap(ABLE), listed)).toEqual(['not_allowed']);
  });
});

describe('project', () => {
  const suffices: Classification = { verdict: 'cheaper_suffices', score: 0.2, reasons: [] };
  const requested: Substitution = {
    provider: 'openai',
    model: 'dear',
    capabilities: ABLE,
    candidates: [cheap(ABLE, 'cheapest'), cheap(ABLE, 'cheaper')],
  };

  it('stays with the model asked for unless a cheaper one is said to suffice', () => {
    const abstained: Classification = { verdict: 'abstain', reason: 'no_evidence' };
    expect(project(abstained, requested, FACTS, ANY)).toEqual({
      model: 'dear',
      reason: 'abstained',
    });
    const needed: Classification = { verdict: 'stronger_needed', score: 0.9, reasons: [] };
    expect(project(needed, requested, FACTS, ANY).model).toBe('dear');
  });

  it('picks the cheapest that is eligible', () => {
    expect(project(suffices, requested, FACTS, ANY)).toEqual({
      model: 'cheapest',
      reason: 'cheaper_suffices',
    });
    const candidates = [cheap({ ...ABLE, images: false }, 'blind'), cheap(ABLE, 'cheaper')];
    const withImages = { ...FACTS, hasImages: true };
    expect(project(suffices, { ...requested, candidates }, withImages, ANY).model).toBe('cheaper');
  });

  it('stays where none is eligible, none is known, or it is another provider’s', () => {
    const pinned: PromptFacts = { ...FACTS, pins: ['file'] };
    expect(project(suffices, requested, pinned, ANY).reason).toBe('none_eligible');
    const none = { ...requested, candidates: [] };
    expect(project(suffices, none, FACTS, ANY).reason).toBe('no_candidate');
    const elsewhere = [{ ...cheap(ABLE), provider: 'groq' as const }];
    const foreign = { ...requested, candidates: elsewhere };
    expect(project(suffices, foreign, FACTS, ANY).model).toBe('dear');
  });
});
