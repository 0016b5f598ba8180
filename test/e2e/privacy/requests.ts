/** The interfaces that the canary is carried through. */
export const DIALECTS = [
  'openai chat',
  'openai responses',
  'anthropic messages',
  'google generateContent',
  'groq chat',
] as const;
export type Dialect = (typeof DIALECTS)[number];

export interface WireRequest {
  readonly path: string;
  /** Where this SDK puts its key. */
  readonly keyHeader: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const MODELS: Readonly<Record<Dialect, string>> = {
  'openai chat': 'gpt-5.4',
  'openai responses': 'gpt-5.4',
  'anthropic messages': 'claude-sonnet-4-6',
  'google generateContent': 'gemini-3.5-flash',
  'groq chat': 'openai/gpt-oss-20b',
};

export function modelOf(dialect: Dialect): string {
  return MODELS[dialect];
}

/** A call with the canary in every place of a prompt, and in the fields that name sessions and users. */
export function requestOf(dialect: Dialect, canary: string, streamed: boolean): WireRequest {
  const model = MODELS[dialect];
  switch (dialect) {
    case 'openai chat':
      return openai('/openai/v1/chat/completions', chat(model, canary, streamed));
    case 'groq chat':
      return openai('/groq/openai/v1/chat/completions', chat(model, canary, streamed));
    case 'openai responses':
      return openai('/openai/v1/responses', responses(model, canary, streamed));
    case 'anthropic messages':
      return {
        path: '/anthropic/v1/messages',
        keyHeader: 'x-api-key',
        headers: { 'anthropic-version': '2023-06-01' },
        body: messages(model, canary, streamed),
      };
    case 'google generateContent':
      return {
        path: `/google/v1beta/models/${model}:${streamed ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
        keyHeader: 'x-goog-api-key',
        headers: {},
        body: contents(canary),
      };
  }
}

function openai(path: string, body: unknown): WireRequest {
  return { path, keyHeader: 'authorization', headers: {}, body };
}

const schema = (canary: string) => ({
  type: 'object',
  description: canary,
  properties: { [canary]: { type: 'string', enum: [canary] } },
});

function chat(model: string, canary: string, streamed: boolean) {
  return {
    model,
    ...(streamed ? { stream: true } : {}),
    user: canary,
    prompt_cache_key: canary,
    metadata: { note: canary },
    messages: [
      { role: 'system', content: canary },
      { role: 'user', name: 'somebody', content: [{ type: 'text', text: canary }] },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'look', arguments: canary } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: canary },
      { role: 'user', content: canary },
    ],
    tools: [
      {
        type: 'function',
        function: { name: 'look', description: canary, parameters: schema(canary) },
      },
    ],
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'answer', schema: schema(canary) },
    },
    stop: [canary],
  };
}

function responses(model: string, canary: string, streamed: boolean) {
  return {
    model,
    ...(streamed ? { stream: true } : {}),
    instructions: canary,
    safety_identifier: canary,
    prompt_cache_key: canary,
    metadata: { note: canary },
    input: [
      { role: 'user', content: [{ type: 'input_text', text: canary }] },
      { type: 'function_call', call_id: 'call_1', name: 'look', arguments: canary },
      { type: 'function_call_output', call_id: 'call_1', output: canary },
      { role: 'user', content: canary },
    ],
    tools: [{ type: 'function', name: 'look', description: canary, parameters: schema(canary) }],
  };
}

function messages(model: string, canary: string, streamed: boolean) {
  return {
    model,
    max_tokens: 64,
    ...(streamed ? { stream: true } : {}),
    metadata: { user_id: canary },
    system: [{ type: 'text', text: canary, cache_control: { type: 'ephemeral' } }],
    messages: [
      { role: 'user', content: canary },
      {
        role: 'assistant',
        content: [{ type: 'tool_use', id: 'toolu_1', name: 'look', input: { [canary]: canary } }],
      },
      {
        role: 'user',
        content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: canary }],
      },
    ],
    tools: [{ name: 'look', description: canary, input_schema: schema(canary) }],
    stop_sequences: [canary],
  };
}

function contents(canary: string) {
  return {
    systemInstruction: { parts: [{ text: canary }] },
    contents: [
      { role: 'user', parts: [{ text: canary }] },
      {
        role: 'model',
        parts: [{ functionCall: { name: 'look', args: { [canary]: canary } } }],
      },
      {
        role: 'user',
        parts: [{ functionResponse: { name: 'look', response: { found: canary } } }],
      },
    ],
    tools: [
      {
        functionDeclarations: [{ name: 'look', description: canary, parameters: schema(canary) }],
      },
    ],
    generationConfig: { stopSequences: [canary] },
  };
}
