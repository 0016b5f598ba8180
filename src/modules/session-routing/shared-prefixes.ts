import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import type { RedisConnection } from '../../platform/redis/redis-connection.js';
import { NOTE_PREFIXES } from './prefix-scripts.js';

/** Some 150 bytes each. */
const PREFIXES_MAX = 100_000;
const NOTES_UNDER_WAY_MAX = 1_024;

export interface PrefixCall {
  readonly orgId: string;
  readonly atMs: number;
  /** How long the model that would have cached them keeps them after a use. */
  readonly ttlMs: number;
  /** Keyed hashes of how the prompt begins, for that model: each of the one before and what follows it. */
  readonly beginnings: readonly string[];
}

/** How far calls before it used the beginnings of a prompt lately. What is not known counts as used. */
export interface PrefixUse {
  /** The first so many. Until the call has had its answer it may be too many. */
  readonly known: number;
}

/**
 * Which beginnings of prompts were in use lately: hashes and times, no content. "Not in use" is said only by whoever
 * would know of a use. A process knows of none before its start, nor of those that it had no room to keep: while such a
 * use could still count, every beginning does. With Redis that, too, must not know of it; while Redis does not answer,
 * every beginning counts.
 */
export class SharedPrefixes {
  readonly #redis: RedisConnection | null;
  readonly #startedAtMs: number;
  /** Until when each is warm. */
  readonly #warm: LRUCache<string, number>;
  #forgottenUntilMs = Number.NEGATIVE_INFINITY;
  #notesUnderWay = 0;

  /** @param redis null where there is one replica. */
  constructor(clock: Clock, redis: RedisConnection | null, max = PREFIXES_MAX) {
    this.#redis = redis;
    this.#startedAtMs = clock.nowMs();
    this.#warm = new LRUCache<string, number>({
      max,
      dispose: (untilMs, _key, reason) => {
        if (reason === 'evict') this.#forgottenUntilMs = Math.max(this.#forgottenUntilMs, untilMs);
      },
    });
  }

  /** Notes that a call uses these beginnings, and says how far they were in use before it. */
  use(call: PrefixCall): PrefixUse {
    const own = this.#noteHere(call);
    return this.#redis === null ? { known: own } : this.#noteShared(this.#redis, call, own);
  }

  #noteHere({ beginnings, atMs, ttlMs }: PrefixCall): number {
    const isAllKnown = atMs > Math.max(this.#startedAtMs + ttlMs, this.#forgottenUntilMs);
    let known = 0;
    for (const [at, key] of beginnings.entries()) {
      const untilMs = this.#warm.get(key) ?? Number.NEGATIVE_INFINITY;
      if (untilMs >= atMs && known === at) known += 1;
      this.#warm.set(key, Math.max(untilMs, atMs + ttlMs));
    }
    return isAllKnown ? known : beginnings.length;
  }

  #noteShared(redis: RedisConnection, call: PrefixCall, own: number): PrefixUse {
    const { orgId, beginnings, ttlMs } = call;
    const use = { known: beginnings.length };
    if (redis.status() !== 'ready' || this.#notesUnderWay >= NOTES_UNDER_WAY_MAX) return use;
    this.#notesUnderWay += 1;
    const keys = beginnings.map((key) => `shunt:prefix:{${orgId}}:${key}`);
    redis
      .evalScript(NOTE_PREFIXES, keys, [ttlMs])
      .then((known) => {
        if (typeof known === 'number') use.known = Math.max(own, known);
      })
      .catch(() => undefined)
      .finally(() => {
        this.#notesUnderWay -= 1;
      });
    return use;
  }
}
