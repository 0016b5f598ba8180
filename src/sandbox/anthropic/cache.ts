import { invalid, type Fault, type SandboxCall } from '../exchange.js';
import { digestOf } from '../fingerprint.js';
import { arrayOf, objectOf, type JsonObject } from '../json-value.js';
import { jsonSegment, segmentOf, type PromptSegment } from '../prompt.js';

const BREAKPOINTS_MAX = 4;
const LOOK_BACK_BLOCKS = 20;
const FIVE_MINUTES_MS = 5 * 60_000;
const ONE_HOUR_MS = 60 * 60_000;

// The shortest cacheable prefix; what is shorter stays uncached without a word.
const TOKENS_MIN: readonly (readonly [string, number])[] = [
  ['claude-opus-5', 512],
  ['claude-fable-5', 512],
  ['claude-opus-4-7', 2048],
  ['claude-opus-4-6', 4096],
  ['claude-opus-4-5', 4096],
  ['claude-haiku-4-5', 4096],
];
const TOKENS_MIN_OTHERS = 1024;

type CacheTtl = '5m' | '1h';

/** One block of a prompt in the order that the cache sees: tools, system, messages. */
export interface CacheBlock extends PromptSegment {
  /** Set where the caller marked the end of a prefix to cache. */
  readonly breakpoint: CacheTtl | null;
}

/** Input tokens, each counted once. */
export interface CacheSplit {
  readonly uncached: number;
  readonly read: number;
  readonly written5m: number;
  readonly written1h: number;
}

export function cacheBlocksOf(body: JsonObject): readonly CacheBlock[] {
  const blocks: CacheBlock[] = [];
  for (const tool of arrayOf(body['tools'])) {
    blocks.push({ ...jsonSegment('tool', withoutMark(tool)), breakpoint: markOf(tool) });
  }
  pushContent(blocks, 'system', body['system']);
  for (const message of arrayOf(body['messages'])) {
    const object = objectOf(message);
    pushContent(blocks, String(object?.['role']), object?.['content']);
  }
  const whole = markOf(body);
  const last = blocks.pop();
  if (last !== undefined) blocks.push({ ...last, breakpoint: last.breakpoint ?? whole });
  return blocks;
}

/** More breakpoints than the provider takes are refused. */
export function refuseBreakpoints(blocks: readonly CacheBlock[]): Fault | null {
  const count = blocks.filter((block) => block.breakpoint !== null).length;
  if (count <= BREAKPOINTS_MAX) return null;
  return invalid(
    `A maximum of ${BREAKPOINTS_MAX} blocks with cache_control may be provided. Found ${count}.`,
  );
}

/** Reads and writes the prompt cache for one request. */
export function splitByCache(
  call: SandboxCall,
  model: string,
  blocks: readonly CacheBlock[],
): CacheSplit {
  const tokensMin = TOKENS_MIN.find(([prefix]) => model.startsWith(prefix))?.[1];
  const prefixes = prefixesOf(`${call.keyDigest}:${model}`, blocks);
  const total = prefixes.at(-1)?.tokens ?? 0;
  const marked = prefixes.filter(
    (prefix) => prefix.breakpoint !== null && prefix.tokens >= (tokensMin ?? TOKENS_MIN_OTHERS),
  );
  const hit = longestHit(call, prefixes, marked);
  let read = 0;
  if (hit !== null) {
    read = hit.tokens;
    call.prefixes.refresh(hit.digest);
  }
  const written = { '5m': 0, '1h': 0 };
  let covered = read;
  for (const prefix of marked) {
    const ttl = prefix.breakpoint ?? '5m';
    call.prefixes.keep(prefix.digest, ttlMs(ttl));
    if (prefix.tokens <= covered) continue;
    written[ttl] += prefix.tokens - covered;
    covered = prefix.tokens;
  }
  return { uncached: total - covered, read, written5m: written['5m'], written1h: written['1h'] };
}

interface Prefix {
  readonly digest: string;
  readonly tokens: number;
  readonly breakpoint: CacheTtl | null;
}

function prefixesOf(scope: string, blocks: readonly CacheBlock[]): readonly Prefix[] {
  let digest = digestOf(scope);
  let tokens = 0;
  // Digests cost; a prompt without a breakpoint needs none.
  const needed = blocks.some((block) => block.breakpoint !== null);
  return blocks.map((block) => {
    if (needed) digest = digestOf(`${digest}:${block.text}`);
    tokens += block.tokens;
    return { digest, tokens, breakpoint: block.breakpoint };
  });
}

function longestHit(
  call: SandboxCall,
  prefixes: readonly Prefix[],
  marked: readonly Prefix[],
): Prefix | null {
  for (const breakpoint of marked.toReversed()) {
    const end = prefixes.indexOf(breakpoint);
    for (let at = end; at >= 0 && at > end - LOOK_BACK_BLOCKS; at -= 1) {
      const prefix = prefixes[at];
      if (prefix !== undefined && call.prefixes.has(prefix.digest)) return prefix;
    }
  }
  return null;
}

function ttlMs(ttl: CacheTtl): number {
  return ttl === '1h' ? ONE_HOUR_MS : FIVE_MINUTES_MS;
}

function pushContent(blocks: CacheBlock[], role: string, content: unknown): void {
  if (typeof content === 'string') {
    blocks.push({ ...segmentOf(role, content), breakpoint: null });
    return;
  }
  for (const part of arrayOf(content)) {
    blocks.push({ ...segmentOf(role, [withoutMark(part)]), breakpoint: markOf(part) });
  }
}

// Moving the mark along a growing conversation must not change the prefix.
function withoutMark(block: unknown): unknown {
  const object = objectOf(block);
  if (object?.['cache_control'] === undefined) return block;
  const { cache_control: _mark, ...rest } = object;
  return rest;
}

function markOf(block: unknown): CacheTtl | null {
  const mark = objectOf(objectOf(block)?.['cache_control']);
  if (mark === null) return null;
  return mark['ttl'] === '1h' ? '1h' : '5m';
}
