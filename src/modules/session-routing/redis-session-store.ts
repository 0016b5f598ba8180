import type { Target } from '../../domain/routing/decision.js';
import type { SessionHabits } from '../../domain/routing/session-habits.js';
import {
  withAnswersOf,
  type EarlierAnswers,
  type SessionOutcome,
  type SessionState,
} from '../../domain/routing/session-state.js';
import type { Clock } from '../../platform/clock.js';
import type { RedisConnection } from '../../platform/redis/redis-connection.js';
import type { Metrics } from '../../platform/telemetry/metrics.js';
import { LocalSessionStore } from './local-session-store.js';
import { FIND_SESSION, NOTE_SESSION } from './redis-session-scripts.js';
import { ANSWERED_BY_AT, ANSWERS_SHOWN_AT, decodeSession, encodeSession } from './session-codec.js';
import { isLive, SESSION_STORE_DEFAULTS } from './session-store.js';
import type { SessionName, SessionStore, SessionStoreOptions } from './session-store.js';

/** A call waits no longer for another replica's knowledge. */
export const SESSION_READ_MS_MAX = 25;
/** After a read that failed or took too long, nobody asks for so long: a slow Redis delays few calls. */
const READ_PAUSE_MS = 1_000;
const READS_UNDER_WAY_MAX = 512;
const WRITES_UNDER_WAY_MAX = 1_024;

interface Found {
  readonly state: SessionState | null;
}

/**
 * Sessions that all replicas share. The copy in the process stands in whenever Redis does not answer in time, and the
 * later of the two counts, with what both know of who answered. Habits stay with the process that saw the calls: every replica sees its share of them.
 */
export class RedisSessionStore implements SessionStore {
  readonly #redis: RedisConnection;
  readonly #clock: Clock;
  readonly #options: SessionStoreOptions;
  readonly #local: LocalSessionStore;
  readonly #unread;
  readonly #unwritten;
  #readsUnderWay = 0;
  #writesUnderWay = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(
    redis: RedisConnection,
    clock: Clock,
    metrics: Metrics,
    options: Partial<SessionStoreOptions> = {},
  ) {
    this.#redis = redis;
    this.#clock = clock;
    this.#options = { ...SESSION_STORE_DEFAULTS, ...options };
    this.#local = new LocalSessionStore(clock, options);
    this.#unread = metrics.counter(
      'shunt_session_reads_local_total',
      'Sessions looked up in this process alone, because Redis did not answer in time.',
    );
    this.#unwritten = metrics.counter(
      'shunt_session_writes_lost_total',
      'Sessions that Redis did not take; other replicas do not know of their last call.',
    );
  }

  find(name: SessionName): SessionState | null | Promise<SessionState | null> {
    if (
      this.#redis.status() !== 'ready' ||
      this.#clock.nowMs() < this.#pausedUntilMs ||
      this.#readsUnderWay >= READS_UNDER_WAY_MAX
    ) {
      this.#unread.inc();
      return this.#local.find(name);
    }
    return this.#findShared(name);
  }

  note(name: SessionName, application: string, outcome: SessionOutcome): SessionState {
    const state = this.#local.note(name, application, outcome);
    this.#share(name, state);
    return state;
  }

  noteAnswerer(name: SessionName, target: Target, earlier: EarlierAnswers): SessionState | null {
    const state = this.#local.noteAnswerer(name, target, earlier);
    if (state !== null) this.#share(name, state);
    return state;
  }

  habits(orgId: string, application: string): SessionHabits {
    return this.#local.habits(orgId, application);
  }

  async #findShared(name: SessionName): Promise<SessionState | null> {
    const found = await this.#read(name);
    if (found === null) {
      this.#unread.inc();
      return this.#local.find(name);
    }
    const own = this.#local.find(name);
    const shared = found.state;
    const later = own === null || shared === null ? (own ?? shared) : laterOf(own, shared);
    if (later === null || !isLive(later, this.#clock.nowMs(), this.#options)) return null;
    if (later !== own) this.#local.hold(name, later);
    return later;
  }

  async #read(name: SessionName): Promise<Found | null> {
    this.#readsUnderWay += 1;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, SESSION_READ_MS_MAX, null);
    });
    const reply = this.#redis.evalScript(FIND_SESSION, [redisKeyOf(name)], []).finally(() => {
      this.#readsUnderWay -= 1;
    });
    try {
      const found = foundIn(await Promise.race([reply, late]));
      if (found === null) this.#pausedUntilMs = this.#clock.nowMs() + READ_PAUSE_MS;
      return found;
    } catch {
      this.#pausedUntilMs = this.#clock.nowMs() + READ_PAUSE_MS;
      return null;
    } finally {
      clearTimeout(timer);
      // Its late failure is nobody's any more.
      reply.catch(() => undefined);
    }
  }

  #share(name: SessionName, state: SessionState): void {
    if (this.#redis.status() !== 'ready' || this.#writesUnderWay >= WRITES_UNDER_WAY_MAX) {
      this.#unwritten.inc();
      return;
    }
    this.#writesUnderWay += 1;
    void this.#write(name, state).finally(() => {
      this.#writesUnderWay -= 1;
    });
  }

  async #write(name: SessionName, state: SessionState): Promise<void> {
    const endsAtMs = Math.min(
      state.lastCallAtMs + this.#options.idleMs,
      state.startedAtMs + this.#options.lifetimeMs,
    );
    const ttlMs = Math.max(1, endsAtMs - this.#clock.nowMs());
    try {
      const args = [encodeSession(state), ttlMs, ANSWERED_BY_AT, ANSWERS_SHOWN_AT];
      await this.#redis.evalScript(NOTE_SESSION, [redisKeyOf(name)], args);
    } catch {
      this.#unwritten.inc();
    }
  }
}

function laterOf(own: SessionState, shared: SessionState): SessionState {
  const isOwnLater =
    own.turns === shared.turns ? own.lastCallAtMs > shared.lastCallAtMs : own.turns > shared.turns;
  return isOwnLater ? withAnswersOf(own, shared) : withAnswersOf(shared, own);
}

function redisKeyOf({ orgId, sessionKey }: SessionName): string {
  return `shunt:session:{${orgId}}:s:${sessionKey}`;
}

/** Null for a reply that is none: late, or from something else. */
function foundIn(reply: unknown): Found | null {
  if (typeof reply !== 'string') return null;
  return { state: reply === '' ? null : decodeSession(reply) };
}
