import { describe, expect, it } from 'vitest';
import { CANDIDATES_MAX, type Target } from '../../../domain/routing/decision.js';
import { capabilitiesOf } from './models.js';
import { routingCandidates } from './routing-candidates.js';

const SOL: Target = { provider: 'openai', model: 'gpt-6-sol' };
const namesOf = (
  requested: Target,
  format: 'openai_chat' | 'openai_responses',
  named: readonly Target[] = [],
): readonly string[] =>
  routingCandidates(requested, format, named).map(({ provider, model }) => `${provider}:${model}`);

describe('routingCandidates', () => {
  it('offers the provider’s own cheaper models, and those of other providers for chat alone', () => {
    const own = ['openai:gpt-6-luna', 'openai:gpt-6.1-terra'];
    expect(namesOf(SOL, 'openai_responses')).toEqual(own);
    expect(namesOf(SOL, 'openai_chat')).toEqual([
      ...own,
      'groq:openai/gpt-oss-20b',
      'groq:openai/gpt-oss-120b',
      'google:gemini-3.5-flash-lite',
      'google:gemini-3.8-flash',
    ]);
  });

  it('puts what people named first, each once, and never the requested model', () => {
    const luna: Target = { provider: 'openai', model: 'gpt-6-luna' };
    expect(namesOf(SOL, 'openai_responses', [SOL, luna, luna])).toEqual([
      'openai:gpt-6-luna',
      'openai:gpt-6.1-terra',
    ]);
  });

  it('knows nothing of a model that is in no table, and stands no other in for it', () => {
    const unknown: Target = { provider: 'openai', model: 'unheard-of' };
    expect(routingCandidates(unknown, 'openai_chat', [])).toEqual([]);
    expect(routingCandidates(SOL, 'openai_responses', [unknown])[0]).toEqual({
      ...unknown,
      capabilities: null,
    });
    for (const model of ['__proto__', 'constructor', '']) {
      expect(capabilitiesOf('openai', model)).toBeNull();
    }
  });

  it('is bounded, however many are named', () => {
    const named = Array.from({ length: 500 }, (_, at): Target => ({ ...SOL, model: `m${at}` }));
    expect(routingCandidates(SOL, 'openai_chat', named)).toHaveLength(CANDIDATES_MAX);
  });

  it('knows a snapshot by its family', () => {
    expect(capabilitiesOf('anthropic', 'claude-haiku-5-5-20261007')?.contextTokens).toBe(75_000);
  });
});
