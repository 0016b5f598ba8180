import type { IncomingHttpHeaders } from 'node:http';
import {
  json,
  type Answer,
  type Endpoint,
  type Fault,
  type ProviderSimulation,
  type SandboxCall,
} from '../exchange.js';
import type { JsonObject } from '../json-value.js';
import { findModel, modelsOf, type SandboxModel } from '../models.js';
import { answerChat } from '../openai/chat.js';
import { answerEmbeddings } from '../openai/embeddings.js';
import { answerModel, answerModelList, decoded } from '../openai/model-list.js';
import { bearerOf } from '../openai/simulation.js';
import { answerEmbed, answerEmbedBatch } from './embed.js';
import { renderGoogleFault } from './faults.js';
import { answerCountTokens, answerGenerate, answerGenerateStream } from './generate.js';

const METHODS: Readonly<Record<string, (call: SandboxCall, model: string) => Answer | Fault>> = {
  generateContent: answerGenerate,
  streamGenerateContent: answerGenerateStream,
  countTokens: answerCountTokens,
  embedContent: answerEmbed,
  batchEmbedContents: answerEmbedBatch,
};

const COMPATIBLE = '/v1beta/openai';

function keyOf(headers: IncomingHttpHeaders, query: URLSearchParams): string | null {
  const key = headers['x-goog-api-key'] ?? query.get('key');
  return (typeof key === 'string' && key !== '' ? key : null) ?? bearerOf(headers);
}

function endpointOf(method: string, path: string): Endpoint | null {
  if (path.startsWith(`${COMPATIBLE}/`)) return compatibleEndpoint(method, path);
  const parsed = /^\/(v1|v1beta)\/models(?:\/([^/:]+)(?::(\w+))?)?$/.exec(path);
  if (parsed === null) return null;
  const [, version, encodedModel, action] = parsed;
  if (encodedModel === undefined) {
    if (method !== 'GET') return null;
    return { route: `/${version}/models`, answer: answerModels };
  }
  const model = decoded(encodedModel);
  if (action === undefined) {
    if (method !== 'GET') return null;
    return { route: `/${version}/models/{model}`, answer: () => answerOneModel(model) };
  }
  const answer = Object.hasOwn(METHODS, action) ? METHODS[action] : undefined;
  if (answer === undefined || method !== 'POST') return null;
  return { route: `/${version}/models/{model}:${action}`, answer: (call) => answer(call, model) };
}

function compatibleEndpoint(method: string, path: string): Endpoint | null {
  const route = path;
  if (method === 'POST' && path === `${COMPATIBLE}/chat/completions`) {
    return { route, answer: (call) => answerChat(call, 'google') };
  }
  if (method === 'POST' && path === `${COMPATIBLE}/embeddings`) {
    return { route, answer: (call) => answerEmbeddings(call, 'google') };
  }
  if (method !== 'GET') return null;
  if (path === `${COMPATIBLE}/models`) return { route, answer: () => answerModelList('google') };
  const model = /^\/v1beta\/openai\/models\/(.+)$/.exec(path)?.[1];
  if (model === undefined) return null;
  return { route: `${COMPATIBLE}/models/{model}`, answer: () => answerModel('google', model) };
}

function answerModels(): Answer {
  return json({ models: modelsOf('google').map(entry) });
}

function answerOneModel(name: string): Answer | Fault {
  const model = findModel('google', name);
  if (model !== null) return json(entry(model));
  const message = `models/${name.slice(0, 80)} is not found.`;
  return { kind: 'fault', cause: 'model_not_found', message };
}

function entry(model: SandboxModel): JsonObject {
  return {
    name: `models/${model.id}`,
    version: '001',
    displayName: model.id,
    description: 'Simulated by the sandbox.',
    inputTokenLimit: model.kind === 'chat' ? 1_048_576 : 8_192,
    outputTokenLimit: model.kind === 'chat' ? 65_536 : 1,
    supportedGenerationMethods:
      model.kind === 'chat' ? ['generateContent', 'countTokens'] : ['embedContent'],
  };
}

export const GOOGLE: ProviderSimulation = {
  keyOf,
  endpointOf,
  renderFault: renderGoogleFault,
  standingHeaders: () => ({
    'content-type': 'application/json; charset=UTF-8',
    vary: 'Origin, X-Origin, Referer',
    'server-timing': 'gfet4t7; dur=12',
    'x-content-type-options': 'nosniff',
  }),
  requestIdPrefix: '',
};
