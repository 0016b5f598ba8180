import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  PLAIN_BODIES,
  WIRE_FORMATS,
  type Body,
  type Format,
} from '../../../test/support/plain-bodies.js';
import type { PromptFacts } from '../../domain/classification/prompt-facts.js';
import { PARAMETERS } from '../../domain/routing/parameters.js';
import { readPrompt } from './read-prompt.js';

const isText = (value: unknown): boolean => typeof value === 'string';
const isList = (value: unknown): boolean => Array.isArray(value);
const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !isList(value);

const isTexts = (value: unknown): boolean => isList(value) && (value as unknown[]).every(isText);

/** What the providers’ references say of a parameter’s type. */
const KINDS = {
  text: isText,
  flag: (value: unknown) => value === true || value === false,
  number: (value: unknown) => typeof value === 'number' && Number.isFinite(value),
  integer: (value: unknown) => Number.isInteger(value),
  count: (value: unknown) => Number.isInteger(value) && (value as number) >= 0,
  list: isList,
  object: isObject,
  texts: isTexts,
  textOrTexts: (value: unknown) => isText(value) || isTexts(value),
  textOrList: (value: unknown) => isText(value) || isList(value),
  textOrObject: (value: unknown) => isText(value) || isObject(value),
  listOrObject: (value: unknown) => isList(value) || isObject(value),
} satisfies Readonly<Record<string, (value: unknown) => boolean>>;
type Kind = keyof typeof KINDS;

/** Where a value stands that is read: the name of its row, or a path that has none. */
type Places = Readonly<Record<string, readonly [Kind, ((value: unknown) => Body)?]>>;

const message = (change: Body): Body => ({
  messages: [{ role: 'user', content: 'Hi', ...change }],
});
const part = (change: Body): Body =>
  message({ content: [{ type: 'text', text: 'Hi', ...change }] });
const item = (change: Body): Body => ({ input: [{ role: 'user', content: 'Hi', ...change }] });
const config = (change: Body): Body => ({ generationConfig: change });
const content = (change: Body): Body => ({ contents: [{ parts: [{ text: 'Hi' }], ...change }] });
const chatTool = (change: Body): Body => ({
  tools: [{ type: 'function', function: { name: 'f', ...change } }],
});
const tool = (change: Body): Body => ({ tools: [{ type: 'function', name: 'f', ...change }] });
const claudeTool = (change: Body): Body => ({ tools: [{ name: 'f', ...change }] });

const PLACES: Readonly<Record<Format, Places>> = {
  openai_chat: {
    model: ['text'],
    messages: ['list'],
    stream: ['flag'],
    stream_options: ['object'],
    max_completion_tokens: ['count'],
    max_tokens: ['count'],
    temperature: ['number'],
    top_p: ['number'],
    presence_penalty: ['number'],
    frequency_penalty: ['number'],
    stop: ['textOrTexts'],
    n: ['count'],
    logprobs: ['flag'],
    top_logprobs: ['count'],
    tools: ['list'],
    tool_choice: ['textOrObject'],
    parallel_tool_calls: ['flag'],
    response_format: ['object'],
    reasoning_effort: ['text'],
    verbosity: ['text'],
    prediction: ['object'],
    store: ['flag'],
    metadata: ['object'],
    user: ['text'],
    safety_identifier: ['text'],
    prompt_cache_key: ['text'],
    message_name: ['text', (name) => message({ name })],
    developer_role: ['text', (role) => message({ role })],
    strict_tools: ['flag', (strict) => chatTool({ strict })],
    'a message': ['object', (one) => ({ messages: [one] })],
    'the content of a message': ['textOrList', (value) => message({ content: value })],
    'a part of a message': ['object', (one) => message({ content: [one] })],
    'the text of a part': ['text', (text) => part({ text })],
    'the calls of tools': ['list', (tool_calls) => message({ tool_calls })],
    'a tool': ['object', (one) => ({ tools: [one] })],
    'parameters of a tool': ['object', (parameters) => chatTool({ parameters })],
    include_usage: ['flag', (include_usage) => ({ stream_options: { include_usage } })],
  },
  openai_responses: {
    model: ['text'],
    input: ['textOrList'],
    instructions: ['text'],
    stream: ['flag'],
    stream_options: ['object'],
    store: ['flag'],
    metadata: ['object'],
    user: ['text'],
    safety_identifier: ['text'],
    prompt_cache_key: ['text'],
    max_output_tokens: ['count'],
    temperature: ['number'],
    top_p: ['number'],
    top_logprobs: ['count'],
    tools: ['list'],
    tool_choice: ['textOrObject'],
    parallel_tool_calls: ['flag'],
    reasoning: ['object'],
    text: ['object'],
    verbosity: ['text', (verbosity) => ({ text: { verbosity } })],
    previous_response_id: ['text'],
    conversation: ['textOrObject'],
    prompt: ['object'],
    background: ['flag'],
    effort: ['text', (effort) => ({ reasoning: { effort } })],
    format: ['object', (format) => ({ text: { format } })],
    'an item': ['object', (one) => ({ input: [one] })],
    'the type of an item': ['text', (type) => item({ type })],
    'the content of an item': ['textOrList', (value) => item({ content: value })],
    'a part of an item': ['object', (one) => item({ content: [one] })],
    'a tool': ['object', (one) => ({ tools: [one] })],
    strict: ['flag', (strict) => tool({ strict })],
  },
  anthropic_messages: {
    model: ['text'],
    messages: ['list'],
    system: ['textOrList'],
    stream: ['flag'],
    metadata: ['object'],
    cache_control: ['object'],
    max_tokens: ['count'],
    stop_sequences: ['texts'],
    temperature: ['number'],
    top_p: ['number'],
    top_k: ['count'],
    thinking: ['object'],
    output_config: ['object'],
    output_format: ['object'],
    tools: ['list'],
    tool_choice: ['object'],
    container: ['textOrObject'],
    fallback_credit_token: ['text'],
    thread: ['textOrObject'],
    budget_tokens: ['count', (value) => ({ thinking: { type: 'enabled', budget_tokens: value } })],
    effort: ['text', (effort) => ({ output_config: { effort } })],
    disable_parallel_tool_use: [
      'flag',
      (value) => ({ tool_choice: { type: 'auto', disable_parallel_tool_use: value } }),
    ],
    'a message': ['object', (one) => ({ messages: [one] })],
    'the content of a message': ['textOrList', (value) => message({ content: value })],
    'a block': ['object', (one) => message({ content: [one] })],
    'the text of a block': ['text', (text) => part({ text })],
    'the citations of a block': ['listOrObject', (citations) => part({ citations })],
    'a tool': ['object', (one) => ({ tools: [one] })],
    strict: ['flag', (strict) => claudeTool({ strict })],
  },
  google: {
    contents: ['list'],
    systemInstruction: ['object'],
    generationConfig: ['object'],
    includeThoughts: ['flag', (value) => config({ thinkingConfig: { includeThoughts: value } })],
    tools: ['list'],
    toolConfig: ['object'],
    maxOutputTokens: ['count', (maxOutputTokens) => config({ maxOutputTokens })],
    candidateCount: ['count', (candidateCount) => config({ candidateCount })],
    temperature: ['number', (temperature) => config({ temperature })],
    topP: ['number', (topP) => config({ topP })],
    topK: ['number', (topK) => config({ topK })],
    stopSequences: ['texts', (stopSequences) => config({ stopSequences })],
    responseMimeType: ['text', (responseMimeType) => config({ responseMimeType })],
    responseSchema: ['object', (responseSchema) => config({ responseSchema })],
    responseJsonSchema: ['object', (responseJsonSchema) => config({ responseJsonSchema })],
    responseLogprobs: ['flag', (responseLogprobs) => config({ responseLogprobs })],
    thinkingConfig: ['object', (thinkingConfig) => config({ thinkingConfig })],
    cachedContent: ['text'],
    continuationToken: ['text'],
    thinkingBudget: ['integer', (value) => config({ thinkingConfig: { thinkingBudget: value } })],
    thinkingLevel: ['text', (value) => config({ thinkingConfig: { thinkingLevel: value } })],
    thinking_budget: [
      'integer',
      (value) => config({ thinking_config: { thinking_budget: value } }),
    ],
    candidate_count: ['count', (value) => config({ candidate_count: value })],
    mode: ['text', (mode) => ({ toolConfig: { functionCallingConfig: { mode } } })],
    'a content': ['object', (one) => ({ contents: [one] })],
    'the role of a content': ['text', (role) => content({ role })],
    'the parts of a content': ['list', (parts) => content({ parts })],
    'a part': ['object', (one) => content({ parts: [one] })],
    'the text of a part': ['text', (text) => content({ parts: [{ text }] })],
    'inline data': ['object', (inlineData) => content({ parts: [{ inlineData }] })],
    'a thought': ['flag', (thought) => content({ parts: [{ text: '', thought }] })],
    'a tool': ['object', (one) => ({ tools: [one] })],
  },
};

const FORMATS = Object.keys(WIRE_FORMATS) as Format[];
const READ = FORMATS.flatMap((format) =>
  Object.entries(PLACES[format]).map(([name, [kind, place]]) => ({
    format,
    name,
    kind,
    body: place ?? ((value: unknown): Body => ({ [name]: value })),
  })),
);

const factsOf = (format: Format, change: Body): PromptFacts =>
  readPrompt(WIRE_FORMATS[format], { ...PLAIN_BODIES[format], ...change })!.facts;

const values = fc.oneof(
  fc.constantFrom<unknown>('2', '1024', '-1', 'true', '', 2.5, -1, -2.5, Infinity, 0, 3),
  fc.constantFrom<unknown>(true, false, [], {}, [1], ['x', 1], ['x'], { x: 1 }, [{}], [null]),
  fc.jsonValue({ maxDepth: 2 }),
);

describe('a value of another type than its parameter’s', () => {
  it.each(READ)('keeps the requested model: $format $name is $kind', ({ format, kind, body }) => {
    fc.assert(
      fc.property(values, (value) => {
        fc.pre(!KINDS[kind](value) && value !== null);
        expect(factsOf(format, body(value)).unlisted).toBe(true);
      }),
    );
  });

  it.each(FORMATS)('is tried for every parameter that another model takes: %s', (format) => {
    const taken = Object.entries(PARAMETERS[format]).filter(([, { within }]) => within !== 'never');
    expect(Object.keys(PLACES[format])).toEqual(
      expect.arrayContaining(taken.map(([name]) => name)),
    );
  });

  it.each<[Format, Body]>([
    ['openai_chat', { n: '2' }],
    ['openai_chat', { n: 2.5 }],
    ['openai_chat', { max_completion_tokens: '200000' }],
    ['google', config({ candidateCount: '2' })],
    ['google', config({ maxOutputTokens: '70000' })],
    ['google', config({ responseLogprobs: 'true' })],
    ['google', config({ thinkingConfig: { thinkingBudget: '1024' } })],
  ])('which a provider may take all the same, is not read past: %s %j', (format, change) => {
    expect(factsOf(format, change).unlisted).toBe(true);
  });
});

describe('a parameter', () => {
  const optional = READ.filter(
    ({ format, name }) =>
      !name.includes(' ') && name !== 'developer_role' && !(name in PLAIN_BODIES[format]),
  );
  it.each(optional)('that is null is not set: $format $name', ({ format, name, body }) => {
    const { parameters, unlisted } = factsOf(format, body(null));
    expect(parameters).not.toContain(name);
    expect(unlisted).toBe(false);
  });

  it('of something within a message or a tool is none of the body’s own', () => {
    expect(factsOf('openai_chat', { message_name: 'ann' }).unlisted).toBe(true);
    expect(factsOf('openai_chat', { strict_tools: true }).unlisted).toBe(true);
    expect(factsOf('google', { maxOutputTokens: 5 }).unlisted).toBe(true);
    expect(factsOf('google', config({ cachedContent: 'c' })).unlisted).toBe(true);
  });

  it('that is set in both of Google’s spellings keeps the requested model', () => {
    const both = config({ candidateCount: 1, candidate_count: 2 });
    expect(factsOf('google', both).unlisted).toBe(true);
    expect(factsOf('google', config({ candidate_count: 2 }))).toMatchObject({
      unlisted: false,
      choices: 2,
    });
  });
});
