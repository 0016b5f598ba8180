import type { RedisConnection, RedisScript } from '../../platform/redis/redis-connection.js';
import { MISS_PREFIXES, NOTE_PREFIXES } from './prefix-scripts.js';
import { ORGANIZATIONS_MAX, WarmPrefixes, type PrefixCall } from './warm-prefixes.js';

const SCRIPTS_UNDER_WAY_MAX = 1_024;
const TELL_AFTER_MS = 250;
/** How long an organization may make no call before Redis begins anew with it. */
const REMEMBERED_MS = 7 * 24 * 60 * 60_000;

/** How far calls before it used the beginnings of a prompt lately. What is not known counts as used. */
export interface PrefixUse {
  /** The first so many. Until the call has had its answer it may be too many. */
  readonly known: number;
}

/**
 * Which beginnings of prompts were in use lately: hashes and times, no content. "Not in use" is said only by whoever
 * would know of a use: not before an organization's first noted call is as old as a cache may be, and as the last that
 * was not noted. With Redis both this process and Redis must know; while Redis does not answer, every beginning counts.
 */
export class SharedPrefixes {
  readonly #redis: RedisConnection | null;
  readonly #own: WarmPrefixes;
  /** Organizations of whose calls Redis does not know all, and does not know that. */
  readonly #untold = new Set<string>();
  #isTelling = false;
  #underWay = 0;

  /** @param redis null where there is one replica. */
  constructor(redis: RedisConnection | null, own = new WarmPrefixes()) {
    this.#redis = redis;
    this.#own = own;
  }

  /** Notes that a call uses these beginnings, and says how far they were in use before it. */
  use(call: PrefixCall): PrefixUse {
    const own = this.#own.use(call);
    return this.#redis === null ? { known: own } : this.#noteShared(this.#redis, call, own);
  }

  /** A call passed whose prompt is not noted: whatever it began with may be warm. */
  missed(orgId: string, atMs: number): void {
    if (this.#own.missed(orgId, atMs) && this.#redis !== null) this.#tellSoon(this.#redis, orgId);
  }

  #noteShared(redis: RedisConnection, call: PrefixCall, own: number): PrefixUse {
    const { orgId, beginnings, ttlMs } = call;
    const use = { known: beginnings.length };
    const keys = [sinceKey(orgId), ...beginnings.map((key) => `shunt:prefix:{${orgId}}:${key}`)];
    this.#send(redis, orgId, NOTE_PREFIXES, keys, [REMEMBERED_MS, ttlMs], (known) => {
      if (typeof known === 'number') use.known = Math.max(own, known);
    });
    return use;
  }

  /** What cannot be sent, or got no answer, is told later as something that was missed. */
  #send(
    redis: RedisConnection,
    orgId: string,
    script: RedisScript,
    keys: readonly string[],
    args: readonly number[],
    answered: (answer: unknown) => void = () => undefined,
  ): void {
    if (!this.#maySend(redis)) {
      this.#tellSoon(redis, orgId);
      return;
    }
    this.#underWay += 1;
    redis
      .evalScript(script, keys, args)
      .then(answered, () => this.#tellSoon(redis, orgId))
      .finally(() => {
        this.#underWay -= 1;
      });
  }

  #maySend(redis: RedisConnection): boolean {
    return redis.status() === 'ready' && this.#underWay < SCRIPTS_UNDER_WAY_MAX;
  }

  #tellSoon(redis: RedisConnection, orgId: string): void {
    if (this.#untold.size < ORGANIZATIONS_MAX) this.#untold.add(orgId);
    if (this.#isTelling || redis.status() === 'closed') return;
    this.#isTelling = true;
    setTimeout(() => this.#tell(redis), TELL_AFTER_MS).unref();
  }

  #tell(redis: RedisConnection): void {
    this.#isTelling = false;
    for (const orgId of this.#untold) {
      if (!this.#maySend(redis)) return this.#tellSoon(redis, orgId);
      this.#untold.delete(orgId);
      this.#send(redis, orgId, MISS_PREFIXES, [sinceKey(orgId)], [REMEMBERED_MS]);
    }
  }
}

/** No beginning is called so: these are longer. */
function sinceKey(orgId: string): string {
  return `shunt:prefix:{${orgId}}:since`;
}
