import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as models from '../../../test/support/capabilities.js';
import {
  PLAIN_BODIES,
  WIRE_FORMATS,
  type Body,
  type Format,
} from '../../../test/support/plain-bodies.js';
import type { PromptFacts } from '../../domain/classification/prompt-facts.js';
import type { ModelCapabilities } from '../../domain/routing/candidate.js';
import { ineligibilities, type Ineligibility } from '../../domain/routing/eligibility.js';
import { isListed, PARAMETERS } from '../../domain/routing/parameters.js';
import type { Provider } from '../../domain/routing/provider.js';
import { readPrompt } from './read-prompt.js';

const ABLE: ModelCapabilities = { ...models.ABLE, reasonsByDefault: true };
const NO_LIST = { providers: null, models: null };
const ANY = { organization: NO_LIST, project: NO_LIST };

const HOME: Readonly<Record<Format, Provider>> = {
  openai_chat: 'openai',
  openai_responses: 'openai',
  anthropic_messages: 'anthropic',
  google: 'google',
};
const LONG = 50_000;
const CHAT_TOOLS = [{ type: 'function', function: { name: 'f', parameters: {} } }];
const JSON_SCHEMA = { type: 'json_schema', json_schema: { name: 'o', schema: {} } };
const RESPONSES_TOOLS = [{ type: 'function', name: 'f', parameters: {} }];
const CLAUDE_TOOLS = [{ name: 'f', input_schema: {} }];
const GOOGLE_TOOLS = [{ functionDeclarations: [{ name: 'f' }] }];
const config = (generationConfig: Body): Body => ({ generationConfig });

/** A body that sets the parameter, for each row of the table. What is not here sets it to a word. */
const SAMPLES: Readonly<Record<Format, Readonly<Record<string, Body>>>> = {
  openai_chat: {
    messages: {},
    stream: { stream: true },
    stream_options: { stream_options: { include_usage: true } },
    max_completion_tokens: { max_completion_tokens: LONG },
    max_tokens: { max_tokens: 900 },
    temperature: { temperature: 1 },
    top_p: { top_p: 1 },
    presence_penalty: { presence_penalty: 0 },
    frequency_penalty: { frequency_penalty: 0 },
    n: { n: 2 },
    logprobs: { logprobs: true },
    top_logprobs: { top_logprobs: 3 },
    tools: { tools: CHAT_TOOLS },
    tool_choice: { tools: CHAT_TOOLS, tool_choice: 'required' },
    parallel_tool_calls: { parallel_tool_calls: false },
    response_format: { response_format: JSON_SCHEMA },
    reasoning_effort: { reasoning_effort: 'low' },
    prediction: { prediction: { type: 'content', content: 'x' } },
    store: { store: true },
    metadata: { metadata: { a: 'b' } },
    message_name: { messages: [{ role: 'user', name: 'ann', content: 'Hi' }] },
    developer_role: { messages: [{ role: 'developer', content: 'Hi' }] },
    strict_tools: {
      tools: [{ type: 'function', function: { name: 'f', parameters: {}, strict: true } }],
    },
    built_in_tools: { tools: [{ type: 'custom', custom: { name: 'f' } }] },
  },
  openai_responses: {
    input: {},
    stream: { stream: true },
    stream_options: { stream_options: { include_obfuscation: false } },
    store: { store: false },
    metadata: { metadata: { a: 'b' } },
    max_output_tokens: { max_output_tokens: LONG },
    temperature: { temperature: 1 },
    top_p: { top_p: 1 },
    top_logprobs: { top_logprobs: 3 },
    tools: { tools: RESPONSES_TOOLS },
    tool_choice: { tools: RESPONSES_TOOLS, tool_choice: { type: 'function', name: 'f' } },
    parallel_tool_calls: { parallel_tool_calls: true },
    reasoning: { reasoning: { effort: 'low' } },
    text: { text: { format: { type: 'json_schema', name: 'o', schema: {} } } },
    verbosity: { text: { verbosity: 'low' } },
    prompt: { prompt: { id: 'pmpt_1' } },
    background: { background: true },
    built_in_tools: { tools: [{ type: 'web_search' }] },
  },
  anthropic_messages: {
    messages: {},
    system: { system: 'Be brief.' },
    stream: { stream: true },
    metadata: { metadata: { user_id: 'u' } },
    cache_control: { cache_control: { type: 'ephemeral' } },
    max_tokens: { max_tokens: LONG },
    stop_sequences: { stop_sequences: ['x'] },
    temperature: { temperature: 1 },
    top_p: { top_p: 1 },
    top_k: { top_k: 1 },
    thinking: { thinking: { type: 'adaptive' } },
    output_config: { output_config: { effort: 'low' } },
    output_format: { output_format: { type: 'json_schema', schema: {} } },
    tools: { tools: CLAUDE_TOOLS },
    tool_choice: {
      tools: CLAUDE_TOOLS,
      tool_choice: { type: 'auto', disable_parallel_tool_use: true },
    },
    built_in_tools: { tools: [{ type: 'computer_20251124', name: 'computer' }] },
  },
  google: {
    contents: {},
    systemInstruction: { systemInstruction: { parts: [{ text: 'Be brief.' }] } },
    generationConfig: config({}),
    includeThoughts: config({ thinkingConfig: { includeThoughts: true } }),
    tools: { tools: GOOGLE_TOOLS },
    toolConfig: { tools: GOOGLE_TOOLS, toolConfig: { functionCallingConfig: { mode: 'ANY' } } },
    maxOutputTokens: config({ maxOutputTokens: LONG }),
    candidateCount: config({ candidateCount: 2 }),
    temperature: config({ temperature: 1 }),
    topP: config({ top_p: 1 }),
    topK: config({ topK: 1 }),
    stopSequences: config({ stopSequences: ['x'] }),
    responseMimeType: config({ response_mime_type: 'application/json' }),
    responseSchema: config({ responseSchema: {} }),
    responseJsonSchema: config({ responseJsonSchema: {} }),
    responseLogprobs: config({ responseLogprobs: true }),
    thinkingConfig: config({ thinkingConfig: { thinkingBudget: 100 } }),
    cachedContent: { cached_content: 'cachedContents/1' },
    labels: { labels: { a: 'b' } },
    safetySettings: { safety_settings: [{ category: 'x', threshold: 'y' }] },
    built_in_tools: { tools: [{ googleSearch: {} }] },
    ...Object.fromEntries(
      [
        'logprobs',
        'presencePenalty',
        'frequencyPenalty',
        'seed',
        'responseModalities',
        'responseFormat',
        'mediaResolution',
        'speechConfig',
        'modelSelectionConfig',
        'routingConfig',
        'audioTimestamp',
        'audioTranscriptionConfig',
        'enableAffectiveDialog',
        'enableEnhancedCivicAnswers',
        'translationConfig',
        'imageConfig',
      ].map((name) => [name, config({ [name]: 'x' })]),
    ),
  },
};

const FORMATS = Object.keys(WIRE_FORMATS) as Format[];
const ROWS = FORMATS.flatMap((format) =>
  Object.entries(PARAMETERS[format]).map(([name, rule]) => ({ format, name, ...rule })),
);

function factsOf(format: Format, change: Body): PromptFacts {
  return readPrompt(WIRE_FORMATS[format], { ...PLAIN_BODIES[format], ...change })!.facts;
}

function against(
  facts: PromptFacts,
  capabilities: ModelCapabilities,
  provider: Provider,
  asked: Provider = provider,
): readonly Ineligibility[] {
  const circumstances = { provider: asked, promptTokensMax: 1_000, answeredBy: null };
  const candidate = { provider, model: 'candidate', capabilities };
  return ineligibilities(facts, ABLE, candidate, ANY, circumstances);
}

describe('a parameter', () => {
  it.each(ROWS)('$format $name: $within', ({ format, name, within }) => {
    const facts = factsOf(format, SAMPLES[format][name] ?? { [name]: 'x' });
    const home = HOME[format];
    expect(facts.parameters).toContain(name);
    expect(facts.unlisted).toBe(false);
    switch (within) {
      case 'all':
        expect(against(facts, models.UNABLE, home)).toEqual([]);
        break;
      case 'capability':
        expect(against(facts, ABLE, home)).toEqual([]);
        expect(against(facts, models.UNABLE, home)).not.toEqual([]);
        expect(against(facts, models.UNABLE, home)).not.toContain('parameter');
        break;
      case 'state':
        expect(against(facts, ABLE, home)).toContainEqual(expect.stringMatching(/^state_/));
        break;
      case 'never':
        expect(against(facts, ABLE, home)).toContain('parameter');
        break;
      default:
        expect.unreachable(within satisfies never);
    }
  });

  const chat = ROWS.filter(({ format }) => format === 'openai_chat');
  const pairs = (['openai', 'groq', 'google'] as const).flatMap((candidate) =>
    chat.map((row) => ({ ...row, candidate })),
  );
  it.each(pairs)('$name of another provider’s chat call, at $candidate', (row) => {
    const { name, within, across, candidate } = row;
    const facts = factsOf('openai_chat', SAMPLES.openai_chat[name] ?? { [name]: 'x' });
    const asked = candidate === 'openai' ? 'groq' : 'openai';
    const found = against(facts, ABLE, candidate, asked);
    const isTaken = within !== 'never' && across.includes(candidate);
    expect(found.includes('parameter')).toBe(!isTaken);
    if (isTaken) expect(found).toEqual([]);
  });

  it.each([
    'logprobs',
    'top_logprobs',
    'logit_bias',
    'presence_penalty',
    'frequency_penalty',
    'store',
    'metadata',
    'message_name',
  ])('%s, which Groq refuses, never reaches Groq', (name) => {
    expect(PARAMETERS.openai_chat[name]?.across).not.toContain('groq');
  });

  it('of the name of a model, or of anything in no list, is kept in no fact', () => {
    const facts = factsOf('openai_chat', { 'zebra secret': 1, temperature: 1 });
    expect(facts.parameters).toEqual(['messages', 'temperature']);
    expect(JSON.stringify(facts)).not.toContain('zebra');
  });

  it('that is null is not set', () => {
    const facts = factsOf('openai_chat', { seed: null, unheard_of: null });
    expect(against(facts, models.UNABLE, 'openai')).toEqual([]);
  });
});

describe('a call keeps its model where something in it is not known', () => {
  const user = (content: unknown): Body => ({ messages: [{ role: 'user', content }] });
  it.each<[string, Format, Body]>([
    ['a parameter', 'openai_chat', { new_thing: true }],
    ['a member of a message', 'openai_chat', { messages: [{ role: 'user', content: '', x: 1 }] }],
    ['a role', 'openai_chat', { messages: [{ role: 'critic', content: '' }] }],
    ['a kind of content', 'openai_chat', user([{ type: 'hologram' }])],
    ['a mark on content', 'openai_chat', user([{ type: 'text', text: '', cache: 1 }])],
    ['a tool’s option', 'openai_chat', { tools: [{ type: 'function', function: { x: 1 } }] }],
    [
      'a signature beside a tool call',
      'openai_chat',
      {
        messages: [{ role: 'assistant', tool_calls: [{ id: 'c', extra_content: { google: {} } }] }],
      },
    ],
    ['a choice of tools', 'openai_chat', { tool_choice: { type: 'allowed_tools' } }],
    ['a form of answer', 'openai_chat', { response_format: { type: 'grammar' } }],
    ['an option of streams', 'openai_chat', { stream_options: { x: true } }],
    ['a parameter', 'openai_responses', { new_thing: true }],
    ['an item', 'openai_responses', { input: [{ type: 'computer_call' }] }],
    ['an untyped item', 'openai_responses', { input: [{ status: 'completed' }] }],
    ['an untyped item', 'openai_responses', { input: [{ id: 'i', role: 'user' }] }],
    ['an untyped item', 'openai_responses', { input: [{ id: 'i', encrypted_content: 'x' }] }],
    ['a message’s role', 'openai_responses', { input: [{ role: 'critic', content: 'q' }] }],
    ['a kind of content', 'openai_responses', { input: [{ content: [{ type: 'hologram' }] }] }],
    ['an option of reasoning', 'openai_responses', { reasoning: { summary: 'auto' } }],
    ['an option of text', 'openai_responses', { text: { x: 1 } }],
    ['a form of answer', 'openai_responses', { text: { format: { type: 'grammar' } } }],
    ['a parameter', 'anthropic_messages', { new_thing: true }],
    ['a block', 'anthropic_messages', user([{ type: 'server_tool_use' }])],
    ['a mark on a block', 'anthropic_messages', user([{ type: 'text', text: '', x: 1 }])],
    ['an option of thinking', 'anthropic_messages', { thinking: { type: 'adaptive', x: 1 } }],
    ['an option of output', 'anthropic_messages', { output_config: { task_budget: {} } }],
    ['a tool’s option', 'anthropic_messages', { tools: [{ name: 'f', defer_loading: true }] }],
    ['a role', 'anthropic_messages', { messages: [{ role: 'system', content: '' }] }],
    ['a parameter', 'google', { newThing: true }],
    ['a setting', 'google', config({ newThing: true })],
    ['a part', 'google', { contents: [{ parts: [{ executableCode: {} }] }] }],
    ['an option of thinking', 'google', config({ thinkingConfig: { x: 1 } })],
    ['a form of answer', 'google', config({ responseMimeType: 'text/x.enum' })],
    ['a tool’s setting', 'google', { toolConfig: { retrievalConfig: {} } }],
  ])('%s (%s)', (_, format, change) => {
    const facts = factsOf(format, change);
    expect(against(facts, ABLE, HOME[format])).toContain('request_unread');
  });

  it('whatever the parameter is called', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(...FORMATS), (name, format) => {
        fc.pre(!isListed(format, name));
        const body = JSON.parse(
          `{${JSON.stringify(name)}:1,${JSON.stringify(PLAIN_BODIES[format]).slice(1)}`,
        ) as Body;
        const read = readPrompt(WIRE_FORMATS[format], body)!.facts;
        const snake = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
        if (format === 'google' && isListed(format, snake)) return;
        expect(against(read, ABLE, HOME[format])).toContain('request_unread');
      }),
      { numRuns: 500 },
    );
  });
});

const documentOf = (source: object) => ({
  type: 'document',
  source: { type: 'content', content: [{ type: 'image', source }] },
});

describe('state that another model made', () => {
  it.each<[string, Format, Body]>([
    ['previous response', 'openai_responses', { previous_response_id: 'resp_1' }],
    ['conversation', 'openai_responses', { conversation: 'conv_1' }],
    ['stored prompt', 'openai_responses', { prompt: { id: 'pmpt_1' } }],
    ['background mode', 'openai_responses', { background: true }],
    ['encrypted reasoning', 'openai_responses', { input: [{ type: 'reasoning' }] }],
    ['compacted context', 'openai_responses', { input: [{ type: 'compaction' }] }],
    ['item', 'openai_responses', { input: [{ type: 'item_reference', id: 'i' }] }],
    ['untyped item', 'openai_responses', { input: [{ id: 'i' }, { role: 'user', content: 'q' }] }],
    ['null-typed item', 'openai_responses', { input: [{ type: null, id: 'i' }] }],
    ['file', 'openai_responses', { input: [{ content: [{ type: 'input_file', file_id: 'f' }] }] }],
    ['container', 'openai_responses', { tools: [{ type: 'code_interpreter', container: 'c' }] }],
    ['audio answer', 'openai_chat', { messages: [{ role: 'assistant', audio: { id: 'a' } }] }],
    [
      'file',
      'openai_chat',
      { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'f' } }] }] },
    ],
    [
      'thinking',
      'anthropic_messages',
      { messages: [{ role: 'assistant', content: [{ type: 'thinking', signature: 's' }] }] },
    ],
    ['container', 'anthropic_messages', { container: 'c' }],
    ['thread', 'anthropic_messages', { thread: { id: 't' } }],
    [
      'file',
      'anthropic_messages',
      { messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'file' } }] }] },
    ],
    [
      'file in a document',
      'anthropic_messages',
      { messages: [{ role: 'user', content: [documentOf({ type: 'file', file_id: 'f' })] }] },
    ],
    [
      'file in a document that a tool gave',
      'anthropic_messages',
      {
        messages: [
          {
            role: 'user',
            content: [{ type: 'tool_result', content: [documentOf({ type: 'file' })] }],
          },
        ],
      },
    ],
    ['cache', 'google', { cachedContent: 'cachedContents/1' }],
    ['continuation', 'google', { continuationToken: 't' }],
    ['thought signature', 'google', { contents: [{ parts: [{ thoughtSignature: 's' }] }] }],
    ['file', 'google', { contents: [{ parts: [{ fileData: { fileUri: 'u' } }] }] }],
  ])('pins a call: %s (%s)', (_, format, change) => {
    const facts = factsOf(format, change);
    expect(against(facts, ABLE, HOME[format])).toContain('state_pinned');
  });
});
