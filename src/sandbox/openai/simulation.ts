import type { IncomingHttpHeaders } from 'node:http';
import type { Endpoint, ProviderSimulation } from '../exchange.js';
import { answerChat } from './chat.js';
import { answerEmbeddings } from './embeddings.js';
import { limitHeaders, renderOpenAiFault } from './faults.js';
import { answerModel, answerModelList } from './model-list.js';
import { answerInputTokens, answerResponse, storedResponse } from './responses.js';

const CHAT: Endpoint = { route: '/chat/completions', answer: (call) => answerChat(call, 'openai') };
const RESPONSES: Endpoint = { route: '/responses', answer: answerResponse };
const INPUT_TOKENS: Endpoint = { route: '/responses/input_tokens', answer: answerInputTokens };
const EMBEDDINGS: Endpoint = {
  route: '/embeddings',
  answer: (call) => answerEmbeddings(call, 'openai'),
};
const MODELS: Endpoint = { route: '/models', answer: () => answerModelList('openai') };

const POSTS = new Map([CHAT, RESPONSES, INPUT_TOKENS, EMBEDDINGS].map((it) => [it.route, it]));

/** The token of an `Authorization: Bearer` header. */
export function bearerOf(headers: IncomingHttpHeaders): string | null {
  return /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? null;
}

function endpointOf(method: string, path: string): Endpoint | null {
  if (method === 'POST') {
    const cancelled = /^\/responses\/([^/]+)\/cancel$/.exec(path)?.[1];
    if (cancelled !== undefined) {
      return { route: '/responses/{id}/cancel', answer: () => storedResponse(cancelled) };
    }
    return POSTS.get(path) ?? null;
  }
  if (method === 'GET' && path === '/models') return MODELS;
  const model = /^\/models\/([^/]+)$/.exec(path)?.[1];
  if (method === 'GET' && model !== undefined) {
    return { route: '/models/{model}', answer: () => answerModel('openai', model) };
  }
  const stored = /^\/responses\/([^/]+)$/.exec(path)?.[1];
  if ((method === 'GET' || method === 'DELETE') && stored !== undefined) {
    return { route: '/responses/{id}', answer: () => storedResponse(stored) };
  }
  return null;
}

export const OPENAI: ProviderSimulation = {
  keyOf: bearerOf,
  endpointOf,
  renderFault: renderOpenAiFault,
  standingHeaders: (requestId) => ({
    'x-request-id': requestId,
    'openai-processing-ms': '12',
    'openai-version': '2020-10-01',
    'openai-organization': 'sandbox',
    ...limitHeaders(),
  }),
  requestIdPrefix: 'req_',
};
