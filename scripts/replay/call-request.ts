import type { Api } from './options.js';
import type { PromptRow, PromptTool } from './prompt-rows.js';
import { keyHeader } from './upstream-check.js';

/** One HTTP call, ready to be sent. */
export interface CallRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly model: string;
  readonly stream: boolean;
}

const MODELS: Readonly<Record<Api, string>> = {
  openai: 'gpt-5.4',
  anthropic: 'claude-sonnet-5',
  google: 'gemini-3.8-flash',
  groq: 'openai/gpt-oss-120b',
};

export interface CallTerms {
  readonly api: Api;
  readonly key: string;
  /** For every call; null takes the row's, or the API's default. */
  readonly model: string | null;
  readonly stream: boolean;
  readonly maxTokens: number;
}

/** The row as the API's own SDK would send it. */
export function callRequest(row: PromptRow, terms: CallTerms): CallRequest {
  const model = terms.model ?? row.model ?? MODELS[terms.api];
  switch (terms.api) {
    case 'openai':
    case 'groq':
      return chatCall(row, terms, model);
    case 'anthropic':
      return messageCall(row, terms, model);
    case 'google':
      return generateCall(row, terms, model);
  }
}

function chatCall(row: PromptRow, terms: CallTerms, model: string): CallRequest {
  const { api, key, stream, maxTokens } = terms;
  const system = row.system === null ? [] : [{ role: 'system', content: row.system }];
  const body = {
    model,
    messages: [...system, { role: 'user', content: row.prompt }],
    max_completion_tokens: maxTokens,
    ...optional('tools', row.tools.map(asFunction)),
    ...(stream ? { stream } : {}),
    // Groq reports usage on its own; OpenAI's streams only when asked.
    ...(stream && api === 'openai' ? { stream_options: { include_usage: true } } : {}),
  };
  const path = api === 'groq' ? '/groq/openai/v1/chat/completions' : '/openai/v1/chat/completions';
  return call(path, keyHeader(api, key), body, model, stream);
}

function asFunction(tool: PromptTool): object {
  return { type: 'function', function: tool };
}

function messageCall(row: PromptRow, terms: CallTerms, model: string): CallRequest {
  const { key, stream, maxTokens } = terms;
  const tools = row.tools.map(({ name, description, parameters }) => ({
    name,
    description,
    input_schema: { type: 'object', ...parameters },
  }));
  const body = {
    model,
    max_tokens: maxTokens,
    ...(row.system === null ? {} : { system: row.system }),
    messages: [{ role: 'user', content: row.prompt }],
    ...optional('tools', tools),
    ...(stream ? { stream } : {}),
  };
  const headers = { ...keyHeader('anthropic', key), 'anthropic-version': '2026-10-21' };
  return call('/anthropic/v1/messages', headers, body, model, stream);
}

function generateCall(row: PromptRow, terms: CallTerms, model: string): CallRequest {
  const { key, stream, maxTokens } = terms;
  const body = {
    ...(row.system === null ? {} : { systemInstruction: { parts: [{ text: row.system }] } }),
    contents: [{ role: 'user', parts: [{ text: row.prompt }] }],
    generationConfig: { maxOutputTokens: maxTokens },
    ...optional('tools', row.tools.length === 0 ? [] : [{ functionDeclarations: row.tools }]),
  };
  const action = stream ? 'streamGenerateContent?alt=sse' : 'generateContent';
  const path = `/google/v1beta/models/${encodeURIComponent(model)}:${action}`;
  return call(path, keyHeader('google', key), body, model, stream);
}

function optional(name: string, list: readonly unknown[]): Record<string, unknown> {
  return list.length === 0 ? {} : { [name]: list };
}

function call(
  path: string,
  headers: Readonly<Record<string, string>>,
  body: object,
  model: string,
  stream: boolean,
): CallRequest {
  return {
    path,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    model,
    stream,
  };
}
