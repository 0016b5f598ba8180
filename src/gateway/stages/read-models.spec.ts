import { describe, expect, it } from 'vitest';
import type { Provider } from '../../domain/routing/provider.js';
import { PriceBook } from '../../modules/catalog/price-book.js';
import type { RequestFacts } from '../body/request-facts.js';
import type { Authenticated } from '../call.js';
import { Refusal } from '../gateway-error.js';
import { readModels } from './read-models.js';

const PRICES = new PriceBook();

interface Case {
  readonly provider?: Provider;
  readonly model: string;
  readonly override?: string | string[];
  readonly defaultModel?: string;
}

/** What a chat call speaks of, or the code of its refusal. */
function read({ provider = 'openai', model, override, defaultModel }: Case) {
  const call = {
    route: { provider, format: 'openai_chat', pathModel: null },
    req: { headers: override === undefined ? {} : { 'x-shunt-model': override } },
    principal: { defaultModel: defaultModel ?? null },
  } as unknown as Authenticated;
  const models = readModels(call, { model, modelAmbiguous: false } as RequestFacts, PRICES);
  return models instanceof Refusal ? models.code : models;
}

describe('the models that a call speaks of', () => {
  it('have one name each, whichever of Google’s two the client uses', () => {
    const google = { provider: 'google', model: 'models/gemini-3.8-flash' } as const;
    const named = { model: 'gemini-3.8-flash', requested: 'gemini-3.8-flash', override: null };
    expect(read(google)).toEqual(named);
    const override = 'models/gemini-3.5-flash-lite';
    expect(read({ ...google, override })).toEqual({ ...named, override: 'gemini-3.5-flash-lite' });
    const both = `${override}, gemini-3.5-flash-lite`;
    expect(read({ ...google, override: both })).toMatchObject({
      override: 'gemini-3.5-flash-lite',
    });
    const auto = { ...google, model: 'models/shunt/auto', defaultModel: google.model };
    expect(read(auto)).toEqual({ ...named, model: 'shunt/auto' });
    expect(read({ model: 'models/mine' })).toMatchObject({ requested: 'models/mine' });
  });

  it.each<[string, string | string[]]>([
    ['sent once', 'gpt-6-luna'],
    ['sent twice', 'gpt-6-luna, gpt-6-luna'],
    ['sent twice, and kept apart', ['gpt-6-luna', 'gpt-6-luna']],
  ])('have the one that x-shunt-model names, %s', (_how, override) => {
    expect(read({ model: 'gpt-6-sol', override })).toMatchObject({ override: 'gpt-6-luna' });
  });

  it.each<[string, string | string[]]>([
    ['two models', 'gpt-6-luna, gpt-6-sol'],
    ['a model and the router’s choice', ['gpt-6-luna', 'shunt/auto']],
    ['a model and nothing', 'gpt-6-luna,'],
    ['nothing', ''],
    ['no name', 'a model'],
  ])('are refused where x-shunt-model names %s', (_what, override) => {
    expect(read({ model: 'gpt-6-sol', override })).toBe('override_invalid');
  });

  it('are never another provider’s: shunt/auto is refused where the default model is', () => {
    const auto = { model: 'shunt/auto', defaultModel: 'gpt-6-sol' };
    for (const provider of ['anthropic', 'google', 'groq'] as const) {
      expect(read({ ...auto, provider })).toBe('default_model_elsewhere');
    }
    expect(read(auto)).toMatchObject({ requested: 'gpt-6-sol' });
    expect(read({ model: 'shunt/auto' })).toBe('default_model_missing');
  });

  it('may be new: a default model that nobody knows is sent to whichever provider was called', () => {
    const auto = { model: 'shunt/auto', defaultModel: 'gpt-99-new' };
    expect(read(auto)).toMatchObject({ requested: 'gpt-99-new' });
  });
});
