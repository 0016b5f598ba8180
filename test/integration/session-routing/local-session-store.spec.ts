import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_HABITS } from '../../../src/domain/routing/session-habits.js';
import { afterCall, type SessionState } from '../../../src/domain/routing/session-state.js';
import { cacheRulesOf } from '../../../src/modules/session-routing/cache-rules.js';
import { explicitCacheOf } from '../../../src/modules/session-routing/explicit-cache.js';
import { LocalSessionStore } from '../../../src/modules/session-routing/local-session-store.js';
import {
  decodeSession,
  encodeSession,
} from '../../../src/modules/session-routing/session-codec.js';
import { keyOf } from '../../../src/modules/session-routing/session-store.js';
import { CHEAP, DEAR, outcomeAt } from './outcomes.js';

const START_MS = 1_790_000_000_000;
const MINUTE_MS = 60_000;

function clockAt(timeMs: number): { timeMs: number; nowMs(): number } {
  return {
    timeMs,
    nowMs() {
      return this.timeMs;
    },
  };
}

const sessionOf = (sessionKey: string, orgId = 'org-1') => ({ orgId, sessionKey });

describe('the sessions of a process', () => {
  it('hold their route until they are idle for an hour or a day old', () => {
    const clock = clockAt(START_MS);
    const store = new LocalSessionStore(clock);
    const name = sessionOf('a');
    expect(store.find(name)).toBeNull();
    store.note(name, 'project', outcomeAt(START_MS, CHEAP));
    clock.timeMs += 59 * MINUTE_MS;
    expect(store.find(name)?.route).toEqual(CHEAP);
    clock.timeMs += MINUTE_MS;
    expect(store.find(name)).toBeNull();
    expect(store.size).toBe(0);
    for (let minute = 0; minute < 24 * 60; minute += 30) {
      store.note(name, 'project', outcomeAt(clock.timeMs));
      expect(store.find(name)).not.toBeNull();
      clock.timeMs += 30 * MINUTE_MS;
    }
    expect(store.find(name)).toBeNull();
  });

  it('of different organizations never meet, whatever their ids and keys are', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (org, key, org2, key2) => {
        const same = org === org2 && key === key2;
        expect(keyOf(sessionOf(key, org)) === keyOf(sessionOf(key2, org2))).toBe(same);
      }),
    );
    const store = new LocalSessionStore(clockAt(START_MS));
    store.note(sessionOf('b', 'a:'), 'p', outcomeAt(START_MS));
    expect(store.find(sessionOf(':b', 'a'))).toBeNull();
    expect(store.habits('a', ':p')).toEqual(NO_HABITS);
  });

  it('are bounded in number and in bytes; the least recently used go first', () => {
    const few = new LocalSessionStore(clockAt(START_MS), { sessionsMax: 3 });
    for (const key of ['a', 'b', 'c']) few.note(sessionOf(key), 'p', outcomeAt(START_MS));
    few.find(sessionOf('a'));
    few.note(sessionOf('d'), 'p', outcomeAt(START_MS));
    expect(few.find(sessionOf('b'))).toBeNull();
    expect(few.find(sessionOf('a'))).not.toBeNull();
    const small = new LocalSessionStore(clockAt(START_MS), { bytesMax: 20_000 });
    for (let at = 0; at < 500; at += 1) small.note(sessionOf(`${at}`), 'p', outcomeAt(START_MS));
    expect(small.size).toBeGreaterThan(5);
    expect(small.size).toBeLessThan(20);
  });
});

describe('a session’s stored form', () => {
  it('reads back as it was', () => {
    let state: SessionState | null = null;
    for (const [at, target] of [DEAR, CHEAP, DEAR, CHEAP].entries()) {
      expect(state === null || decodeSession(encodeSession(state))).toEqual(state ?? true);
      state = afterCall(state, outcomeAt(START_MS + at * 400_000, target));
    }
    expect(encodeSession(state as SessionState).length).toBeLessThan(400);
  });

  it('is an unknown session when anything else wrote it', () => {
    const good = encodeSession(afterCall(null, outcomeAt(START_MS)));
    expect(decodeSession(good)).not.toBeNull();
    for (const text of ['', '{}', '[]', '[1]', good.slice(0, -1), good.replace(/^\[\d+,/, '[0,')]) {
      expect(decodeSession(text)).toBeNull();
    }
    expect(decodeSession(good.replaceAll('openai', 'evil'))).toBeNull();
    expect(decodeSession(good.replaceAll('10000', '-1'))).toBeNull();
    fc.assert(
      fc.property(fc.json(), fc.nat(300), (json, at) => {
        expect(() => decodeSession(json)).not.toThrow();
        expect(() => decodeSession(good.slice(0, at) + json + good.slice(at))).not.toThrow();
      }),
    );
  });
});

describe('the rules of a provider’s cache', () => {
  it('are Anthropic’s only where the request marks a prefix', () => {
    expect(cacheRulesOf('anthropic', 'claude-opus-5', null).mode).toBe('none');
    expect(cacheRulesOf('anthropic', 'claude-opus-5', '1h')).toEqual({
      mode: 'explicit',
      minPrefixTokens: 512,
      ttlMs: 60 * MINUTE_MS,
      write: '1h',
    });
    const mark = { cache_control: { type: 'ephemeral' } };
    const long = { cache_control: { type: 'ephemeral', ttl: '1h' } };
    expect(explicitCacheOf({ system: 'text', messages: [{ content: 'text' }] })).toBeNull();
    expect(explicitCacheOf({ system: [{ text: 'a' }, { text: 'b', ...mark }] })).toBe('5m');
    expect(explicitCacheOf({ tools: [long, {}] })).toBe('1h');
    expect(explicitCacheOf({ messages: [{ content: [mark] }, { content: [{}] }] })).toBe('5m');
    expect(explicitCacheOf({ ...mark, messages: [{ content: [long] }] })).toBe('1h');
    const many = Array.from({ length: 100_000 }, () => ({ content: [{}] }));
    expect(explicitCacheOf({ system: [mark], messages: many })).toBe('5m');
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        expect(() => explicitCacheOf(body)).not.toThrow();
      }),
    );
  });

  it('charge OpenAI’s writes from 5.6 on', () => {
    expect(cacheRulesOf('openai', 'gpt-5.5', null)).toMatchObject({ write: 'free' });
    expect(cacheRulesOf('openai', 'gpt-4o-2024-08-06', null)).toMatchObject({ write: 'free' });
    for (const model of ['gpt-5.6-terra', 'gpt-6.2-sol', 'gpt-6-luna']) {
      expect(cacheRulesOf('openai', model, null)).toMatchObject({ write: '30m', ttlMs: 1_800_000 });
    }
    expect(cacheRulesOf('google', 'gemini-4-argon', null).minPrefixTokens).toBe(6_144);
    expect(cacheRulesOf('groq', 'llama-3.3-70b', null).mode).toBe('none');
  });
});
