import type { Provider } from '../../domain/routing/provider.js';

/** Where each provider takes OpenAI's chat format, below its base URL; none for one that does not. */
export const CHAT_PATHS: Readonly<Partial<Record<Provider, string>>> = {
  openai: '/chat/completions',
  groq: '/openai/v1/chat/completions',
  google: '/v1beta/openai/chat/completions',
};
