import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as models from '../../../test/support/capabilities.js';
import { NO_FACTS, STATE_PINS, type PromptFacts } from '../classification/prompt-facts.js';
import { modelAllowed } from '../policy/allow-lists.js';
import type { ModelCapabilities } from './candidate.js';
import type { Obstacle, Target } from './decision.js';
import { obstaclesOf, obstaclesOfRequested, type RoutedCall } from './obstacles.js';
import { PROVIDERS } from './provider.js';

const ABLE: ModelCapabilities = {
  ...models.ABLE,
  efforts: [],
  thinking: [],
  contextTokens: 100_000,
  outputTokens: 10_000,
};
const FACTS: PromptFacts = {
  ...NO_FACTS,
  kind: 'generation',
  format: 'openai_chat',
  complete: true,
  parameters: ['messages', 'model'],
};
const NO_LIST = { providers: null, models: null };
const DEAR: Target = { provider: 'openai', model: 'dear' };
const CHEAP: Target = { provider: 'openai', model: 'cheap' };
const ELSEWHERE: Target = { provider: 'groq', model: 'cheap' };

const callOf = (change: Partial<RoutedCall> = {}): RoutedCall => ({
  facts: FACTS,
  requested: DEAR,
  requestedCapabilities: ABLE,
  allowance: { organization: NO_LIST, project: NO_LIST },
  bodyBytes: 1_000,
  betas: null,
  keyed: PROVIDERS,
  optedIn: [],
  answeredBy: null,
  sessionTokens: 0,
  ...change,
});

describe('obstaclesOf', () => {
  it('finds none for a plain call within its provider', () => {
    expect(obstaclesOf(callOf(), CHEAP, ABLE)).toEqual([]);
    expect(obstaclesOfRequested(callOf())).toEqual([]);
  });

  it('asks for the project’s opt-in by the name of the other provider', () => {
    expect(obstaclesOf(callOf(), ELSEWHERE, ABLE)).toEqual(['not_opted_in']);
    expect(obstaclesOf(callOf({ optedIn: ['google'] }), ELSEWHERE, ABLE)).toEqual(['not_opted_in']);
    expect(obstaclesOf(callOf({ optedIn: ['groq'] }), ELSEWHERE, ABLE)).toEqual([]);
  });

  it('takes another provider for chat completions alone, and never Anthropic', () => {
    const optedIn = PROVIDERS;
    const responses = { ...FACTS, format: 'openai_responses', parameters: [] } as const;
    expect(obstaclesOf(callOf({ optedIn, facts: responses }), ELSEWHERE, ABLE)).toContain(
      'other_format',
    );
    const claude = { provider: 'anthropic', model: 'cheap' } as const;
    expect(obstaclesOf(callOf({ optedIn }), claude, ABLE)).toContain('other_format');
    const google = { provider: 'google', model: 'cheap' } as const;
    expect(obstaclesOf(callOf({ optedIn }), google, ABLE)).toEqual([]);
    const native = { ...FACTS, format: 'google', parameters: [] } as const;
    expect(
      obstaclesOf(callOf({ optedIn, facts: native, requested: google }), CHEAP, ABLE),
    ).toContain('other_format');
  });

  it('asks for a key of the provider', () => {
    expect(obstaclesOf(callOf({ keyed: ['groq'] }), CHEAP, ABLE)).toEqual(['no_key']);
    expect(obstaclesOfRequested(callOf({ keyed: [] }))).toEqual(['no_key']);
  });

  it('never takes a model of which nothing is known', () => {
    expect(obstaclesOf(callOf(), CHEAP, null)).toEqual(['unknown_model']);
    const organization = { providers: null, models: ['dear'] };
    const listed = callOf({ allowance: { organization, project: NO_LIST } });
    expect(obstaclesOf(listed, CHEAP, null)).toEqual(['not_allowed', 'unknown_model']);
  });

  it('counts every byte of the body as a token of the prompt, and what is asked for on top', () => {
    const facts = { ...FACTS, maxOutputTokens: 10_000 };
    const at = (bodyBytes: number): readonly Obstacle[] =>
      obstaclesOf(callOf({ facts, bodyBytes }), CHEAP, ABLE);
    expect(at(85_904)).toEqual([]);
    expect(at(85_905)).toEqual(['context']);
  });

  it.each(['previous_response', 'item_reference'] as const)(
    'counts what the provider holds of the session where the call names a %s instead of bringing it',
    (pin) => {
      const facts = { ...FACTS, pins: [pin], maxOutputTokens: 10_000 };
      const at = (sessionTokens: number, change: Partial<PromptFacts> = {}): readonly Obstacle[] =>
        obstaclesOf(
          callOf({ facts: { ...facts, ...change }, answeredBy: CHEAP, sessionTokens }),
          CHEAP,
          ABLE,
        );
      expect(at(84_904)).toEqual([]);
      expect(at(84_905)).toEqual(['context']);
      expect(at(99_900, { pins: [] })).toEqual([]);
    },
  );

  it.each<Partial<PromptFacts>>([{ hasImages: true }, { hasAudio: true }, { hasDocuments: true }])(
    'takes no narrower context for what no byte count bounds: %o',
    (media) => {
      const call = callOf({ facts: { ...FACTS, ...media } });
      expect(obstaclesOf(call, CHEAP, ABLE)).toEqual([]);
      expect(obstaclesOf(call, CHEAP, { ...ABLE, contextTokens: 99_999 })).toEqual(['context']);
      expect(obstaclesOf({ ...call, requestedCapabilities: null }, CHEAP, ABLE)).toEqual([
        'context',
      ]);
    },
  );

  it.each(STATE_PINS)('finds %s pinned to the requested model', (pin) => {
    const call = callOf({ facts: { ...FACTS, pins: [pin] } });
    expect(obstaclesOf(call, CHEAP, ABLE)).toEqual(['state_pinned']);
    expect(obstaclesOf({ ...call, answeredBy: DEAR }, CHEAP, ABLE)).toEqual(['state_pinned']);
  });

  it('lets a session stay where its own answers came from, but not with state made elsewhere', () => {
    const own = callOf({ facts: { ...FACTS, pins: ['thinking_signature'] }, answeredBy: CHEAP });
    expect(obstaclesOf(own, CHEAP, ABLE)).toEqual([]);
    expect(obstaclesOf(own, { ...CHEAP, model: 'other' }, ABLE)).toEqual(['state_pinned']);
    const made = callOf({
      facts: { ...FACTS, pins: ['thinking_signature', 'cached_content'] },
      answeredBy: CHEAP,
    });
    expect(obstaclesOf(made, CHEAP, ABLE)).toEqual(['state_pinned']);
  });

  it('keeps tools away from models whose signatures the requested model would refuse later', () => {
    const facts = { ...FACTS, format: 'google', parameters: ['contents'], toolCount: 1 } as const;
    const requested = { provider: 'google', model: 'dear' } as const;
    const call = callOf({ facts, requested });
    expect(obstaclesOf(call, { ...requested, model: 'cheap' }, ABLE)).toEqual(['state_would_bind']);
  });

  it('keeps a call with unknown betas on its model', () => {
    expect(obstaclesOf(callOf({ betas: 'prompt-caching-2024-07-31' }), CHEAP, ABLE)).toEqual([]);
    const mixed = 'prompt-caching-2024-07-31, interleaved-thinking-2025-05-14';
    expect(obstaclesOf(callOf({ betas: mixed }), CHEAP, ABLE)).toEqual(['parameter']);
  });

  it('never finds an empty list for a model that the lists leave out, whatever the call', () => {
    const names = fc.constantFrom('a', 'b', 'ab', 'a*', '*');
    const lists = fc.record({
      providers: fc.option(fc.subarray([...PROVIDERS])),
      models: fc.option(fc.array(names, { maxLength: 3 })),
    });
    const targets = fc.record({ provider: fc.constantFrom(...PROVIDERS), model: names });
    fc.assert(
      fc.property(
        fc.record({ organization: lists, project: lists }),
        targets,
        targets,
        fc.option(fc.constant(ABLE)),
        (allowance, requested, target, capabilities) => {
          const call = callOf({ allowance, requested, optedIn: PROVIDERS });
          const { organization, project } = allowance;
          const isAllowed = modelAllowed(organization, project, target.provider, target.model);
          const found = obstaclesOf(call, target, capabilities);
          expect(found.includes('not_allowed')).toBe(!isAllowed);
          expect(new Set(found).size).toBe(found.length);
        },
      ),
    );
  });
});
