import type { Completion } from '../completion.js';
import { arrayOf, objectOf, type JsonObject } from '../json-value.js';

function frame(data: JsonObject): string {
  return `event: ${String(data['type'])}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The error that a stream of messages carries after its 200. */
export const MESSAGE_ERROR_FRAME = frame({
  type: 'error',
  error: { type: 'overloaded_error', message: 'Overloaded', details: null },
  request_id: 'req_sandbox',
});

/** The events that build up the message, as the provider sends them. */
export function messageFrames(message: JsonObject, completion: Completion): string[] {
  const usage = objectOf(message['usage']);
  const started: JsonObject = { ...message, content: [], stop_reason: null };
  // The full usage is in the start; its output is a placeholder.
  if (usage !== null) {
    started['usage'] = { ...usage, output_tokens: 1, output_tokens_details: null };
  }
  const frames = [frame({ type: 'message_start', message: started })];
  arrayOf(message['content']).forEach((block, index) => {
    pushBlock(frames, objectOf(block) ?? {}, index, completion);
    if (index === 0) frames.splice(2, 0, frame({ type: 'ping' }));
  });
  frames.push(
    frame({
      type: 'message_delta',
      delta: {
        stop_reason: message['stop_reason'],
        stop_sequence: null,
        stop_details: null,
        container: null,
      },
      ...(usage === null ? {} : { usage: cumulative(usage) }),
    }),
    frame({ type: 'message_stop' }),
  );
  return frames;
}

function pushBlock(
  frames: string[],
  block: JsonObject,
  index: number,
  completion: Completion,
): void {
  const delta = (change: JsonObject): void => {
    frames.push(frame({ type: 'content_block_delta', index, delta: change }));
  };
  const start = (content_block: JsonObject): void => {
    frames.push(frame({ type: 'content_block_start', index, content_block }));
  };
  switch (block['type']) {
    case 'thinking':
      start({ type: 'thinking', thinking: '', signature: '' });
      delta({ type: 'thinking_delta', thinking: block['thinking'] });
      delta({ type: 'signature_delta', signature: block['signature'] });
      break;
    case 'tool_use':
      start({ ...block, input: {} });
      delta({ type: 'input_json_delta', partial_json: '' });
      for (const partial_json of completion.deltas) {
        delta({ type: 'input_json_delta', partial_json });
      }
      break;
    default:
      start({ type: 'text', text: '', citations: null });
      for (const text of completion.deltas) delta({ type: 'text_delta', text });
  }
  frames.push(frame({ type: 'content_block_stop', index }));
}

function cumulative(usage: JsonObject): JsonObject {
  return {
    input_tokens: usage['input_tokens'],
    cache_creation_input_tokens: usage['cache_creation_input_tokens'],
    cache_read_input_tokens: usage['cache_read_input_tokens'],
    output_tokens: usage['output_tokens'],
    output_tokens_details: usage['output_tokens_details'],
    server_tool_use: usage['server_tool_use'],
  };
}
