import { describe, expect, it } from 'vitest';
import { allows, modelAllowed, type AllowList } from './model-policy.js';

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
  it('allows everything where no list is set, a model that cannot be read too', () => {
    expect(modelAllowed(ANY, ANY, 'openai', null)).toEqual({ allowed: true });
  });
  it('needs the organization and the project to agree', () => {
    const gpt: AllowList = { providers: ['openai'], models: ['gpt-*'] };
    const luna: AllowList = { providers: null, models: ['gpt-6-luna'] };
    expect(modelAllowed(gpt, luna, 'openai', 'gpt-6-luna')).toEqual({ allowed: true });
    expect(modelAllowed(gpt, luna, 'openai', 'gpt-6-sol')).toEqual({
      allowed: false,
      by: 'project',
      what: 'model',
    });
    expect(modelAllowed(gpt, ANY, 'groq', 'gpt-6-sol')).toEqual({
      allowed: false,
      by: 'organization',
      what: 'provider',
    });
  });
  it('refuses a model that cannot be read as soon as any list of models is set', () => {
    expect(modelAllowed(ANY, { providers: null, models: ['*'] }, 'openai', null)).toMatchObject({
      allowed: false,
      what: 'unreadable_model',
    });
  });
});
