import { crc32 } from 'node:zlib';
import { joinParts } from '../../domain/classification/bounded-text.js';
import type { PromptFacts } from '../../domain/classification/prompt-facts.js';
import { keyedHash } from '../../modules/classifier/keyed-hash.js';
import type { Routing } from '../../modules/routing/routing-request.js';
import { cacheRulesOf } from '../../modules/session-routing/cache-rules.js';
import type { SharedPrefixes } from '../../modules/session-routing/shared-prefixes.js';
import type { Admitted, SharedPrefix } from '../call.js';

/**
 * How far into a prompt it is looked whether others begin like it, in bytes. Nothing shorter than the first is kept by
 * anybody's cache; between two, and beyond the last, what is shared is taken to reach as far as it may.
 */
const CHECKPOINTS = [2_048, 4_096, 8_192, 16_384, 32_768, 65_536] as const;

/** The members of a request that make its prompt, in the order in which caches see them. */
const PROMPT_MEMBERS: readonly (readonly string[])[] = [
  ['tools', 'functions'],
  ['system', 'instructions', 'systemInstruction', 'system_instruction'],
  ['messages', 'input', 'contents'],
];

/**
 * Notes the beginning of the call's prompt as in use at the model that was asked for, whichever one serves. Null where
 * that model would not keep what is so short, or keeps nothing.
 */
export function sharedPrefixOf(
  call: Admitted,
  { inputs, sighting, size }: Routing,
  prefixes: Pick<SharedPrefixes, 'use'>,
): SharedPrefix | null {
  const { principal, payload, startedAtMs: atMs } = call;
  const { provider, model } = inputs.requested;
  const { mode, ttlMs } = cacheRulesOf(provider, model, size.explicit);
  if (mode === 'none' || payload === null || sighting.reading === null) return null;
  // Its projects share the organization's key at a provider, and with it the provider's cache.
  const scope = keyedHash(principal.hashKey, 'prefix', joinParts([provider, model]));
  const beginnings = beginningsOf(call, scope);
  if (beginnings.length === 0) return null;
  return {
    use: prefixes.use({ orgId: principal.orgId, atMs, ttlMs, beginnings }),
    checkpoints: beginnings.length,
    leadingBytes: bytesBeforeMessages(payload.plainBytes, sighting.reading.facts),
    bodyBytes: payload.plainBytes,
  };
}

/** How much of the request counts as in use: no less than what was. */
export function warmBytes({ use, checkpoints, leadingBytes, bodyBytes }: SharedPrefix): number {
  const { known } = use;
  if (known === 0) return 0;
  const limit = known === checkpoints ? bodyBytes : CHECKPOINTS[known]!;
  // What reaches into the messages is shared by more than a system prompt, nobody knows how much more.
  return CHECKPOINTS[known - 1]! > leadingBytes ? limit : Math.min(limit, leadingBytes);
}

/** A hash for each checkpoint that the prompt reaches. */
function beginningsOf({ payload, facts, principal }: Admitted, scope: string): string[] {
  const members = facts?.scanned.members ?? [];
  const parts = PROMPT_MEMBERS.flatMap((names) => members.filter(({ key }) => names.includes(key)));
  const prompt = beginningOf(
    parts.map(({ value }) => payload!.plain.subarray(value.start, value.end)),
    CHECKPOINTS.at(-1)!,
  );
  const found: string[] = [];
  let before = scope;
  let from = 0;
  for (const to of CHECKPOINTS) {
    if (to > prompt.length) break;
    // Two texts of one checksum would only make the baseline cheaper. What is kept is the keyed hash.
    const checksum = crc32(prompt.subarray(from, to));
    before = keyedHash(principal.hashKey, 'prefix', joinParts([before, checksum]));
    found.push(before);
    from = to;
  }
  return found;
}

function beginningOf(parts: readonly Buffer[], bytesMax: number): Buffer {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  return parts.length === 1
    ? parts[0]!.subarray(0, bytesMax)
    : Buffer.concat(parts, Math.min(total, bytesMax));
}

/** All of the request but the text of its messages, whose characters have a byte each at the least. */
function bytesBeforeMessages(bodyBytes: number, { totalChars, systemChars }: PromptFacts): number {
  return Math.max(bodyBytes - (totalChars - systemChars), 0);
}
