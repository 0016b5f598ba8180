import { complete, mentionsTool, type Completion } from '../completion.js';
import {
  invalid,
  json,
  SSE_HEADERS,
  type Answer,
  type Fault,
  type SandboxCall,
} from '../exchange.js';
import { createdFrom, idFrom } from '../fingerprint.js';
import { arrayOf, countOf, objectOf, textOf, type JsonObject } from '../json-value.js';
import { findModel, type SandboxModel } from '../models.js';
import {
  jsonSegment,
  promptText,
  promptTokens,
  segmentOf,
  wordsOf,
  type PromptSegment,
} from '../prompt.js';
import { unknownModel } from './chat-request.js';
import { billsCacheWrites, reasoningTokensOf, refuseReasoning } from './model-rules.js';
import { RESPONSE_ERROR_FRAME, responseFrames } from './response-stream.js';

const CACHE_TTL_MS = 30 * 60_000;
const OUTPUT_TOKENS_MIN = 16;

interface ResponseRequest {
  readonly kind: 'response_request';
  readonly model: SandboxModel;
  readonly segments: readonly PromptSegment[];
  readonly tokensMax: number | null;
  readonly effort: string | null;
}

/** `responses`: whole, or as a stream of events. */
export function answerResponse(call: SandboxCall): Answer | Fault {
  const request = readRequest(call.body);
  if (request.kind === 'fault') return request;
  const completion = complete({
    digest: call.digest,
    directives: call.directives,
    tokensMax: request.tokensMax,
    reasoningTokens: reasoningTokensOf(request.model.id, request.effort),
    tool: toolToCall(call.body),
    json: jsonWanted(call.body),
    tokensPerDelta: 1,
  });
  const response = responseOf(call, request, completion);
  if (call.body['stream'] !== true) return json(response);
  const frames = responseFrames(response, completion, call.digest);
  return { kind: 'stream', headers: SSE_HEADERS, frames, errorFrame: RESPONSE_ERROR_FRAME };
}

/** `responses/input_tokens`. */
export function answerInputTokens(call: SandboxCall): Answer | Fault {
  const request = readRequest(call.body);
  if (request.kind === 'fault') return request;
  return json({ object: 'response.input_tokens', input_tokens: promptTokens(request.segments) });
}

/** Nothing is stored, so no stored response is ever found. */
export function storedResponse(id: string): Fault {
  const message = `Response with id '${id.slice(0, 80)}' not found.`;
  return { kind: 'fault', cause: 'path_not_found', message };
}

function readRequest(body: JsonObject): ResponseRequest | Fault {
  const named = textOf(body['model']);
  if (named === null) {
    return invalid("Missing required parameter: 'model'.", 'model', 'missing_required_parameter');
  }
  const model = findModel('openai', named);
  if (model?.kind !== 'chat') return unknownModel(named);
  const input = body['input'];
  if (textOf(input) === null && arrayOf(input).length === 0 && body['prompt'] === undefined) {
    return invalid("Missing required parameter: 'input'.", 'input', 'missing_required_parameter');
  }
  const tokensMax = countOf(body['max_output_tokens']);
  if (tokensMax !== null && tokensMax < OUTPUT_TOKENS_MIN) {
    return invalid(
      `Invalid 'max_output_tokens': integer below minimum value. Expected a value >= ${OUTPUT_TOKENS_MIN}, but got ${tokensMax} instead.`,
      'max_output_tokens',
      'integer_below_min_value',
    );
  }
  const previous = textOf(body['previous_response_id']);
  if (previous !== null && !previous.startsWith('resp_')) {
    return invalid(
      'Previous response not found.',
      'previous_response_id',
      'previous_response_not_found',
    );
  }
  const effort = textOf(objectOf(body['reasoning'])?.['effort']);
  const refused = refuseReasoning(model.id, effort, body, 'reasoning.effort');
  if (refused !== null) return refused;
  return { kind: 'response_request', model, segments: segmentsOf(body), tokensMax, effort };
}

function segmentsOf(body: JsonObject): PromptSegment[] {
  const segments: PromptSegment[] = [];
  if (body['tools'] !== undefined) segments.push(jsonSegment('tools', body['tools']));
  const instructions = textOf(body['instructions']);
  if (instructions !== null) segments.push(segmentOf('instructions', instructions));
  if (typeof body['input'] === 'string') segments.push(segmentOf('user', body['input']));
  for (const item of arrayOf(body['input'])) {
    const object = objectOf(item) ?? {};
    const content = object['content'];
    segments.push(
      content === undefined
        ? jsonSegment('item', object)
        : segmentOf(textOf(object['role']) ?? 'user', content),
    );
  }
  return segments;
}

function toolToCall(body: JsonObject): { name: string; schema: unknown } | null {
  const tools = arrayOf(body['tools'])
    .map(objectOf)
    .filter((tool) => tool !== null && tool['type'] === 'function');
  const first = tools[0];
  const choice = body['tool_choice'];
  if (!first || choice === 'none') return null;
  const forced = textOf(objectOf(choice)?.['name']);
  const last = typeof body['input'] === 'string' ? null : objectOf(arrayOf(body['input']).at(-1));
  const words = typeof body['input'] === 'string' ? body['input'] : wordsOf(last?.['content']);
  if (forced === null && choice !== 'required' && !mentionsTool(words)) return null;
  const chosen = tools.find((tool) => tool?.['name'] === forced) ?? first;
  return { name: textOf(chosen['name']) ?? 'function', schema: chosen['parameters'] };
}

function jsonWanted(body: JsonObject): { schema: unknown } | null {
  const format = objectOf(objectOf(body['text'])?.['format']);
  if (format?.['type'] === 'json_object') return { schema: null };
  return format?.['type'] === 'json_schema' ? { schema: format['schema'] } : null;
}

function responseOf(
  call: SandboxCall,
  request: ResponseRequest,
  completion: Completion,
): JsonObject {
  const { body } = call;
  const created = createdFrom(call.digest);
  return {
    id: idFrom(call.digest, 'resp_'),
    object: 'response',
    created_at: created,
    status: completion.truncated ? 'incomplete' : 'completed',
    background: false,
    completed_at: completion.truncated ? null : created + 1,
    error: null,
    incomplete_details: completion.truncated ? { reason: 'max_output_tokens' } : null,
    // The provider repeats the instructions here; the sandbox repeats nothing that was said to it.
    instructions: null,
    max_output_tokens: request.tokensMax,
    max_tool_calls: null,
    model: request.model.answersAs,
    output: outputOf(call, completion),
    parallel_tool_calls: body['parallel_tool_calls'] ?? true,
    previous_response_id: body['previous_response_id'] ?? null,
    prompt_cache_key: body['prompt_cache_key'] ?? null,
    reasoning: { effort: request.effort, summary: null },
    service_tier: tierOf(textOf(body['service_tier'])),
    store: body['store'] ?? true,
    temperature: body['temperature'] ?? 1,
    text: { format: { type: 'text' }, verbosity: 'medium', ...objectOf(body['text']) },
    tool_choice: body['tool_choice'] ?? 'auto',
    tools: body['tools'] ?? [],
    top_logprobs: 0,
    top_p: body['top_p'] ?? 1,
    truncation: body['truncation'] ?? 'disabled',
    usage: call.directives.noUsage ? null : usageOf(call, request, completion),
    user: null,
    metadata: body['metadata'] ?? {},
  };
}

function tierOf(asked: string | null): string {
  if (asked === 'fast') return 'priority';
  return asked === null || asked === 'auto' ? 'default' : asked;
}

function outputOf(call: SandboxCall, completion: Completion): JsonObject[] {
  const output: JsonObject[] = [];
  if (completion.reasoningTokens > 0) output.push(reasoningItem(call));
  const status = completion.truncated ? 'incomplete' : 'completed';
  if (completion.kind === 'tool') {
    output.push({
      id: idFrom(call.digest, 'fc_'),
      type: 'function_call',
      status,
      arguments: completion.text,
      call_id: idFrom(call.digest, 'call_', 'tool0'),
      name: completion.toolName,
    });
    return output;
  }
  // A bound that the reasoning alone used up leaves no message at all.
  if (completion.text === '' && completion.truncated) return output;
  output.push({
    id: idFrom(call.digest, 'msg_'),
    type: 'message',
    status,
    content: [{ type: 'output_text', annotations: [], logprobs: [], text: completion.text }],
    role: 'assistant',
  });
  return output;
}

function reasoningItem(call: SandboxCall): JsonObject {
  const encrypted = arrayOf(call.body['include']).includes('reasoning.encrypted_content');
  return {
    id: idFrom(call.digest, 'rs_'),
    type: 'reasoning',
    summary: [],
    ...(encrypted ? { encrypted_content: Buffer.from(call.digest).toString('base64') } : {}),
  };
}

function usageOf(call: SandboxCall, request: ResponseRequest, completion: Completion): JsonObject {
  const input = promptTokens(request.segments);
  const { id, cacheTokensMin } = request.model;
  const scope = `${call.keyDigest}:${id}:${textOf(call.body['prompt_cache_key']) ?? ''}`;
  const prompt = promptText(request.segments);
  const reused = call.prefixes.reuse(scope, prompt, cacheTokensMin ?? 1024, CACHE_TTL_MS);
  const cached = Math.min(reused, input);
  const written = billsCacheWrites(id) && input >= 1024 ? input - (input % 128) - cached : 0;
  const writes = Math.max(0, written);
  const longLived = objectOf(call.body['prompt_cache_options'])?.['ttl'] === '12h';
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: cached,
      cache_write_tokens: writes,
      ...(billsCacheWrites(id)
        ? {
            cache_write_tokens_details: {
              ttl_30m_tokens: longLived ? 0 : writes,
              ttl_12h_tokens: longLived ? writes : 0,
            },
          }
        : {}),
    },
    output_tokens: completion.outputTokens,
    output_tokens_details: { reasoning_tokens: completion.reasoningTokens },
    total_tokens: input + completion.outputTokens,
  };
}
