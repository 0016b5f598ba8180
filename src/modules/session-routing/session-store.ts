import type { Target } from '../../domain/routing/decision.js';
import type { SessionHabits } from '../../domain/routing/session-habits.js';
import type {
  EarlierAnswers,
  SessionOutcome,
  SessionState,
} from '../../domain/routing/session-state.js';

/** A session that is quiet for longer is over. */
export const SESSION_IDLE_MS = 60 * 60_000;
/** No session is one for longer, however busy. */
export const SESSION_LIFETIME_MS = 24 * 60 * 60_000;

export interface SessionStoreOptions {
  readonly idleMs: number;
  readonly lifetimeMs: number;
  readonly sessionsMax: number;
  readonly bytesMax: number;
  /** Applications whose habits are remembered. */
  readonly applicationsMax: number;
}

export const SESSION_STORE_DEFAULTS: SessionStoreOptions = Object.freeze({
  idleMs: SESSION_IDLE_MS,
  lifetimeMs: SESSION_LIFETIME_MS,
  sessionsMax: 50_000,
  bytesMax: 64 * 1024 * 1024,
  applicationsMax: 2_000,
});

/** Whose session a call belongs to. */
export interface SessionName {
  readonly orgId: string;
  /** The keyed hash, never the name itself: with the organization's hash key gone, its sessions are nobody's. */
  readonly sessionKey: string;
}

/**
 * What sessions left behind between their calls. Nothing here throws or blocks a call for longer than its stated
 * limit; a session that is forgotten is one that starts anew.
 */
export interface SessionStore {
  /** A plain value where it is in this process, so that nothing waits for it; null for an unknown session. */
  find(name: SessionName): SessionState | null | Promise<SessionState | null>;
  /**
   * Takes in an answered call, once its usage is known, and gives the session after it.
   *
   * @param application whose habits it teaches: the project's id.
   */
  note(name: SessionName, application: string, outcome: SessionOutcome): SessionState;
  /** Takes in who answered, of an answer whose usage is not known; of an unknown session nothing is kept. */
  noteAnswerer(name: SessionName, target: Target, earlier: EarlierAnswers): SessionState | null;
  /** How sessions of the organization's application go; the stated beliefs where none were seen. */
  habits(orgId: string, application: string): SessionHabits;
}

/** An id may hold any character, so its length stands before it: no two names meet. */
export function keyOf({ orgId, sessionKey }: SessionName): string {
  return `${orgId.length}:${orgId}:${sessionKey}`;
}

/** Whether a session still counts as going on. */
export function isLive(
  state: SessionState,
  nowMs: number,
  { idleMs, lifetimeMs }: Pick<SessionStoreOptions, 'idleMs' | 'lifetimeMs'>,
): boolean {
  return nowMs - state.lastCallAtMs < idleMs && nowMs - state.startedAtMs < lifetimeMs;
}
