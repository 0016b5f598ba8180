import type { Provider } from '../../domain/routing/provider.js';

const GOOGLE_PREFIX = 'models/';

/**
 * The one name of a model, by which it is routed, watched, policed and paid for. Google's OpenAI-compatible endpoint
 * takes both `gemini-x` and `models/gemini-x`.
 */
export function modelName(provider: Provider, named: string): string {
  return provider === 'google' && named.startsWith(GOOGLE_PREFIX)
    ? named.slice(GOOGLE_PREFIX.length)
    : named;
}

/** Another model's name, in the way in which the client spelt the one that it replaces. */
export function spelledLike(named: string | null, provider: Provider, model: string): string {
  const hasPrefix = provider === 'google' && named?.startsWith(GOOGLE_PREFIX) === true;
  return hasPrefix ? GOOGLE_PREFIX + model : model;
}
