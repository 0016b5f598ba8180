import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RedisConnection, RedisScript } from '../../platform/redis/redis-connection.js';
import { SharedPrefixes } from './shared-prefixes.js';
import { WarmPrefixes } from './warm-prefixes.js';

const MINUTE_MS = 60_000;
const TTL_MS = 30 * MINUTE_MS;
const START_MS = 1_790_000_000_000;
/** Nothing from before the first call counts any more. */
const SETTLED_MS = START_MS + TTL_MS + 1;

/** How many of a prompt's beginnings were in use before it. */
function known(
  prefixes: SharedPrefixes,
  beginnings: string,
  atMs: number,
  { ttlMs = TTL_MS, orgId = 'org' } = {},
): number {
  return prefixes.use({ orgId, atMs, ttlMs, beginnings: beginnings.split('') }).known;
}

/** Knows these organizations for as long as any use counts. */
function settled(max?: number, organizations = ['org'], organizationsMax?: number): SharedPrefixes {
  const prefixes = new SharedPrefixes(null, new WarmPrefixes(max, organizationsMax));
  for (const orgId of organizations) known(prefixes, '', START_MS, { orgId });
  return prefixes;
}

describe('the beginnings of prompts that are in use', () => {
  it('are warm from their second use on, for as long after each use as the model keeps them', () => {
    const prefixes = settled();
    expect(known(prefixes, 'a', SETTLED_MS)).toBe(0);
    expect(known(prefixes, 'a', SETTLED_MS + TTL_MS)).toBe(1);
    expect(known(prefixes, 'a', SETTLED_MS + 2 * TTL_MS)).toBe(1);
    expect(known(prefixes, 'a', SETTLED_MS + 3 * TTL_MS + 1)).toBe(0);
    expect(known(prefixes, 'b', SETTLED_MS)).toBe(0);
  });

  it('are shared as far as two prompts are alike', () => {
    const prefixes = settled();
    known(prefixes, 'abcd', SETTLED_MS);
    expect(known(prefixes, 'abxy', SETTLED_MS)).toBe(2);
    expect(known(prefixes, 'abcde', SETTLED_MS)).toBe(4);
    expect(known(prefixes, 'zbcd', SETTLED_MS)).toBe(0);
  });

  it('stay warm for the longest that any of their uses asked for', () => {
    const prefixes = settled();
    const ttlMs = MINUTE_MS;
    known(prefixes, 'a', SETTLED_MS);
    known(prefixes, 'a', SETTLED_MS, { ttlMs });
    expect(known(prefixes, 'a', SETTLED_MS + TTL_MS, { ttlMs })).toBe(1);
  });

  it('all count as warm while a use from before the first noted call could still count', () => {
    const prefixes = settled();
    expect(known(prefixes, 'abc', START_MS + TTL_MS)).toBe(3);
    expect(known(prefixes, 'def', START_MS + TTL_MS + 1)).toBe(0);
    expect(known(prefixes, 'ghi', START_MS + TTL_MS + 1, { orgId: 'new' })).toBe(3);
    expect(known(prefixes, 'jkl', SETTLED_MS + TTL_MS + 1, { orgId: 'new' })).toBe(0);
  });

  it('all count as warm while a use that was not noted could, as when routing was off', () => {
    const prefixes = settled(undefined, ['org', 'other']);
    prefixes.missed('org', SETTLED_MS);
    prefixes.missed('never seen', SETTLED_MS);
    expect(known(prefixes, 'ab', SETTLED_MS + TTL_MS)).toBe(2);
    expect(known(prefixes, 'ab', SETTLED_MS + TTL_MS, { orgId: 'other' })).toBe(0);
    expect(known(prefixes, 'cd', SETTLED_MS + TTL_MS + 1)).toBe(0);
  });
});

describe('the room for beginnings', () => {
  it('is bounded, and all count as warm while one that was dropped could', () => {
    const prefixes = settled(2);
    for (const key of ['a', 'b', 'c']) known(prefixes, key, SETTLED_MS);
    expect(known(prefixes, 'z', SETTLED_MS + TTL_MS)).toBe(1);
    expect(known(settled(3), 'z', SETTLED_MS + TTL_MS)).toBe(0);
  });

  it('is taken from whoever holds most: no volume of one organization makes another’s all count as warm', () => {
    const prefixes = settled(100, ['org', 'busy']);
    known(prefixes, 'abc', SETTLED_MS);
    for (let call = 0; call < 1_000; call += 1) {
      const beginnings = [`${call}/1`, `${call}/2`];
      prefixes.use({ orgId: 'busy', atMs: SETTLED_MS + call, ttlMs: TTL_MS, beginnings });
    }
    const later = SETTLED_MS + 1_000;
    expect(known(prefixes, 'xyz', later)).toBe(0);
    expect(known(prefixes, 'abq', later)).toBe(2);
    expect(known(prefixes, 'xyz', later, { orgId: 'busy' })).toBe(3);
  });

  it('is not taken up by what is cold', () => {
    const prefixes = settled(10, ['org', 'gone']);
    known(prefixes, 'abcdefghi', SETTLED_MS, { orgId: 'gone' });
    const later = SETTLED_MS + TTL_MS + 1;
    known(prefixes, 'jklmnopq', later);
    expect(known(prefixes, 'jkz', later)).toBe(2);
    expect(known(prefixes, 'xyz', later)).toBe(0);
  });

  it('is bounded in organizations, and one that was dropped begins anew', () => {
    const prefixes = settled(10, ['org', 'second', 'third'], 2);
    expect(known(prefixes, 'ab', SETTLED_MS, { orgId: 'third' })).toBe(0);
    expect(known(prefixes, 'ab', SETTLED_MS)).toBe(2);
    expect(known(prefixes, 'cd', SETTLED_MS + TTL_MS + 1)).toBe(0);
  });
});

describe('the beginnings that replicas share', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function replica(reply: () => Promise<unknown>, connection = { status: 'ready' }) {
    const sent: [script: string, keys: readonly string[], args: readonly unknown[]][] = [];
    const redis = {
      status: () => connection.status,
      evalScript: ({ name }: RedisScript, keys: readonly string[], args: readonly unknown[]) => {
        sent.push([name, keys, args]);
        return reply();
      },
    } as unknown as RedisConnection;
    const own = new WarmPrefixes();
    own.use({ ...call, atMs: START_MS, beginnings: [] });
    return { prefixes: new SharedPrefixes(redis, own), sent };
  }
  const call = { orgId: 'org', atMs: SETTLED_MS, ttlMs: TTL_MS, beginnings: ['a', 'b'] };
  const since = 'shunt:prefix:{org}:since';
  const missed = ['prefixes-miss', [since], [expect.any(Number)]];
  const answered = () => new Promise((resolve) => setImmediate(resolve));

  it('are cold where neither this replica nor Redis knows of a use', async () => {
    const { prefixes, sent } = replica(() => Promise.resolve(0));
    const use = prefixes.use(call);
    await answered();
    expect(use.known).toBe(0);
    const keys = [since, 'shunt:prefix:{org}:a', 'shunt:prefix:{org}:b'];
    expect(sent).toEqual([['prefixes-note', keys, [expect.any(Number), TTL_MS]]]);
    expect(vi.getTimerCount()).toBe(0);
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
      replica(() => Promise.resolve(0), { status: 'reconnecting' }),
    ].map(({ prefixes }) => prefixes.use(call));
    await answered();
    expect(uses.map((use) => use.known)).toEqual([2, 2, 2, 2]);
  });

  it('are said to be unknown to the others, once Redis is back, where it was not told of a use', async () => {
    const connection = { status: 'reconnecting' };
    const { prefixes, sent } = replica(() => Promise.resolve(1), connection);
    prefixes.use(call);
    prefixes.use(call);
    vi.advanceTimersByTime(10_000);
    expect(sent).toEqual([]);
    connection.status = 'ready';
    vi.advanceTimersByTime(1_000);
    await answered();
    expect(sent).toEqual([missed]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('are said to be so too where a note failed, and until that was heard', async () => {
    let failures = 2;
    const { prefixes, sent } = replica(() =>
      failures-- > 0 ? Promise.reject(new Error('no answer')) : Promise.resolve(1),
    );
    prefixes.use(call);
    for (let turn = 0; turn < 5; turn += 1) {
      await answered();
      vi.advanceTimersByTime(1_000);
    }
    expect(sent.slice(1)).toEqual([missed, missed]);
  });

  it('are said to be so too where more notes are under way than may be', async () => {
    const { prefixes, sent } = replica(() => Promise.resolve(0));
    const uses = Array.from({ length: 1_025 }, () => prefixes.use({ ...call, beginnings: ['z'] }));
    await answered();
    expect(uses.at(-1)!.known).toBe(1);
    expect(sent).toHaveLength(1_024);
    vi.advanceTimersByTime(1_000);
    expect(sent.at(-1)).toEqual(missed);
  });

  it('are said to be so too where a call passed unrouted', () => {
    const { prefixes, sent } = replica(() => Promise.resolve(0));
    prefixes.missed('org', SETTLED_MS);
    prefixes.missed('never seen', SETTLED_MS);
    vi.advanceTimersByTime(1_000);
    expect(sent).toEqual([missed]);
  });

  it('are told no more once the connection was closed', () => {
    const { prefixes } = replica(() => Promise.resolve(0), { status: 'closed' });
    prefixes.use(call);
    expect(vi.getTimerCount()).toBe(0);
  });
});
