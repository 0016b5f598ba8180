import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PromptFacts } from '../../domain/classification/prompt-facts.js';
import type { WireFormat } from '../providers/wire-format.js';
import { LEFT_OUT } from './json-shapes.js';
import { ELEMENTS_MAX } from './prompt-collector.js';
import { readPrompt } from './read-prompt.js';

const FORMATS: readonly WireFormat[] = [
  'openai_chat',
  'openai_responses',
  'openai_embeddings',
  'anthropic_messages',
  'anthropic_count_tokens',
  'google_generate_content',
  'google_count_tokens',
  'google_embed_content',
  'opaque',
];
const READ = FORMATS.filter((format) => format !== 'opaque');

const factsOf = (format: WireFormat, body: unknown): Partial<PromptFacts> =>
  readPrompt(format, body)?.facts ?? {};

describe('readPrompt', () => {
  it('reads a chat completion', () => {
    const reading = readPrompt('openai_chat', {
      model: 'gpt-6-sol',
      messages: [
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', content: 'Hello?' },
        { role: 'assistant', content: null, tool_calls: [{ id: 'c' }] },
        { role: 'tool', content: 'the result' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'And 42 ```x``` ?' },
            { type: 'image_url', image_url: { url: 'data:' } },
          ],
        },
      ],
      tools: [
        { type: 'function', function: { name: 'f', parameters: { properties: { a: {}, b: {} } } } },
      ],
      tool_choice: 'required',
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'out', schema: { properties: { y: {} } } },
      },
      max_completion_tokens: 100,
      n: 2,
      temperature: 0,
      reasoning_effort: 'low',
      stream: true,
    });
    expect(reading?.facts).toMatchObject({
      kind: 'generation',
      complete: true,
      messageCount: 4,
      answerCount: 1,
      toolResultCount: 1,
      systemChars: 9,
      lastUserChars: 16,
      totalChars: 41,
      toolCount: 1,
      toolChoiceForced: true,
      hasImages: true,
      hasAudio: false,
      jsonSchema: true,
      maxOutputTokens: 100,
      legacyMaxTokens: false,
      choices: 2,
      samplingSet: true,
      reasoningEffort: 'low',
      streaming: true,
      codeFences: 1,
      questionMarks: 1,
      digitShare: 0.125,
      pins: [],
    });
    expect(reading).toMatchObject({
      system: { head: 'Be brief.' },
      firstUserMessage: { head: 'Hello?' },
      lastUserMessage: { head: 'And 42 ```x``` ?' },
      tools: 'f(a,b,);',
      responseFormat: 'json_schema:out(y,)',
    });
  });

  it('reads a Responses call, and the state that binds it to its model', () => {
    const reading = readPrompt('openai_responses', {
      instructions: 'Be brief.',
      input: [
        {
          role: 'user',
          content: [
            { type: 'input_text', text: 'Hi' },
            { type: 'input_file', file_id: 'f' },
          ],
        },
        { type: 'reasoning', encrypted_content: 'x' },
        { type: 'function_call', name: 'f', arguments: '{}' },
        { type: 'function_call_output', output: 'done' },
      ],
      previous_response_id: 'resp_1',
      background: true,
      max_output_tokens: 16,
      reasoning: { effort: 'none' },
      text: { format: { type: 'json_object' } },
    });
    expect(reading?.facts).toMatchObject({
      messageCount: 3,
      toolResultCount: 1,
      hasDocuments: true,
      jsonMode: true,
      maxOutputTokens: 16,
      reasoningEffort: 'none',
      pins: ['file', 'encrypted_reasoning', 'previous_response', 'background'],
    });
    expect(factsOf('openai_responses', { input: 'Hi' })).toMatchObject({
      messageCount: 1,
      lastUserChars: 2,
    });
  });

  describe('counts answers, not the items that an answer is made of:', () => {
    const user = { role: 'user', content: 'Go on.' };
    const said = { role: 'assistant', content: 'Well,' };
    const reasoning = { type: 'reasoning', encrypted_content: 'x' };
    const call = { type: 'function_call', name: 'f', call_id: 'c', arguments: '{}' };
    const output = { type: 'function_call_output', call_id: 'c', output: 'done' };
    const reference = { type: 'item_reference', id: 'rs_1' };

    it.each<[string, number, readonly object[]]>([
      ['none', 0, [user]],
      ['text', 1, [user, said, user]],
      ['reasoning and a call', 1, [user, reasoning, call, output]],
      ['reasoning and two calls', 1, [user, reasoning, call, call, output, output]],
      ['text and a call', 1, [user, reasoning, said, reasoning, call, output]],
      ['a built-in call and text', 1, [user, { type: 'web_search_call' }, said, user]],
      ['reasoning that came to nothing', 1, [user, reasoning, user]],
      ['named items', 1, [user, reference, reference, output]],
      ['one after another', 3, [user, reasoning, call, output, call, output, said, user]],
      ['with the developer’s words between', 2, [user, said, { ...user, role: 'developer' }, said]],
    ])('Responses, %s', (_, count, input) => {
      expect(factsOf('openai_responses', { input }).answerCount).toBe(count);
    });

    it('several messages in a row, in the other formats', () => {
      const messages = [user, said, said, user, said, user];
      for (const format of ['openai_chat', 'anthropic_messages'] as const) {
        expect(factsOf(format, { messages }).answerCount).toBe(2);
      }
      const [asked, answered] = ['user', 'model'].map((role) => ({ role, parts: [{ text: '.' }] }));
      const contents = [asked, answered, answered, asked, answered, asked];
      expect(factsOf('google_generate_content', { contents }).answerCount).toBe(2);
    });
  });

  it('reads a Claude message, whose tool results are not what the user asks', () => {
    const reading = readPrompt('anthropic_messages', {
      system: [
        { type: 'text', text: 'One.' },
        { type: 'text', text: 'Two.' },
      ],
      messages: [
        { role: 'user', content: 'Look it up' },
        {
          role: 'assistant',
          content: [{ type: 'thinking', thinking: '…', signature: 's' }, { type: 'tool_use' }],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', content: [{ type: 'text', text: 'found' }, { type: 'image' }] },
          ],
        },
      ],
      tools: [{ name: 'search', input_schema: { properties: { q: {} } } }],
      tool_choice: { type: 'any' },
      max_tokens: 1_024,
      thinking: { type: 'enabled', budget_tokens: 2_000 },
    });
    expect(reading?.facts).toMatchObject({
      systemChars: 8,
      messageCount: 3,
      toolResultCount: 1,
      hasImages: true,
      lastUserChars: 10,
      toolChoiceForced: true,
      thinking: 'budget',
      maxOutputTokens: 1_024,
      pins: ['thinking_signature'],
    });
    expect(reading?.system).toMatchObject({ head: 'One.', tail: 'Two.' });
    expect(reading?.lastUserMessage.head).toBe('Look it up');
  });

  it.each(['camel', 'snake'])('reads a Gemini call in %s case', (spelling) => {
    const named = (camel: string): string =>
      spelling === 'camel'
        ? camel
        : camel.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const reading = readPrompt('google_generate_content', {
      [named('systemInstruction')]: { parts: [{ text: 'Be brief.' }] },
      contents: [
        {
          parts: [{ text: 'Hi' }, { [named('inlineData')]: { [named('mimeType')]: 'audio/wav' } }],
        },
        { role: 'model', parts: [{ functionCall: {}, [named('thoughtSignature')]: 's' }] },
      ],
      tools: [{ [named('functionDeclarations')]: [{ name: 'f' }, { name: 'g' }] }],
      [named('cachedContent')]: 'cachedContents/1',
      [named('generationConfig')]: {
        [named('maxOutputTokens')]: 8,
        [named('candidateCount')]: 2,
        [named('thinkingConfig')]: { [named('thinkingBudget')]: 0 },
        [named('responseMimeType')]: 'application/json',
      },
    });
    expect(reading?.facts).toMatchObject({
      systemChars: 9,
      messageCount: 2,
      hasAudio: true,
      toolCount: 2,
      maxOutputTokens: 8,
      choices: 2,
      thinking: 'disabled',
      jsonMode: true,
      pins: ['thought_signature', 'cached_content'],
    });
  });

  it('tells embeddings and token counts from generation, and leaves other paths unread', () => {
    expect(factsOf('openai_embeddings', { input: ['a', 'bc'] })).toMatchObject({
      kind: 'embedding',
      totalChars: 3,
    });
    expect(
      factsOf('google_embed_content', { requests: [{ content: { parts: [{ text: 'ab' }] } }] }),
    ).toMatchObject({ kind: 'embedding', totalChars: 2 });
    expect(factsOf('anthropic_count_tokens', { messages: [] }).kind).toBe('count_tokens');
    expect(readPrompt('opaque', { messages: [] })).toBeNull();
    expect(readPrompt('openai_chat', null)).toBeNull();
  });

  it('reads every message of a long conversation', () => {
    const messages = Array.from({ length: 5_000 }, (_, at) => ({
      role: 'user',
      content: `m${at}`,
    }));
    const reading = readPrompt('openai_chat', { messages });
    expect(reading?.facts).toMatchObject({ complete: true, messageCount: 5_000 });
    expect(reading?.firstUserMessage.head).toBe('m0');
    expect(reading?.lastUserMessage.head).toBe('m4999');
  });

  it('reads no more than its bound, and says so', () => {
    const content = Array.from({ length: 5_000 }, () => ({ type: 'text', text: 'x' }));
    const messages = Array.from({ length: 100 }, () => ({ role: 'user', content }));
    const reading = readPrompt('openai_chat', { messages });
    expect(reading?.facts.complete).toBe(false);
    expect(reading?.facts.totalChars).toBe(ELEMENTS_MAX - messages.length);
  });

  it.each(['messages', 'content'])('says that a view left something out of its %s', (list) => {
    const message = { role: 'user', content: [{ type: 'text', text: 'x' }] };
    const messages =
      list === 'messages'
        ? [message, LEFT_OUT, message]
        : [message, { role: 'user', content: [LEFT_OUT] }];
    expect(factsOf('openai_chat', { messages }).complete).toBe(false);
    const cutShort = { complete: false, unlisted: true };
    const inside = { messages: [{ ...message, [LEFT_OUT]: true }] };
    expect(factsOf('openai_chat', inside)).toMatchObject(cutShort);
    expect(factsOf('openai_chat', { messages: [message], [LEFT_OUT]: true })).toMatchObject(
      cutShort,
    );
  });

  it('takes the stated length of a clipped text', () => {
    const content = `${'a'.repeat(2_048)}…[150000]…${'b'.repeat(2_048)}`;
    expect(factsOf('openai_chat', { messages: [{ role: 'user', content }] }).totalChars).toBe(
      150_000,
    );
  });

  it('never throws and keeps no more text than its samples, whatever the shape', () => {
    const keys = fc.constantFrom(
      ...[
        'messages',
        'content',
        'role',
        'type',
        'text',
        'tools',
        'function',
        'parameters',
        'properties',
      ],
      ...[
        'system',
        'input',
        'contents',
        'parts',
        'generationConfig',
        'thinkingConfig',
        'source',
        '__proto__',
      ],
      ...[
        'tool_choice',
        'reasoning',
        'response_format',
        'metadata',
        'requests',
        'constructor',
        'length',
      ],
    );
    const words = fc.constantFrom(
      'user',
      'system',
      'tool_result',
      'text',
      'message',
      'reasoning',
      'x',
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 6 },
        fc.jsonValue({ maxDepth: 1 }),
        words,
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(keys, tie('value'), { maxKeys: 5 }),
      ),
    }));
    fc.assert(
      fc.property(value, fc.constantFrom(...READ), (body, format) => {
        const reading = readPrompt(format, JSON.parse(JSON.stringify(body ?? null)));
        if (reading === null) return;
        const { facts, system, firstUserMessage, lastUserMessage } = reading;
        for (const fact of Object.values(facts)) {
          if (typeof fact === 'number') expect(fact).toBeGreaterThanOrEqual(0);
        }
        for (const text of [system, firstUserMessage, lastUserMessage]) {
          expect(text.head.length + text.tail.length).toBeLessThanOrEqual(1_024);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
