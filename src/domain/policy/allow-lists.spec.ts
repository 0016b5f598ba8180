import { describe, expect, it } from 'vitest';
import { allows, modelAllowed, providerAllowed, type AllowList } from './allow-lists.js';

const ANY: AllowList = { providers: null, models: null };

describe('allows', () => {
  it.each([
    [null, 'gpt-6-sol', true],
    [[], 'gpt-6-sol', false],
    [['gpt-6-sol'], 'gpt-6-sol', true],
    [['gpt-6-sol'], 'gpt-6-sol-mini', false],
    [['gpt-6*'], 'gpt-6-luna', true],
    [['gpt-6*'], 'ft:gpt-6-luna', false],
    [['*'], 'anything', true],
    [['gpt-*-sol'], 'gpt-6-sol', false],
    [['GPT-6-sol'], 'gpt-6-sol', false],
    [['openai/gpt-oss-*'], 'openai/gpt-oss-20b', true],
    [[''], 'gpt-6-sol', false],
  ])('%j, %s: %s', (list, name, expected) => expect(allows(list, name)).toBe(expected));
});

describe('modelAllowed', () => {
  const gpt: AllowList = { providers: ['openai'], models: ['gpt-*'] };
  const luna: AllowList = { providers: null, models: ['gpt-6-luna'] };

  it('allows everything where no list is set, a model that cannot be read too', () => {
    expect(modelAllowed(ANY, ANY, 'openai', null)).toBe(true);
  });
  it('needs the organization and the project to agree', () => {
    expect(modelAllowed(gpt, luna, 'openai', 'gpt-6-luna')).toBe(true);
    expect(modelAllowed(gpt, luna, 'openai', 'gpt-6-sol')).toBe(false);
    expect(modelAllowed(luna, gpt, 'openai', 'gpt-6-sol')).toBe(false);
  });
  it('refuses a provider that one of the lists leaves out', () => {
    expect(providerAllowed(gpt, ANY, 'groq')).toBe(false);
    expect(providerAllowed(ANY, gpt, 'groq')).toBe(false);
    expect(modelAllowed(ANY, gpt, 'groq', 'gpt-6-luna')).toBe(false);
    expect(providerAllowed(gpt, ANY, 'openai')).toBe(true);
  });
  it('refuses a model that cannot be read as soon as any list of models is set', () => {
    expect(modelAllowed(ANY, { providers: null, models: ['*'] }, 'openai', null)).toBe(false);
  });
});
