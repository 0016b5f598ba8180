import type { Endpoint, ProviderSimulation } from '../exchange.js';
import { answerChat } from '../openai/chat.js';
import { answerEmbeddings } from '../openai/embeddings.js';
import { limitHeaders, renderOpenAiFault } from '../openai/faults.js';
import { answerModel, answerModelList } from '../openai/model-list.js';
import { bearerOf } from '../openai/simulation.js';

const PREFIX = '/openai/v1';

function endpointOf(method: string, path: string): Endpoint | null {
  const route = path;
  if (method === 'POST' && path === `${PREFIX}/chat/completions`) {
    return { route, answer: (call) => answerChat(call, 'groq') };
  }
  if (method === 'POST' && path === `${PREFIX}/embeddings`) {
    return { route, answer: (call) => answerEmbeddings(call, 'groq') };
  }
  if (method !== 'GET') return null;
  if (path === `${PREFIX}/models`) return { route, answer: () => answerModelList('groq') };
  // Groq's names hold a slash, which clients send as it is or encoded.
  const model = /^\/openai\/v1\/models\/(.+)$/.exec(path)?.[1];
  if (model === undefined) return null;
  return { route: `${PREFIX}/models/{model}`, answer: () => answerModel('groq', model) };
}

export const GROQ: ProviderSimulation = {
  keyOf: bearerOf,
  endpointOf,
  renderFault: renderOpenAiFault,
  standingHeaders: (requestId) => ({
    'x-request-id': requestId,
    'x-groq-region': 'sandbox',
    ...limitHeaders(),
  }),
  requestIdPrefix: 'req_',
};
