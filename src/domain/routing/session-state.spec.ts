import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_FACTS } from '../classification/prompt-facts.js';
import { NO_USAGE, type Usage } from '../pricing/usage.js';
import type { Target } from './decision.js';
import { isWarm, NO_CACHE, type CacheRules } from './session-cache.js';
import { difficultyOf, gotHarder, hardestOf, NO_DIFFICULTY } from './session-difficulty.js';
import { NO_HABITS } from './session-habits.js';
import {
  afterCall,
  afterUnmeteredAnswer,
  answererOf,
  cacheStateOf,
  CACHES_MAX,
  earlierAnswers,
  NO_EARLIER_ANSWERS,
  sessionFacts,
  unseenSession,
  withAnswersOf,
  type SessionOutcome,
  type SessionState,
} from './session-state.js';

const AUTOMATIC: CacheRules = {
  mode: 'automatic',
  minPrefixTokens: 1_024,
  ttlMs: 300_000,
  write: 'free',
};
const EXPLICIT: CacheRules = { ...AUTOMATIC, mode: 'explicit', write: '5m' };
const DEAR: Target = { provider: 'openai', model: 'dear' };
const CHEAP: Target = { provider: 'openai', model: 'cheap' };

function call(rest: Partial<SessionOutcome>, usage: Partial<Usage> = {}): SessionOutcome {
  return {
    target: DEAR,
    route: DEAR,
    usage: { ...NO_USAGE, ...usage },
    cache: AUTOMATIC,
    atMs: 0,
    difficulty: NO_DIFFICULTY,
    control: false,
    earlier: NO_EARLIER_ANSWERS,
    ...rest,
  };
}

const outcomes = fc.record({
  target: fc.record({
    provider: fc.constantFrom('openai' as const, 'groq' as const),
    model: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
  }),
  usage: fc.record({
    inputTokens: fc.nat(300_000),
    cacheReadTokens: fc.nat(300_000),
    cacheWrite5mTokens: fc.nat(300_000),
    outputTokens: fc.nat(20_000),
  }),
  cache: fc.constantFrom(AUTOMATIC, EXPLICIT, NO_CACHE),
  atMs: fc.nat(100_000_000),
  difficulty: fc.record({
    toolCount: fc.nat(50),
    lengthClass: fc.nat(7),
    effortRank: fc.nat(6),
  }),
  control: fc.boolean(),
  earlier: fc.record({ shown: fc.nat(20), hidden: fc.boolean() }),
});

describe('a session’s state', () => {
  it('stays bounded and consistent over any calls, in any order of time', () => {
    fc.assert(
      fc.property(fc.array(outcomes, { minLength: 1, maxLength: 40 }), (calls) => {
        let state: SessionState | null = null;
        for (const { usage, ...rest } of calls) {
          const before: SessionState | null = state;
          state = afterCall(before, call({ ...rest, route: rest.target }, usage));
          expect(state.turns).toBe((before?.turns ?? 0) + 1);
          expect(state.lastOutputTokens).toBe(usage.outputTokens);
          expect(state.caches.length).toBeLessThanOrEqual(CACHES_MAX);
          expect(state.caches[0]?.target).toEqual(rest.target);
          expect(new Set(state.caches.map((cache) => JSON.stringify(cache.target))).size).toBe(
            state.caches.length,
          );
          expect(state.lastCallAtMs).toBeGreaterThanOrEqual(before?.lastCallAtMs ?? 0);
          expect(state.lastCallAtMs).toBeGreaterThanOrEqual(state.startedAtMs);
          for (const share of [state.markedPermille, state.reusedPermille]) {
            expect(Number.isInteger(share) && share >= 0 && share <= 1_000).toBe(true);
          }
          // What a call asked for is never harder the second time.
          expect(gotHarder(state.hardest, rest.difficulty)).toBe(false);
          if (before !== null) expect(state.control).toBe(before.control);
        }
      }),
    );
  });

  it('keeps the cache of the model that it left, with its age', () => {
    const first = afterCall(null, call({}, { inputTokens: 50_000 }));
    const moved = afterCall(
      first,
      call({ target: CHEAP, route: CHEAP, atMs: 60_000 }, { inputTokens: 51_000 }),
    );
    expect(moved.route).toEqual(CHEAP);
    expect(cacheStateOf(moved, DEAR, 90_000)).toEqual({ prefixTokens: 50_000, ageMs: 90_000 });
    expect(cacheStateOf(moved, CHEAP, 90_000)).toEqual({ prefixTokens: 51_000, ageMs: 30_000 });
    expect(cacheStateOf(moved, { provider: 'groq', model: 'dear' }, 0)).toBeNull();
  });

  it('is refreshed by a hit', () => {
    let state = afterCall(null, call({}, { inputTokens: 5_000 }));
    for (let atMs = 200_000; atMs <= 1_000_000; atMs += 200_000) {
      state = afterCall(state, call({ atMs }, { cacheReadTokens: 5_000 }));
    }
    const kept = cacheStateOf(state, DEAR, 1_200_000);
    expect(kept !== null && isWarm(AUTOMATIC, kept)).toBe(true);
  });

  it('learns that prefixes are not found, and that they are', () => {
    const first = afterCall(null, call({}, { inputTokens: 5_000 }));
    const missed = afterCall(first, call({ atMs: 1 }, { inputTokens: 5_000 }));
    expect(missed.reusedPermille).toBe(500);
    const found = afterCall(missed, call({ atMs: 2 }, { cacheReadTokens: 5_000 }));
    expect(found.reusedPermille).toBe(750);
    const expired = afterCall(found, call({ atMs: 900_000 }, { inputTokens: 5_000 }));
    expect(expired.reusedPermille).toBe(750);
  });

  it('takes what an explicit request marks from what was read and written', () => {
    const usage = { inputTokens: 6_000, cacheWrite5mTokens: 2_000 };
    const state = afterCall(null, call({ cache: EXPLICIT }, usage));
    expect(state.markedPermille).toBe(250);
    expect(state.caches[0]?.prefixTokens).toBe(2_000);
    const short = afterCall(null, call({ cache: EXPLICIT }, { inputTokens: 500 }));
    expect(short.markedPermille).toBe(1_000);
  });

  it('of a session that nobody saw counts the prompt as warm where it was asked for', () => {
    const state = unseenSession(DEAR, EXPLICIT, 7, 40_000, 1_000);
    expect(cacheStateOf(state, DEAR, 1_000)).toEqual({ prefixTokens: 40_000, ageMs: 0 });
    expect(sessionFacts(state, NO_HABITS, 40_000).toCome.length).toBeGreaterThan(0);
    expect(state.turns).toBe(7);
  });
});

describe('whoever gave a session’s answers', () => {
  const shown = (count: number) => ({ shown: count, hidden: false });
  const pinned = { ...NO_FACTS, complete: true, pins: ['previous_response'] } as const;

  it('is known while one model gave them all', () => {
    let state = afterCall(null, call({ target: CHEAP }));
    for (let turn = 1; turn <= 5; turn += 1) {
      expect(answererOf(state, shown(turn))).toEqual(CHEAP);
      state = afterCall(state, call({ target: CHEAP, earlier: shown(turn) }));
    }
    expect(answererOf(state, shown(6))).toEqual(CHEAP);
    expect(answererOf(state, earlierAnswers(pinned))).toEqual(CHEAP);
  });

  it('is nobody any more once another one gave one, wherever the session’s route leads', () => {
    const first = afterCall(null, call({ target: CHEAP, route: CHEAP }));
    const metered = call({ target: DEAR, route: CHEAP, earlier: shown(1) });
    const second = afterCall(first, metered);
    const unmetered = afterUnmeteredAnswer(first, DEAR, shown(1));
    for (const state of [second, unmetered]) {
      expect(state.route).toEqual(CHEAP);
      expect(answererOf(state, shown(2))).toBeNull();
      const later = afterCall(state, call({ target: CHEAP, earlier: shown(2) }));
      expect(answererOf(later, shown(3))).toBeNull();
    }
    const same = afterUnmeteredAnswer(first, CHEAP, shown(1));
    expect(answererOf(same, shown(2))).toEqual(CHEAP);
  });

  it('is not known of a session that had answers before it was seen', () => {
    for (const facts of [
      { ...NO_FACTS, complete: true, answerCount: 1 },
      pinned,
      { ...NO_FACTS, complete: false },
    ]) {
      const state = afterCall(null, call({ target: CHEAP, earlier: earlierAnswers(facts) }));
      expect(answererOf(state, shown(2))).toBeNull();
    }
    const unseen = unseenSession(DEAR, AUTOMATIC, 3, 10_000, 0);
    expect(answererOf(unseen, shown(3))).toBeNull();
  });

  it('is not known where a request shows an answer more than was seen', () => {
    const first = afterCall(null, call({ target: CHEAP }));
    expect(answererOf(first, shown(1))).toEqual(CHEAP);
    expect(answererOf(first, shown(2))).toBeNull();
    const after = afterCall(first, call({ target: CHEAP, earlier: shown(2) }));
    expect(answererOf(after, shown(3))).toBeNull();
  });
});

describe('what two replicas know of the answers to one session', () => {
  const first = afterCall(null, call({ target: CHEAP, route: CHEAP }));
  const earlier = { shown: 1, hidden: false };
  const byCheap = afterCall(first, call({ target: CHEAP, route: CHEAP, earlier }));
  const byDear = afterCall(first, call({ target: DEAR, route: CHEAP, earlier }));

  it('is that nobody gave them all once one of them saw another model answer', () => {
    expect(withAnswersOf(byCheap, byCheap)).toEqual(byCheap);
    expect(withAnswersOf(byCheap, byDear)).toEqual({ ...byCheap, answeredBy: null });
    expect(withAnswersOf(byDear, byCheap)).toEqual(byDear);
    const begunThere = afterCall(null, call({ target: DEAR }));
    expect(withAnswersOf(first, begunThere).answeredBy).toBeNull();
  });

  it('counts the most that either was shown', () => {
    expect(withAnswersOf(first, byCheap)).toEqual({ ...first, answersShown: 1 });
    expect(withAnswersOf(byCheap, first)).toEqual(byCheap);
  });
});

describe('a task that got harder', () => {
  const hardest = { toolCount: 2, lengthClass: 1, effortRank: 3 };

  it.each([
    [{ toolCount: 4 }, true],
    [{ toolCount: 3 }, false],
    [{ lengthClass: 3 }, true],
    [{ lengthClass: 2 }, false],
    [{ effortRank: 4 }, true],
    [{ effortRank: 2 }, false],
  ])('%o: %s', (now, harder) => {
    expect(gotHarder(hardest, { ...hardest, toolCount: 0, ...now })).toBe(harder);
  });

  it('is told from the first tools on, and not twice for the same', () => {
    const now = { toolCount: 1, lengthClass: 0, effortRank: 0 };
    expect(gotHarder(NO_DIFFICULTY, now)).toBe(true);
    expect(gotHarder(hardestOf(NO_DIFFICULTY, now), now)).toBe(false);
  });

  it('reads structure only', () => {
    expect(difficultyOf(NO_FACTS)).toEqual({ toolCount: 0, lengthClass: 0, effortRank: 3 });
    const facts = {
      ...NO_FACTS,
      lastUserChars: 5_000,
      reasoningEffort: 'xhigh',
      toolCount: 3,
    } as const;
    expect(difficultyOf(facts)).toEqual({ toolCount: 3, lengthClass: 3, effortRank: 5 });
  });
});
