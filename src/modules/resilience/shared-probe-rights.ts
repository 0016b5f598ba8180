import { LRUCache } from 'lru-cache';
import { createHash } from 'node:crypto';
import type { RedisConnection } from '../../platform/redis/redis-connection.js';
import { BREAKERS_MAX, PROBE_MS_MAX } from './breaker-rules.js';
import type { ProbeRight } from './probe-right.js';
import { PROBE_SCRIPT } from './sharing-scripts.js';

/** A right that was had and is not used lapses after this long. */
const RESERVED_MS = 30_000;
/** In Redis it stays so much longer: until word of its use has arrived. */
const MARGIN_MS = 5_000;
/** After a failed question, each replica decides for itself for so long. */
const AWAY_MS = 5_000;
/** A breaker that has been half-open for so long sees too few calls for rights that lapse. */
const LONELY_MS = 60_000;

interface Standing {
  /** This replica may probe until then. */
  mineUntilMs: number;
  /** Another replica holds it until then. */
  othersUntilMs: number;
  isAsking: boolean;
}

type MonotonicMs = () => number;

/**
 * One probe over all replicas. Calls never wait: the right is asked for in the background when a call would have
 * liked to probe, and the next one finds it. While Redis does not answer each replica probes for itself.
 */
export class SharedProbeRights {
  readonly #standings = new LRUCache<string, Standing>({ max: BREAKERS_MAX });
  readonly #now: MonotonicMs;
  #awayUntilMs = 0;

  constructor(
    private readonly redis: Pick<RedisConnection, 'evalScript' | 'status'>,
    private readonly replicaId: string,
    now: MonotonicMs = () => performance.now(),
  ) {
    this.#now = now;
  }

  rightOf(key: string): ProbeRight {
    return {
      prepare: () => void this.#ask(key),
      take: (halfOpenForMs) => this.#take(key, halfOpenForMs),
      give: () => void this.#give(key),
    };
  }

  #take(key: string, halfOpenForMs: number): boolean {
    const nowMs = this.#now();
    if (this.redis.status() !== 'ready' || nowMs < this.#awayUntilMs) return true;
    const standing = this.#standingOf(key);
    if (nowMs < standing.mineUntilMs) {
      standing.mineUntilMs = 0;
      void this.#hold(key, PROBE_MS_MAX);
      return true;
    }
    if (halfOpenForMs >= LONELY_MS && nowMs >= standing.othersUntilMs && !standing.isAsking) {
      void this.#hold(key, PROBE_MS_MAX);
      return true;
    }
    void this.#ask(key);
    return false;
  }

  async #ask(key: string): Promise<void> {
    const standing = this.#standingOf(key);
    const askedAtMs = this.#now();
    if (standing.isAsking || askedAtMs < Math.max(standing.mineUntilMs, this.#awayUntilMs)) return;
    standing.isAsking = true;
    const heldMs = await this.#hold(key, RESERVED_MS + MARGIN_MS);
    standing.isAsking = false;
    if (heldMs === 0) standing.mineUntilMs = askedAtMs + RESERVED_MS;
    else if (heldMs !== null) standing.othersUntilMs = askedAtMs + heldMs;
  }

  async #give(key: string): Promise<void> {
    this.#standings.delete(key);
    await this.#hold(key, 0);
  }

  /** How long another has it; null where Redis did not say. Never rejects. */
  async #hold(key: string, holdMs: number): Promise<number | null> {
    // A name of a model may hold anything, braces too.
    const name = `shunt:probe:{${createHash('sha256').update(key).digest('base64url')}}`;
    try {
      const held = await this.redis.evalScript(PROBE_SCRIPT, [name], [this.replicaId, holdMs]);
      return typeof held === 'number' ? held : null;
    } catch {
      this.#awayUntilMs = this.#now() + AWAY_MS;
      return null;
    }
  }

  #standingOf(key: string): Standing {
    let standing = this.#standings.get(key);
    if (standing === undefined) {
      standing = { mineUntilMs: 0, othersUntilMs: 0, isAsking: false };
      this.#standings.set(key, standing);
    }
    return standing;
  }
}
