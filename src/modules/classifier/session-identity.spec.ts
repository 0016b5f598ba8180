import { describe, expect, it } from 'vitest';
import { readPrompt } from './read-prompt.js';
import type { RequestHeaders } from './request-headers.js';
import { sessionName } from './session-identity.js';

const chat = (...texts: string[]) => ({
  messages: [
    { role: 'system', content: 'Be brief.' },
    ...texts.map((content, at) => ({ role: at % 2 === 0 ? 'user' : 'assistant', content })),
  ],
});
const nameOf = (headers: RequestHeaders, body: unknown): string | null =>
  sessionName(headers, body, readPrompt('openai_chat', body));

describe('sessionName', () => {
  it('takes the most telling name first', () => {
    const names: [RequestHeaders, Record<string, unknown>, string][] = [
      [{ 'x-shunt-session-id': 'a' }, {}, 'a'],
      [{ 'x-session-id': 'b' }, {}, 'b'],
      [{ 'x-claude-code-session-id': 'c' }, {}, 'c'],
      [{ 'x-session-affinity': 'd' }, {}, 'd'],
      [{ 'helicone-session-id': 'e' }, {}, 'e'],
      [{}, { session_id: 'f' }, 'f'],
      [{}, { prompt_cache_key: 'g' }, 'g'],
      [{}, { metadata: { user_id: 'h' } }, 'h'],
      [{}, { user: 'i' }, 'i'],
    ];
    for (const [at, [headers, body, name]] of names.entries()) {
      expect(nameOf(headers, body)).toBe(name);
      const rest = names.slice(at);
      const allHeaders = Object.assign({}, ...rest.toReversed().map(([more]) => more));
      const allFields = Object.assign({}, ...rest.toReversed().map(([, more]) => more));
      expect(nameOf(allHeaders, allFields)).toBe(name);
    }
  });

  it('knows a conversation without a name by how it began, however it goes on', () => {
    const begun = nameOf({}, chat('Hello'));
    expect(begun).not.toBeNull();
    expect(nameOf({}, chat('Hello', 'Hi', 'How are you?'))).toBe(begun);
    expect(nameOf({}, chat('Hallo'))).not.toBe(begun);
  });

  it('names the same session when a long opening comes clipped', () => {
    const long = 'a'.repeat(3_000) + 'b'.repeat(3_000);
    const clipped = `${long.slice(0, 2_048)}…[6000]…${long.slice(-2_048)}`;
    expect(nameOf({}, chat(clipped, 'x', 'y'))).toBe(nameOf({}, chat(long)));
  });

  it('bounds a long name, and has none where nothing tells', () => {
    expect(nameOf({ 'x-session-id': 'x'.repeat(9_000) }, {})).toHaveLength(512);
    expect(nameOf({ 'x-session-id': '  ' }, { user: 7, metadata: [] })).toBeNull();
    expect(sessionName({}, null, null)).toBeNull();
  });
});
