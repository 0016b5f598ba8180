import { modelOf, type Dialect } from './requests.js';

/** A provider's answer as a value, with the canary in its text and in the arguments of its tool call. */
export function wholeAnswer(dialect: Dialect, canary: string): unknown {
  const model = modelOf(dialect);
  switch (dialect) {
    case 'openai chat':
    case 'groq chat':
      return {
        id: 'chatcmpl-1',
        object: 'chat.completion',
        model,
        choices: [
          {
            index: 0,
            message: {
              role: 'assistant',
              content: canary,
              refusal: canary,
              reasoning_content: canary,
              tool_calls: [
                { id: 'call_2', type: 'function', function: { name: 'look', arguments: canary } },
              ],
            },
            finish_reason: 'tool_calls',
          },
        ],
        usage: { prompt_tokens: 9, completion_tokens: 7, total_tokens: 16 },
      };
    case 'openai responses':
      return response(model, canary, 'completed');
    case 'anthropic messages':
      return {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model,
        content: [
          { type: 'thinking', thinking: canary, signature: canary },
          { type: 'text', text: canary },
          { type: 'tool_use', id: 'toolu_2', name: 'look', input: { found: canary } },
        ],
        stop_reason: 'tool_use',
        usage: { input_tokens: 9, output_tokens: 7 },
      };
    case 'google generateContent':
      return googleChunk(model, canary, 'STOP');
  }
}

/** The same as the events of a stream, each ready to be written. */
export function streamedAnswer(dialect: Dialect, canary: string): string[] {
  const model = modelOf(dialect);
  switch (dialect) {
    case 'openai chat':
    case 'groq chat':
      return chatEvents(model, canary);
    case 'openai responses':
      return [
        named('response.created', { response: response(model, canary, 'in_progress') }),
        named('response.output_text.delta', { delta: canary }),
        named('response.function_call_arguments.delta', { delta: canary }),
        named('response.completed', { response: response(model, canary, 'completed') }),
      ];
    case 'anthropic messages':
      return messageEvents(model, canary);
    case 'google generateContent':
      return [
        data(googleChunk(model, canary, null)),
        data(googleChunk(model, canary, null)),
        data(googleChunk(model, canary, 'STOP')),
      ];
  }
}

/** The error that a provider would send, quoting what it was sent, in its message and where codes belong. */
export function errorAnswer(dialect: Dialect, status: number, canary: string): unknown {
  const message = `We do not like "${canary}" at all`;
  switch (dialect) {
    case 'anthropic messages':
      return { type: 'error', error: { type: canary, message }, request_id: 'req_1' };
    case 'google generateContent':
      return {
        error: {
          code: status,
          message,
          status: canary,
          details: [{ '@type': canary, reason: canary, metadata: { quoted: canary } }],
        },
      };
    default:
      return { error: { message, type: canary, param: canary, code: canary } };
  }
}

/** An error that comes as an event, after the stream began well. */
export function errorEvent(dialect: Dialect, canary: string): string {
  const body = errorAnswer(dialect, 500, canary);
  if (dialect === 'anthropic messages') return `event: error\ndata: ${JSON.stringify(body)}\n\n`;
  if (dialect === 'openai responses') {
    return named('error', { code: canary, message: canary, param: canary });
  }
  return data(body);
}

function chatEvents(model: string, canary: string): string[] {
  const chunk = (delta: object | null, rest: object): string =>
    data({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      model,
      choices: delta === null ? [] : [{ index: 0, delta, finish_reason: null }],
      ...rest,
    });
  const call = { index: 0, id: 'call_2', function: { name: 'look', arguments: canary } };
  const usage = { prompt_tokens: 9, completion_tokens: 7, total_tokens: 16 };
  return [
    chunk({ role: 'assistant', content: canary }, { usage: null }),
    chunk({ tool_calls: [call] }, { usage: null }),
    chunk({ content: canary }, { usage: null }),
    chunk(null, { usage }),
    'data: [DONE]\n\n',
  ];
}

function messageEvents(model: string, canary: string): string[] {
  const block = (index: number, content: object): string =>
    named('content_block_start', { index, content_block: content });
  const delta = (index: number, piece: object): string =>
    named('content_block_delta', { index, delta: piece });
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model, content: [] };
  return [
    named('message_start', { message: { ...message, usage: { input_tokens: 9 } } }),
    block(0, { type: 'text', text: canary }),
    delta(0, { type: 'text_delta', text: canary }),
    delta(0, { type: 'thinking_delta', thinking: canary }),
    block(1, { type: 'tool_use', id: 'toolu_2', name: 'look', input: {} }),
    delta(1, { type: 'input_json_delta', partial_json: canary }),
    named('message_delta', { delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 7 } }),
    named('message_stop', {}),
  ];
}

function response(model: string, canary: string, status: string) {
  return {
    id: 'resp_1',
    object: 'response',
    status,
    model,
    instructions: canary,
    output: [
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: canary }] },
      { type: 'function_call', call_id: 'call_2', name: 'look', arguments: canary },
    ],
    usage: status === 'completed' ? { input_tokens: 9, output_tokens: 7, total_tokens: 16 } : null,
  };
}

function googleChunk(model: string, canary: string, finishReason: string | null) {
  return {
    candidates: [
      {
        index: 0,
        content: {
          role: 'model',
          parts: [{ text: canary }, { functionCall: { name: 'look', args: { found: canary } } }],
        },
        ...(finishReason === null ? {} : { finishReason }),
      },
    ],
    promptFeedback: { blockReasonMessage: canary },
    usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 7, totalTokenCount: 16 },
    modelVersion: model,
  };
}

function data(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

function named(type: string, value: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...value })}\n\n`;
}
