import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PrefixMemory } from './prefix-memory.js';

const TTL_MS = 1_000;

describe('PrefixMemory', () => {
  test('the cached part is never longer than what two prompts have in common', () => {
    fc.assert(
      fc.property(
        fc.nat(40),
        fc.nat(40),
        fc.nat(40),
        (sharedBlocks, blocksOfOne, blocksOfOther) => {
          const memory = new PrefixMemory(() => 0);
          const shared = 's'.repeat(sharedBlocks * 512);
          memory.reuse('scope', shared + 'a'.repeat(blocksOfOne * 512), 1024, TTL_MS);
          const other = shared + 'b'.repeat(blocksOfOther * 512);
          const cached = memory.reuse('scope', other, 1024, TTL_MS);
          expect(cached).toBe(sharedBlocks * 128 >= 1024 ? sharedBlocks * 128 : 0);
        },
      ),
    );
  });

  test('a prefix is forgotten when its time is over', () => {
    let nowMs = 0;
    const memory = new PrefixMemory(() => nowMs);
    memory.keep('p', TTL_MS);
    nowMs = TTL_MS - 1;
    expect(memory.has('p')).toBe(true);
    nowMs = TTL_MS;
    expect(memory.has('p')).toBe(false);
  });

  test('its size is bounded: what was used longest ago goes first', () => {
    const memory = new PrefixMemory(() => 0, 2);
    memory.keep('a', TTL_MS);
    memory.keep('b', TTL_MS);
    memory.refresh('a');
    memory.keep('c', TTL_MS);
    expect(['a', 'b', 'c'].map((prefix) => memory.has(prefix))).toEqual([true, false, true]);
  });
});
