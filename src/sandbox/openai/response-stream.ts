import type { Completion } from '../completion.js';
import { arrayOf, objectOf, type JsonObject } from '../json-value.js';

/** The error that a stream of response events carries after its 200. */
export const RESPONSE_ERROR_FRAME = frame('error', {
  type: 'error',
  code: 'server_error',
  message: 'The server had an error while processing your request. Sorry about that!',
  param: null,
  sequence_number: 9_999,
});

function frame(event: string, data: JsonObject): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The events that lead up to the finished response, numbered, as the provider sends them. */
export function responseFrames(
  response: JsonObject,
  completion: Completion,
  digest: string,
): string[] {
  const frames: string[] = [];
  const push = (type: string, data: JsonObject): void => {
    frames.push(frame(type, { type, ...data, sequence_number: frames.length }));
  };
  const unfinished = {
    ...response,
    status: 'in_progress',
    completed_at: null,
    incomplete_details: null,
    output: [],
    usage: null,
  };
  push('response.created', { response: unfinished });
  push('response.in_progress', { response: unfinished });
  arrayOf(response['output']).forEach((item, outputIndex) => {
    pushItem(push, objectOf(item) ?? {}, outputIndex, completion, digest);
  });
  push(`response.${String(response['status'])}`, { response });
  return frames;
}

type Push = (type: string, data: JsonObject) => void;

function pushItem(
  push: Push,
  item: JsonObject,
  outputIndex: number,
  completion: Completion,
  digest: string,
): void {
  const place = { output_index: outputIndex };
  const added = { output_index: outputIndex, item: unfinishedItem(item) };
  push('response.output_item.added', added);
  const inside = { item_id: item['id'], ...place };
  if (item['type'] === 'message') pushText(push, inside, completion, digest);
  if (item['type'] === 'function_call') {
    for (const delta of completion.deltas) {
      push('response.function_call_arguments.delta', { ...inside, delta, ...padding(digest) });
    }
    push('response.function_call_arguments.done', {
      ...inside,
      name: item['name'],
      arguments: completion.text,
    });
  }
  push('response.output_item.done', { ...place, item });
}

function pushText(push: Push, inside: JsonObject, completion: Completion, digest: string): void {
  const at = { ...inside, content_index: 0 };
  const part = { type: 'output_text', annotations: [], logprobs: [], text: '' };
  push('response.content_part.added', { ...at, part });
  for (const delta of completion.deltas) {
    push('response.output_text.delta', { ...at, delta, logprobs: [], ...padding(digest) });
  }
  push('response.output_text.done', { ...at, text: completion.text, logprobs: [] });
  push('response.content_part.done', { ...at, part: { ...part, text: completion.text } });
}

function unfinishedItem(item: JsonObject): JsonObject {
  switch (item['type']) {
    case 'message':
      return { ...item, status: 'in_progress', content: [] };
    case 'function_call':
      return { ...item, status: 'in_progress', arguments: '' };
    default:
      return item;
  }
}

function padding(digest: string): JsonObject {
  return { obfuscation: digest.slice(0, 12) };
}
