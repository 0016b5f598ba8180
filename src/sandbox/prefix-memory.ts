import { hash } from 'node:crypto';

const ENTRIES_MAX = 50_000;
const CHARACTERS_PER_TOKEN = 4;
/** Providers count cached tokens in steps of this many. */
const BLOCK_TOKENS = 128;
const BLOCK_CHARACTERS = BLOCK_TOKENS * CHARACTERS_PER_TOKEN;

/**
 * Which prompt prefixes were seen lately, as the providers' prompt caches remember them: digests and expiry
 * times only, never text. Bounded; the entry used longest ago goes first.
 */
export class PrefixMemory {
  private readonly kept = new Map<string, { readonly expiryMs: number; readonly ttlMs: number }>();

  constructor(
    private readonly nowMs: () => number,
    private readonly entriesMax: number = ENTRIES_MAX,
  ) {}

  /** True while the prefix is remembered. */
  has(prefix: string): boolean {
    const entry = this.kept.get(prefix);
    return entry !== undefined && entry.expiryMs > this.nowMs();
  }

  /** Remembers the prefix for `ttlMs` from now. */
  keep(prefix: string, ttlMs: number): void {
    this.kept.delete(prefix);
    this.kept.set(prefix, { expiryMs: this.nowMs() + ttlMs, ttlMs });
    if (this.kept.size <= this.entriesMax) return;
    const oldest = this.kept.keys().next();
    if (!oldest.done) this.kept.delete(oldest.value);
  }

  /** A hit: starts the time of the prefix anew. */
  refresh(prefix: string): void {
    const entry = this.kept.get(prefix);
    if (entry !== undefined) this.keep(prefix, entry.ttlMs);
  }

  /**
   * Automatic caching: how many leading tokens of the prompt are remembered in this scope, in steps of 128 and
   * never fewer than `minTokens` (else 0). Remembers the whole prompt.
   */
  reuse(scope: string, prompt: string, minTokens: number, ttlMs: number): number {
    const blocks = Math.floor(prompt.length / BLOCK_CHARACTERS);
    const blocksMin = Math.ceil(minTokens / BLOCK_TOKENS);
    if (blocks < blocksMin) return 0;
    let chained = hash('sha1', scope);
    let hitBlocks = 0;
    for (let block = 1; block <= blocks; block += 1) {
      const end = block * BLOCK_CHARACTERS;
      chained = hash('sha1', chained + prompt.slice(end - BLOCK_CHARACTERS, end));
      if (block < blocksMin) continue;
      if (hitBlocks === block - 1 || block === blocksMin) {
        if (this.has(chained)) hitBlocks = block;
      }
      this.keep(chained, ttlMs);
    }
    return hitBlocks * BLOCK_TOKENS;
  }
}

/** The sandbox's token count: about four characters a token, at least one for any text. */
export function tokensOf(text: string): number {
  return Math.ceil(text.length / CHARACTERS_PER_TOKEN);
}
