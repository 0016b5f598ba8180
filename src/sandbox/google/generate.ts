import { complete, digestOfChoice, type Completion } from '../completion.js';
import { json, SSE_HEADERS, type Answer, type Fault, type SandboxCall } from '../exchange.js';
import { idFrom } from '../fingerprint.js';
import { objectOf, type JsonObject } from '../json-value.js';
import { promptText, promptTokens } from '../prompt.js';
import {
  findGoogleModel,
  readGenerateRequest,
  segmentsOf,
  signatureFor,
  type GenerateRequest,
} from './generate-request.js';

const CACHE_TTL_MS = 30 * 60_000;

const STREAM_ERROR = {
  error: {
    code: 503,
    message: 'The model is overloaded. Please try again later.',
    status: 'UNAVAILABLE',
  },
};

/** `:generateContent`. */
export function answerGenerate(call: SandboxCall, model: string): Answer | Fault {
  const request = readGenerateRequest(model, call.body);
  if (request.kind === 'fault') return request;
  const completions = completionsOf(call, request);
  const usage = usageOf(call, request, completions);
  const candidates = completions.map((completion, index) => ({
    content: { parts: wholeParts(request, completion), role: 'model' },
    finishReason: finishOf(completion),
    index,
  }));
  return json(chunk(call, request, candidates, usage));
}

/** `:streamGenerateContent`: server-sent events with `alt=sse`, else one JSON array in pieces. */
export function answerGenerateStream(call: SandboxCall, model: string): Answer | Fault {
  const request = readGenerateRequest(model, call.body);
  if (request.kind === 'fault') return request;
  const chunks = streamChunks(call, request);
  if (call.query.get('alt') === 'sse') {
    const frames = chunks.map((it) => `data: ${JSON.stringify(it)}\r\n\r\n`);
    const errorFrame = `data: ${JSON.stringify(STREAM_ERROR)}\r\n\r\n`;
    return { kind: 'stream', headers: SSE_HEADERS, frames, errorFrame };
  }
  const frames = chunks.map((it, at) => `${at === 0 ? '[' : ',\r\n'}${JSON.stringify(it)}`);
  frames.push(']');
  return {
    kind: 'stream',
    headers: { 'content-type': 'application/json; charset=UTF-8' },
    frames,
    errorFrame: `,\r\n${JSON.stringify(STREAM_ERROR)}]`,
  };
}

/** `:countTokens`. */
export function answerCountTokens(call: SandboxCall, named: string): Answer | Fault {
  const model = findGoogleModel(named, 'chat');
  if (model.kind === 'fault') return model;
  const inner = objectOf(call.body['generateContentRequest']) ?? call.body;
  const tokens = promptTokens(segmentsOf(inner));
  return json({
    totalTokens: tokens,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: tokens }],
  });
}

function completionsOf(call: SandboxCall, request: GenerateRequest): readonly Completion[] {
  return Array.from({ length: request.candidates }, (_, index) =>
    complete({
      digest: digestOfChoice(call.digest, index),
      directives: call.directives,
      tokensMax: request.tokensMax,
      reasoningTokens: request.thoughtsTokens,
      tool: request.tool,
      json: request.json,
      tokensPerDelta: 8,
    }),
  );
}

function chunk(
  call: SandboxCall,
  request: GenerateRequest,
  candidates: readonly JsonObject[],
  usage: JsonObject,
): JsonObject {
  return {
    candidates,
    ...(call.directives.noUsage ? {} : { usageMetadata: usage }),
    modelVersion: request.model.answersAs,
    responseId: idFrom(call.digest, ''),
  };
}

function wholeParts(request: GenerateRequest, completion: Completion): JsonObject[] {
  if (completion.kind === 'tool') return [functionCallPart(request, completion)];
  return completion.text === '' ? [] : [{ text: completion.text }];
}

function functionCallPart(request: GenerateRequest, completion: Completion): JsonObject {
  const args: unknown = completion.truncated ? {} : JSON.parse(completion.text);
  return {
    functionCall: { name: completion.toolName, args },
    thoughtSignature: signatureFor(request.model.id),
  };
}

function finishOf(completion: Completion): string {
  return completion.truncated ? 'MAX_TOKENS' : 'STOP';
}

// Usage counts up from chunk to chunk, so only the last one is whole.
function streamChunks(call: SandboxCall, request: GenerateRequest): JsonObject[] {
  const completions = completionsOf(call, request);
  const usage = usageOf(call, request, completions);
  const chunks: JsonObject[] = [];
  const push = (index: number, parts: JsonObject[], finishReason: string | null): void => {
    const candidate = {
      content: { parts, role: 'model' },
      ...(finishReason === null ? {} : { finishReason }),
      index,
    };
    chunks.push(chunk(call, request, [candidate], usage));
  };
  completions.forEach((completion, index) => {
    // A function call comes whole, in one part.
    const pieces =
      completion.kind === 'tool'
        ? [[functionCallPart(request, completion)]]
        : completion.deltas.map((text) => [{ text }]);
    pieces.forEach((parts) => push(index, parts, null));
  });
  completions.forEach((completion, index) => push(index, [{ text: '' }], finishOf(completion)));
  if (call.directives.noUsage) return chunks;
  return chunks.map((it, at) =>
    at === chunks.length - 1
      ? it
      : { ...it, usageMetadata: partialUsage(usage, (at + 1) / chunks.length) },
  );
}

function partialUsage(usage: JsonObject, share: number): JsonObject {
  const candidates = Math.floor(Number(usage['candidatesTokenCount']) * share);
  const thoughts = Number(usage['thoughtsTokenCount'] ?? 0);
  const total = Number(usage['promptTokenCount']) + candidates + thoughts;
  return { ...usage, candidatesTokenCount: candidates, totalTokenCount: total };
}

function usageOf(
  call: SandboxCall,
  request: GenerateRequest,
  completions: readonly Completion[],
): JsonObject {
  const prompt = promptTokens(request.segments);
  const { id, cacheTokensMin } = request.model;
  const scope = `${call.keyDigest}:${id}`;
  const text = promptText(request.segments);
  const reused = call.prefixes.reuse(scope, text, cacheTokensMin ?? 4096, CACHE_TTL_MS);
  const cached = Math.min(reused, prompt);
  const output = completions.reduce((sum, completion) => sum + completion.outputTokens, 0);
  const thoughts = completions.reduce((sum, completion) => sum + completion.reasoningTokens, 0);
  return {
    promptTokenCount: prompt,
    candidatesTokenCount: output - thoughts,
    totalTokenCount: prompt + output,
    ...(cached > 0 ? { cachedContentTokenCount: cached } : {}),
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: prompt }],
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
  };
}
