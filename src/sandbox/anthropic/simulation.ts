import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import {
  json,
  type Answer,
  type Endpoint,
  type Fault,
  type ProviderSimulation,
} from '../exchange.js';
import type { JsonObject } from '../json-value.js';
import { findModel, modelsOf, type SandboxModel } from '../models.js';
import { decoded } from '../openai/model-list.js';
import { bearerOf } from '../openai/simulation.js';
import { renderAnthropicFault } from './faults.js';
import { answerCount, answerMessage } from './messages.js';

const MESSAGES: Endpoint = { route: '/v1/messages', answer: answerMessage };
const COUNT: Endpoint = { route: '/v1/messages/count_tokens', answer: answerCount };
const MODELS: Endpoint = { route: '/v1/models', answer: answerModels };

function keyOf(headers: IncomingHttpHeaders): string | null {
  const key = headers['x-api-key'];
  return (typeof key === 'string' && key !== '' ? key : null) ?? bearerOf(headers);
}

function endpointOf(method: string, path: string): Endpoint | null {
  if (method === 'POST') {
    return [MESSAGES, COUNT].find((endpoint) => endpoint.route === path) ?? null;
  }
  if (method !== 'GET') return null;
  if (path === MODELS.route) return MODELS;
  const model = /^\/v1\/models\/([^/]+)$/.exec(path)?.[1];
  if (model === undefined) return null;
  return { route: '/v1/models/{model}', answer: () => answerOneModel(decoded(model)) };
}

function answerModels(): Answer {
  const data = modelsOf('anthropic').map(entry);
  return json({
    data,
    has_more: false,
    first_id: data[0]?.['id'] ?? null,
    last_id: data.at(-1)?.['id'] ?? null,
  });
}

function answerOneModel(name: string): Answer | Fault {
  const model = findModel('anthropic', name);
  if (model !== null) return json(entry(model));
  return { kind: 'fault', cause: 'model_not_found', message: `model: ${name.slice(0, 80)}` };
}

function entry(model: SandboxModel): JsonObject {
  return {
    type: 'model',
    id: model.id,
    display_name: model.id.replace('claude-', 'Claude ').replaceAll('-', ' '),
    created_at: '2026-01-01T00:00:00Z',
    lifecycle: 'active',
    line: null,
    max_input_tokens: 1_000_000,
    max_tokens: 128_000,
    capabilities: null,
    deprecated_at: null,
    retires_at: null,
  };
}

function standingHeaders(requestId: string): OutgoingHttpHeaders {
  const reset = new Date(Math.ceil(Date.now() / 1000) * 1000).toISOString();
  return {
    'request-id': requestId,
    'anthropic-organization-id': '00000000-0000-4000-8000-000000000000',
    'anthropic-ratelimit-requests-limit': '4000',
    'anthropic-ratelimit-requests-remaining': '3999',
    'anthropic-ratelimit-requests-reset': reset,
    'anthropic-ratelimit-input-tokens-limit': '2000000',
    'anthropic-ratelimit-input-tokens-remaining': '1999000',
    'anthropic-ratelimit-input-tokens-reset': reset,
    'anthropic-ratelimit-output-tokens-limit': '400000',
    'anthropic-ratelimit-output-tokens-remaining': '399000',
    'anthropic-ratelimit-output-tokens-reset': reset,
  };
}

export const ANTHROPIC: ProviderSimulation = {
  keyOf,
  endpointOf,
  renderFault: renderAnthropicFault,
  standingHeaders,
  requestIdPrefix: 'req_',
};
