import { describe, expect, it } from 'vitest';
import type { RedisConnection } from '../../platform/redis/redis-connection.js';
import { SharedPrefixes } from './shared-prefixes.js';

const MINUTE_MS = 60_000;
const TTL_MS = 30 * MINUTE_MS;
const START_MS = 1_790_000_000_000;
/** Nothing from before the start counts any more. */
const SETTLED_MS = START_MS + TTL_MS + 1;

const clock = { nowMs: () => START_MS };
const alone = (max?: number) => new SharedPrefixes(clock, null, max);

/** How many of a prompt's beginnings were in use before it. */
function known(prefixes: SharedPrefixes, beginnings: string, atMs: number, ttlMs = TTL_MS): number {
  return prefixes.use({ orgId: 'org', atMs, ttlMs, beginnings: beginnings.split('') }).known;
}

describe('the beginnings of prompts that are in use', () => {
  it('are warm from their second use on, for as long after each use as the model keeps them', () => {
    const prefixes = alone();
    expect(known(prefixes, 'a', SETTLED_MS)).toBe(0);
    expect(known(prefixes, 'a', SETTLED_MS + TTL_MS)).toBe(1);
    expect(known(prefixes, 'a', SETTLED_MS + 2 * TTL_MS)).toBe(1);
    expect(known(prefixes, 'a', SETTLED_MS + 3 * TTL_MS + 1)).toBe(0);
    expect(known(prefixes, 'b', SETTLED_MS)).toBe(0);
  });

  it('are shared as far as two prompts are alike', () => {
    const prefixes = alone();
    known(prefixes, 'abcd', SETTLED_MS);
    expect(known(prefixes, 'abxy', SETTLED_MS)).toBe(2);
    expect(known(prefixes, 'abcde', SETTLED_MS)).toBe(4);
    expect(known(prefixes, 'zbcd', SETTLED_MS)).toBe(0);
  });

  it('stay warm for the longest that any of their uses asked for', () => {
    const prefixes = alone();
    known(prefixes, 'a', SETTLED_MS, TTL_MS);
    known(prefixes, 'a', SETTLED_MS, MINUTE_MS);
    expect(known(prefixes, 'a', SETTLED_MS + TTL_MS, MINUTE_MS)).toBe(1);
  });

  it('all count as warm while a use from before the process began could still count', () => {
    const prefixes = alone();
    expect(known(prefixes, 'abc', START_MS + TTL_MS)).toBe(3);
    expect(known(prefixes, 'def', START_MS + TTL_MS + 1)).toBe(0);
    expect(known(prefixes, 'ghi', START_MS + 5 * MINUTE_MS + 1, 5 * MINUTE_MS)).toBe(0);
  });

  it('are bounded, and all count as warm while one that was dropped could', () => {
    const prefixes = alone(2);
    for (const key of ['a', 'b', 'c']) known(prefixes, key, SETTLED_MS);
    expect(known(prefixes, 'z', SETTLED_MS + TTL_MS)).toBe(1);
    expect(known(alone(3), 'z', SETTLED_MS + TTL_MS)).toBe(0);
  });
});

describe('the beginnings that replicas share', () => {
  function replica(reply: () => Promise<unknown>, status = 'ready') {
    const sent: unknown[][] = [];
    const evalScript = (_script: unknown, keys: string[], args: unknown[]): Promise<unknown> => {
      sent.push([keys, args]);
      return reply();
    };
    const redis = { status: () => status, evalScript } as unknown as RedisConnection;
    return { prefixes: new SharedPrefixes(clock, redis), sent };
  }
  const call = { orgId: 'org', atMs: SETTLED_MS, ttlMs: TTL_MS, beginnings: ['a', 'b'] };
  const answered = () => new Promise((resolve) => setImmediate(resolve));

  it('are cold where neither this replica nor Redis knows of a use', async () => {
    const { prefixes, sent } = replica(() => Promise.resolve(0));
    const use = prefixes.use(call);
    await answered();
    expect(use.known).toBe(0);
    expect(sent).toEqual([[['shunt:prefix:{org}:a', 'shunt:prefix:{org}:b'], [TTL_MS]]]);
  });

  it('are warm where another replica used them, or this one', async () => {
    const seen = replica(() => Promise.resolve(1)).prefixes.use(call);
    const own = replica(() => Promise.resolve(0));
    own.prefixes.use(call);
    const again = own.prefixes.use(call);
    await answered();
    expect([seen.known, again.known]).toEqual([1, 2]);
  });

  it('count as warm while Redis has not answered, cannot, or says something else', async () => {
    const uses = [
      replica(() => new Promise(() => {})),
      replica(() => Promise.reject(new Error('down'))),
      replica(() => Promise.resolve('evil')),
      replica(() => Promise.resolve(0), 'reconnecting'),
    ].map(({ prefixes }) => prefixes.use(call));
    await answered();
    expect(uses.map((use) => use.known)).toEqual([2, 2, 2, 2]);
  });
});
