import type { Provider } from '../../domain/routing/provider.js';
import { invalid, json, type Answer, type Fault, type SandboxCall } from '../exchange.js';
import { digestOf, sequenceFrom } from '../fingerprint.js';
import { arrayOf, countOf, textOf, type JsonObject } from '../json-value.js';
import { findModel } from '../models.js';
import { tokensOf } from '../prefix-memory.js';
import { unknownModel } from './chat-request.js';

const INPUTS_MAX = 2_048;

/** A unit vector drawn from the text. */
export function embed(text: string, dimensions: number): Float32Array<ArrayBuffer> {
  const next = sequenceFrom(digestOf(text));
  const vector = new Float32Array(dimensions);
  let squares = 0;
  for (let at = 0; at < dimensions; at += 1) {
    const value = next() - 0.5;
    vector[at] = value;
    squares += value * value;
  }
  const length = Math.sqrt(squares) || 1;
  for (let at = 0; at < dimensions; at += 1) vector[at] = (vector[at] ?? 0) / length;
  return vector;
}

/** `embeddings`, as OpenAI, Groq and Google's OpenAI-compatible endpoint answer it. */
export function answerEmbeddings(call: SandboxCall, provider: Provider): Answer | Fault {
  const { body } = call;
  const named = textOf(body['model']);
  if (named === null) return invalid('you must provide a model parameter', 'model');
  const model = findModel(provider, named.replace(/^models\//, ''));
  if (model?.kind !== 'embedding') return unknownModel(named);
  const inputs = inputsOf(body['input']);
  if (inputs === null) return invalid("'$.input' is invalid.", 'input');
  const dimensions = Math.min(countOf(body['dimensions']) || model.dimensions, model.dimensions);
  const base64 = body['encoding_format'] === 'base64';
  const tokens = inputs.reduce((sum, input) => sum + tokensOf(input), 0);
  const answer: JsonObject = {
    object: 'list',
    data: inputs.map((input, index) => {
      const vector = embed(input, dimensions);
      const embedding = base64 ? Buffer.from(vector.buffer).toString('base64') : [...vector];
      return { object: 'embedding', index, embedding };
    }),
    model: model.answersAs,
  };
  if (!call.directives.noUsage) answer['usage'] = { prompt_tokens: tokens, total_tokens: tokens };
  return json(answer);
}

// Text, texts, the tokens of one text, or of several; tokens stand for four characters each.
function inputsOf(input: unknown): string[] | null {
  if (typeof input === 'string') return input === '' ? null : [input];
  const items = arrayOf(input);
  if (items.length === 0 || items.length > INPUTS_MAX) return null;
  if (items.every((item) => typeof item === 'number')) return [tokenText(items)];
  const texts = items.map((item) => (Array.isArray(item) ? tokenText(item) : textOf(item)));
  return texts.every((text) => text !== null) ? texts : null;
}

function tokenText(tokens: readonly unknown[]): string {
  return tokens.map((token) => String(token).padStart(4, ' ').slice(0, 4)).join('');
}
