import type { Provider } from '../../domain/routing/provider.js';
import { json, type Answer, type Fault } from '../exchange.js';
import { createdFrom, digestOf } from '../fingerprint.js';
import type { JsonObject } from '../json-value.js';
import { findModel, modelsOf, type SandboxModel } from '../models.js';
import { unknownModel } from './chat-request.js';

function entry(model: SandboxModel): JsonObject {
  return {
    id: model.id,
    object: 'model',
    created: createdFrom(digestOf(model.id)),
    owned_by: model.provider === 'openai' ? 'system' : model.provider,
  };
}

/** `models`, in OpenAI's form. */
export function answerModelList(provider: Provider): Answer {
  return json({ object: 'list', data: modelsOf(provider).map(entry) });
}

export function answerModel(provider: Provider, encodedName: string): Answer | Fault {
  const name = decoded(encodedName);
  const model = findModel(provider, name);
  return model === null ? unknownModel(name) : json(entry(model));
}

/** A name from a path; one that cannot be decoded is no model's name, so it is left as it is. */
export function decoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}
