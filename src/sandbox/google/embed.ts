import { invalid, json, type Answer, type Fault, type SandboxCall } from '../exchange.js';
import { arrayOf, countOf, objectOf, type JsonObject } from '../json-value.js';
import type { SandboxModel } from '../models.js';
import { embed } from '../openai/embeddings.js';
import { tokensOf } from '../prefix-memory.js';
import { wordsOf } from '../prompt.js';
import { findGoogleModel } from './generate-request.js';

const REQUESTS_MAX = 100;

/** `:embedContent`. */
export function answerEmbed(call: SandboxCall, named: string): Answer | Fault {
  const model = findGoogleModel(named, 'embedding');
  if (model.kind === 'fault') return model;
  const words = contentWords(call.body);
  if (words === null) return invalid('* EmbedContentRequest.content: contents is not specified\n');
  const embedding = { values: valuesOf(model, call.body, words) };
  return json({ embedding, ...usage(call, [words]) });
}

/** `:batchEmbedContents`, which the SDK calls for a single text too. */
export function answerEmbedBatch(call: SandboxCall, named: string): Answer | Fault {
  const model = findGoogleModel(named, 'embedding');
  if (model.kind === 'fault') return model;
  const requests = arrayOf(call.body['requests']).map((request) => objectOf(request) ?? {});
  if (requests.length === 0)
    return invalid('* BatchEmbedContentsRequest.requests: is not specified');
  if (requests.length > REQUESTS_MAX) {
    return invalid(`* BatchEmbedContentsRequest.requests: at most ${REQUESTS_MAX} requests`);
  }
  const texts = requests.map(contentWords);
  if (!texts.every((text) => text !== null)) {
    return invalid('* BatchEmbedContentsRequest.requests: contents is not specified\n');
  }
  const embeddings = requests.map((request, at) => ({
    values: valuesOf(model, request, texts[at] ?? ''),
  }));
  return json({ embeddings, ...usage(call, texts) });
}

function contentWords(request: JsonObject): string | null {
  const words = wordsOf(objectOf(request['content'])?.['parts']);
  return words === '' ? null : words;
}

function valuesOf(model: SandboxModel, request: JsonObject, words: string): number[] {
  const config = objectOf(request['embedContentConfig']) ?? {};
  const asked = countOf(request['outputDimensionality']) ?? countOf(config['outputDimensionality']);
  return [...embed(words, Math.min(asked || model.dimensions, model.dimensions))];
}

function usage(call: SandboxCall, texts: readonly string[]): JsonObject {
  if (call.directives.noUsage) return {};
  const tokens = texts.reduce((sum, text) => sum + tokensOf(text), 0);
  return { usageMetadata: { promptTokenCount: tokens, totalTokenCount: tokens } };
}
