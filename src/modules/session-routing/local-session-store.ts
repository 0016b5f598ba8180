import { LRUCache } from 'lru-cache';
import type { Target } from '../../domain/routing/decision.js';
import { learned, NO_HABITS, type SessionHabits } from '../../domain/routing/session-habits.js';
import {
  afterCall,
  afterUnmeteredAnswer,
  habitCallOf,
} from '../../domain/routing/session-state.js';
import type {
  EarlierAnswers,
  SessionOutcome,
  SessionState,
} from '../../domain/routing/session-state.js';
import type { Clock } from '../../platform/clock.js';
import { isLive, keyOf, SESSION_STORE_DEFAULTS } from './session-store.js';
import type { SessionName, SessionStore, SessionStoreOptions } from './session-store.js';

/** Upper estimates: measured are some 650 bytes with one cache and 1,130 with four. */
const STATE_BYTES = 900;
const CACHE_BYTES = 260;
const CHAR_BYTES = 2;

/** Sessions in this process, least recently used first to go. */
export class LocalSessionStore implements SessionStore {
  readonly #clock: Clock;
  readonly #options: SessionStoreOptions;
  readonly #sessions: LRUCache<string, SessionState>;
  readonly #habits: LRUCache<string, SessionHabits>;

  constructor(clock: Clock, options: Partial<SessionStoreOptions> = {}) {
    this.#clock = clock;
    this.#options = { ...SESSION_STORE_DEFAULTS, ...options };
    this.#sessions = new LRUCache({
      max: this.#options.sessionsMax,
      maxSize: this.#options.bytesMax,
      sizeCalculation: sizeOf,
    });
    this.#habits = new LRUCache({ max: this.#options.applicationsMax });
  }

  find(name: SessionName): SessionState | null {
    const key = keyOf(name);
    const state = this.#sessions.get(key);
    if (state === undefined) return null;
    if (isLive(state, this.#clock.nowMs(), this.#options)) return state;
    this.#sessions.delete(key);
    return null;
  }

  note(name: SessionName, application: string, outcome: SessionOutcome): SessionState {
    const before = this.find(name);
    const state = afterCall(before, outcome);
    this.hold(name, state);
    const key = applicationKey(name.orgId, application);
    const call = habitCallOf(before, state, outcome.usage);
    this.#habits.set(key, learned(this.#habits.get(key) ?? NO_HABITS, call));
    return state;
  }

  noteAnswerer(name: SessionName, target: Target, earlier: EarlierAnswers): SessionState | null {
    const before = this.find(name);
    if (before === null) return null;
    const state = afterUnmeteredAnswer(before, target, earlier);
    this.hold(name, state);
    return state;
  }

  habits(orgId: string, application: string): SessionHabits {
    return this.#habits.get(applicationKey(orgId, application)) ?? NO_HABITS;
  }

  hold(name: SessionName, state: SessionState): void {
    this.#sessions.set(keyOf(name), state);
  }

  /** Sessions held, those that are over and not yet dropped included. */
  get size(): number {
    return this.#sessions.size;
  }
}

function applicationKey(orgId: string, application: string): string {
  return `${orgId.length}:${orgId}:${application}`;
}

function sizeOf(state: SessionState, key: string): number {
  const names = [
    state.route,
    state.answeredBy ?? state.route,
    ...state.caches.map(({ target }) => target),
  ];
  const chars = names.reduce((sum, { model }) => sum + model.length, key.length);
  return STATE_BYTES + CACHE_BYTES * state.caches.length + CHAR_BYTES * chars;
}
