import { complete, type Completion } from '../completion.js';
import { json, SSE_HEADERS, type Answer, type Fault, type SandboxCall } from '../exchange.js';
import { idFrom } from '../fingerprint.js';
import { textOf, type JsonObject } from '../json-value.js';
import { promptTokens } from '../prompt.js';
import { splitByCache } from './cache.js';
import { readMessageRequest, type MessageRequest } from './message-request.js';
import { MESSAGE_ERROR_FRAME, messageFrames } from './message-stream.js';
import { thinkingOf } from './model-rules.js';

const THINKING = 'The request is clear, so a short answer will do.';

/** `v1/messages`: whole, or as a stream of events. */
export function answerMessage(call: SandboxCall): Answer | Fault {
  const request = readMessageRequest(call, false);
  if (request.kind === 'fault') return request;
  const thinking = thinkingOf(request.model.id, call.body);
  const completion = complete({
    digest: call.digest,
    directives: call.directives,
    tokensMax: request.tokensMax,
    reasoningTokens: thinking.tokens,
    tool: request.tool,
    json: request.json,
    tokensPerDelta: 3,
  });
  const usage = usageOf(call, request, completion);
  const message: JsonObject = {
    id: idFrom(call.digest, 'msg_'),
    type: 'message',
    role: 'assistant',
    model: request.model.answersAs,
    content: contentOf(call, completion, thinking.shown),
    stop_reason: stopReason(completion),
    stop_sequence: null,
    stop_details: null,
    container: null,
    diagnostics: null,
    usage,
  };
  if (call.directives.noUsage) delete message['usage'];
  if (call.body['stream'] !== true) return json(message);
  const frames = messageFrames(message, completion);
  return { kind: 'stream', headers: SSE_HEADERS, frames, errorFrame: MESSAGE_ERROR_FRAME };
}

/** `v1/messages/count_tokens`. */
export function answerCount(call: SandboxCall): Answer | Fault {
  const request = readMessageRequest(call, true);
  if (request.kind === 'fault') return request;
  return json({ input_tokens: promptTokens(request.blocks) });
}

function contentOf(call: SandboxCall, completion: Completion, thinks: boolean): JsonObject[] {
  const content: JsonObject[] = [];
  if (thinks) {
    const signature = Buffer.from(call.digest, 'hex').toString('base64');
    content.push({ type: 'thinking', thinking: THINKING, signature });
  }
  if (completion.kind === 'tool') {
    content.push({
      type: 'tool_use',
      id: idFrom(call.digest, 'toolu_'),
      name: completion.toolName,
      input: parsedOr(completion.text),
      caller: { type: 'direct' },
    });
  } else if (completion.text !== '') {
    content.push({ type: 'text', text: completion.text, citations: null });
  }
  return content;
}

// Arguments that the bound on output cut are no JSON; the provider then shows none.
function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function stopReason(completion: Completion): string {
  if (completion.truncated) return 'max_tokens';
  return completion.kind === 'tool' ? 'tool_use' : 'end_turn';
}

function usageOf(call: SandboxCall, request: MessageRequest, completion: Completion): JsonObject {
  const split = splitByCache(call, request.model.id, request.blocks);
  return {
    input_tokens: split.uncached,
    cache_creation_input_tokens: split.written5m + split.written1h,
    cache_read_input_tokens: split.read,
    cache_creation: {
      ephemeral_5m_input_tokens: split.written5m,
      ephemeral_1h_input_tokens: split.written1h,
    },
    output_tokens: completion.outputTokens,
    output_tokens_details: { thinking_tokens: completion.reasoningTokens },
    server_tool_use: null,
    service_tier: textOf(call.body['service_tier']) === 'priority' ? 'priority' : 'standard',
    speed: textOf(call.body['speed']) ?? 'standard',
    inference_geo: textOf(call.body['inference_geo']) ?? 'global',
  };
}
