import { describe, expect, test } from 'vitest';
import { AnswerReader, type ReadAnswer } from './answer-reader.js';
import type { Api } from './options.js';
import { failureOf } from './replay-run.js';

function read(api: Api, stream: boolean, text: string): ReadAnswer {
  const reader = new AnswerReader(api, stream);
  for (const character of text) reader.feed(character);
  return reader.finish();
}

const tokens = { inputTokens: 12, outputTokens: 5 };

describe('usage is found where each API puts it', () => {
  test.each<[Api, boolean, string]>([
    ['openai', false, '{"usage":{"prompt_tokens":12,"completion_tokens":5}}'],
    [
      'openai',
      true,
      'data: {"usage":null}\n\ndata: {"usage":{"prompt_tokens":12,"completion_tokens":5}}\n\ndata: [DONE]\n\n',
    ],
    [
      'groq',
      true,
      'data: {"x_groq":{"usage":{"prompt_tokens":12,"completion_tokens":5}}}\n\ndata: [DONE]\n\n',
    ],
    [
      'anthropic',
      true,
      'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":2,"cache_read_input_tokens":10,"output_tokens":1}}}\n\ndata: {"type":"message_delta","usage":{"output_tokens":5}}\n\ndata: {"type":"message_stop"}\n\n',
    ],
    [
      'google',
      true,
      'data: {"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":3,"thoughtsTokenCount":2}}\r\n\r\n',
    ],
  ])('%s, stream %s', (api, stream, text) => {
    const answer = read(api, stream, text);
    expect(answer).toEqual({ tokens, errorCode: null, complete: true });
    expect(failureOf(200, answer)).toBeNull();
  });
});

describe('failures are told apart', () => {
  test.each<[string, Api, number, boolean, string]>([
    ['429 rate_limit_exceeded', 'openai', 429, false, '{"error":{"code":"rate_limit_exceeded"}}'],
    ['529 overloaded_error', 'anthropic', 529, false, '{"error":{"type":"overloaded_error"}}'],
    ['503 UNAVAILABLE', 'google', 503, false, '{"error":{"code":503,"status":"UNAVAILABLE"}}'],
    ['502', 'openai', 502, false, '<html>'],
    ['307 not followed', 'openai', 307, false, ''],
    ['200, then cut short', 'openai', 200, true, 'data: {"choices":[]}\n\n'],
    ['200, then cut short', 'openai', 200, false, '{"choices":['],
    ['200, then server_error', 'openai', 200, true, 'data: {"error":{"type":"server_error"}}\n\n'],
  ])('%s', (reason, api, status, stream, text) => {
    expect(failureOf(status, read(api, stream, text))).toBe(reason);
  });
});
