import type { Provider } from '../../domain/routing/provider.js';
import { complete, digestOfChoice, type Completion } from '../completion.js';
import { json, SSE_HEADERS, type Answer, type Fault, type SandboxCall } from '../exchange.js';
import { createdFrom, idFrom } from '../fingerprint.js';
import { textOf, type JsonObject } from '../json-value.js';
import { promptText, promptTokens } from '../prompt.js';
import { readChatRequest, type ChatRequest } from './chat-request.js';
import { CHAT_ERROR_FRAME } from './faults.js';
import { billsCacheWrites, reasoningTokensOf } from './model-rules.js';

const CACHE_TTL_MS = 30 * 60_000;
const OBFUSCATION_WIDTH = 16;

/** What is common to a chat answer and to every chunk of a chat stream. */
interface ChatAnswer {
  readonly call: SandboxCall;
  readonly request: ChatRequest;
  readonly provider: Provider;
  readonly completions: readonly Completion[];
  readonly usage: JsonObject;
}

/** `chat/completions`, as OpenAI, Groq and Google's OpenAI-compatible endpoint answer it. */
export function answerChat(call: SandboxCall, provider: Provider): Answer | Fault {
  const request = readChatRequest(call.body, provider);
  if (request.kind === 'fault') return request;
  const completions = Array.from({ length: request.choices }, (_, index) =>
    complete({
      digest: digestOfChoice(call.digest, index),
      directives: call.directives,
      tokensMax: request.tokensMax,
      reasoningTokens: reasoningTokensOf(request.model.id, request.effort),
      tool: request.tool,
      json: request.json,
      tokensPerDelta: 1,
    }),
  );
  const usage = usageOf(call, request, provider, completions);
  const answer: ChatAnswer = { call, request, provider, completions, usage };
  if (!request.stream) return json(wholeAnswer(answer));
  return {
    kind: 'stream',
    headers: SSE_HEADERS,
    frames: frames(answer),
    errorFrame: CHAT_ERROR_FRAME,
  };
}

function usageOf(
  call: SandboxCall,
  request: ChatRequest,
  provider: Provider,
  completions: readonly Completion[],
): JsonObject {
  const input = promptTokens(request.segments);
  const { cacheTokensMin, id } = request.model;
  const reused =
    cacheTokensMin === null
      ? 0
      : call.prefixes.reuse(
          `${call.keyDigest}:${id}:${textOf(call.body['prompt_cache_key']) ?? ''}`,
          promptText(request.segments),
          cacheTokensMin,
          CACHE_TTL_MS,
        );
  const cached = Math.min(reused, input);
  const output = completions.reduce((sum, completion) => sum + completion.outputTokens, 0);
  const reasoning = completions.reduce((sum, completion) => sum + completion.reasoningTokens, 0);
  const written = billsCacheWrites(id) && input >= 1024 ? input - (input % 128) - cached : 0;
  const usage = {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
  };
  if (provider === 'groq') return { ...usage, ...groqTimes(), ...groqDetails(cached, reasoning) };
  return {
    ...usage,
    prompt_tokens_details: {
      cached_tokens: cached,
      audio_tokens: 0,
      ...(billsCacheWrites(id) ? { cache_write_tokens: Math.max(0, written) } : {}),
    },
    completion_tokens_details: {
      reasoning_tokens: reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

function groqTimes(): JsonObject {
  return { queue_time: 0.01, prompt_time: 0.002, completion_time: 0.05, total_time: 0.052 };
}

function groqDetails(cached: number, reasoning: number): JsonObject {
  return {
    ...(cached > 0 ? { prompt_tokens_details: { cached_tokens: cached } } : {}),
    ...(reasoning > 0 ? { completion_tokens_details: { reasoning_tokens: reasoning } } : {}),
  };
}

function envelope({ call, request, provider }: ChatAnswer, object: string): JsonObject {
  return {
    id: idFrom(call.digest, 'chatcmpl-'),
    object,
    created: createdFrom(call.digest),
    model: request.model.answersAs,
    ...(provider === 'google' ? {} : { system_fingerprint: idFrom(call.digest, 'fp_', 'system') }),
    ...(provider === 'google' ? {} : { service_tier: tierOf(request.body, provider) }),
  };
}

function tierOf(body: JsonObject, provider: Provider): string {
  const asked = textOf(body['service_tier']);
  if (provider === 'groq') return asked ?? 'on_demand';
  if (asked === 'fast') return 'priority';
  return asked === null || asked === 'auto' ? 'default' : asked;
}

function finishOf(completion: Completion): string {
  if (completion.truncated) return 'length';
  return completion.kind === 'tool' ? 'tool_calls' : 'stop';
}

function toolCallId(call: SandboxCall, index: number): string {
  return idFrom(call.digest, 'call_', `tool${index}`);
}

function wholeAnswer(answer: ChatAnswer): JsonObject {
  const { call, provider, completions, usage } = answer;
  const choices = completions.map((completion, index) => ({
    index,
    message: messageOf(answer, completion, index),
    logprobs: null,
    finish_reason: finishOf(completion),
  }));
  return {
    ...envelope(answer, 'chat.completion'),
    choices,
    ...(call.directives.noUsage ? {} : { usage }),
    ...(provider === 'groq' ? { usage_breakdown: null, x_groq: { id: groqId(call) } } : {}),
  };
}

function messageOf({ call, provider }: ChatAnswer, completion: Completion, index: number) {
  const only = provider === 'openai' ? { refusal: null, annotations: [] } : {};
  if (completion.kind === 'text') return { role: 'assistant', content: completion.text, ...only };
  const toolCall = {
    id: toolCallId(call, index),
    type: 'function',
    function: { name: completion.toolName, arguments: completion.text },
  };
  return { role: 'assistant', content: null, tool_calls: [toolCall], ...only };
}

function groqId(call: SandboxCall): string {
  return idFrom(call.digest, 'req_');
}

function frames(answer: ChatAnswer): string[] {
  const { call, request, provider, completions, usage } = answer;
  const base = envelope(answer, 'chat.completion.chunk');
  const chunks: JsonObject[] = [];
  const push = (index: number, delta: JsonObject, finish: string | null): void => {
    chunks.push({
      ...base,
      choices: [{ index, delta, logprobs: null, finish_reason: finish }],
    });
  };
  completions.forEach((completion, index) =>
    push(index, openingDelta(answer, completion, index), null),
  );
  completions.forEach((completion, index) => {
    for (const delta of completion.deltas) push(index, contentDelta(completion, delta), null);
  });
  completions.forEach((completion, index) => push(index, {}, finishOf(completion)));
  const reported = call.directives.noUsage !== true;
  if (provider === 'groq') markGroq(chunks, call, reported ? usage : null);
  if (request.includeUsage) {
    if (provider === 'openai') for (const chunk of chunks) chunk['usage'] = null;
    if (reported) chunks.push({ ...base, choices: [], usage });
  }
  const padded = provider === 'openai' && !refusesObfuscation(request.body);
  const lines = chunks.map((chunk, at) => {
    if (padded) chunk['obfuscation'] = paddingFor(call.digest, at);
    return `data: ${JSON.stringify(chunk)}\n\n`;
  });
  lines.push('data: [DONE]\n\n');
  return lines;
}

function openingDelta(
  { call, provider }: ChatAnswer,
  completion: Completion,
  index: number,
): JsonObject {
  const only = provider === 'openai' ? { refusal: null } : {};
  if (completion.kind === 'text') return { role: 'assistant', content: '', ...only };
  const opened = {
    index: 0,
    id: toolCallId(call, index),
    type: 'function',
    function: { name: completion.toolName, arguments: '' },
  };
  return { role: 'assistant', content: null, tool_calls: [opened], ...only };
}

function contentDelta(completion: Completion, delta: string): JsonObject {
  if (completion.kind === 'text') return { content: delta };
  return { tool_calls: [{ index: 0, function: { arguments: delta } }] };
}

function markGroq(chunks: JsonObject[], call: SandboxCall, usage: JsonObject | null): void {
  const [first] = chunks;
  const last = chunks.at(-1);
  if (first !== undefined) first['x_groq'] = { id: groqId(call) };
  if (last === undefined) return;
  last['x_groq'] = { id: groqId(call), ...(usage === null ? {} : { usage }) };
}

function refusesObfuscation(body: JsonObject): boolean {
  const options = body['stream_options'] as JsonObject | null | undefined;
  return options?.['include_obfuscation'] === false;
}

// Padding hides the length of a delta; here it only has to be there, and to be the same every time.
function paddingFor(digest: string, at: number): string {
  const offset = at % 40;
  return digest.slice(offset, offset + (OBFUSCATION_WIDTH - (at % 8)));
}
