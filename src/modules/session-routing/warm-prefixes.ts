import { LRUCache } from 'lru-cache';

/** Over all organizations. Some 100 bytes each. */
const PREFIXES_MAX = 100_000;
/** One that was dropped begins anew: all counts as warm until its own first call is as old as a cache may be. */
export const ORGANIZATIONS_MAX = 10_000;

export interface PrefixCall {
  readonly orgId: string;
  readonly atMs: number;
  /** How long the model that would have cached them keeps them after a use. */
  readonly ttlMs: number;
  /** Keyed hashes of how the prompt begins, for that model: each of the one before and what follows it. */
  readonly beginnings: readonly string[];
}

interface Memory {
  /** From here on every use is known. */
  sinceMs: number;
  /** What was dropped for want of room is warm no longer than this. */
  forgottenUntilMs: number;
  /** Until when each beginning is warm; what was not used for longest comes first, by and large. */
  readonly warm: Map<string, number>;
}

/**
 * Which beginnings of prompts this process saw in use, of each organization apart: where room is wanted, it is taken
 * from those that hold most, so that nobody's volume costs another its memory.
 */
export class WarmPrefixes {
  readonly #memories: LRUCache<string, Memory>;
  readonly #max: number;
  #held = 0;

  constructor(max = PREFIXES_MAX, organizationsMax = ORGANIZATIONS_MAX) {
    this.#max = max;
    this.#memories = new LRUCache<string, Memory>({
      max: organizationsMax,
      dispose: ({ warm }) => {
        this.#held -= warm.size;
      },
    });
  }

  /** How many of the call's beginnings were in use before it: all of them, where that cannot be known. */
  use({ orgId, beginnings, atMs, ttlMs }: PrefixCall): number {
    const memory = this.#memoryOf(orgId, atMs);
    const { warm } = memory;
    const heldBefore = warm.size;
    let known = 0;
    for (const [at, key] of beginnings.entries()) {
      const untilMs = warm.get(key) ?? Number.NEGATIVE_INFINITY;
      if (untilMs >= atMs && known === at) known += 1;
      // A key that moves leaves a gap behind that each look-up of it passes: not with each use, then.
      if (untilMs < atMs + (ttlMs * 7) / 8) warm.delete(key);
      warm.set(key, Math.max(untilMs, atMs + ttlMs));
    }
    const isAllKnown = atMs > Math.max(memory.sinceMs + ttlMs, memory.forgottenUntilMs);
    this.#held += warm.size - heldBefore;
    if (this.#held > this.#max) this.#makeRoom(atMs);
    return isAllKnown ? known : beginnings.length;
  }

  /** A call of the organization was not noted. False where nothing is known of the organization anyway. */
  missed(orgId: string, atMs: number): boolean {
    const memory = this.#memories.peek(orgId);
    if (memory === undefined) return false;
    memory.sinceMs = Math.max(memory.sinceMs, atMs);
    return true;
  }

  #memoryOf(orgId: string, atMs: number): Memory {
    const found = this.#memories.get(orgId);
    if (found !== undefined) return found;
    const begun = {
      sinceMs: atMs,
      forgottenUntilMs: Number.NEGATIVE_INFINITY,
      warm: new Map<string, number>(),
    };
    this.#memories.set(orgId, begun);
    return begun;
  }

  /** An eighth at once, so that it is seldom looked for. */
  #makeRoom(atMs: number): void {
    const memories = [...this.#memories.values()];
    for (const memory of memories) this.#held -= dropCold(memory, atMs);
    const share = evenShare(
      memories.map(({ warm }) => warm.size),
      Math.floor((this.#max * 7) / 8),
    );
    for (const memory of memories) this.#held -= dropOldest(memory, memory.warm.size - share);
  }
}

function dropCold({ warm }: Memory, atMs: number): number {
  const before = warm.size;
  for (const [key, untilMs] of warm) {
    if (untilMs >= atMs) break;
    warm.delete(key);
  }
  return before - warm.size;
}

function dropOldest(memory: Memory, count: number): number {
  const { warm } = memory;
  const before = warm.size;
  for (const [key, untilMs] of warm) {
    if (before - warm.size >= count) break;
    warm.delete(key);
    memory.forgottenUntilMs = Math.max(memory.forgottenUntilMs, untilMs);
  }
  return before - warm.size;
}

/** The most that each may hold for all of them to hold no more than `total`. */
function evenShare(sizes: readonly number[], total: number): number {
  let left = total;
  for (const [at, size] of sizes.toSorted((a, b) => a - b).entries()) {
    const share = Math.floor(left / (sizes.length - at));
    if (size > share) return share;
    left -= size;
  }
  return total;
}
