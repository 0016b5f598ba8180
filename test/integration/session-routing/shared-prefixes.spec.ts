import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SharedPrefixes } from '../../../src/modules/session-routing/shared-prefixes.js';
import { WarmPrefixes } from '../../../src/modules/session-routing/warm-prefixes.js';
import { RedisConnection } from '../../../src/platform/redis/redis-connection.js';
import { hasRedisServer, RedisServer, until } from '../../support/redis-server.js';

const TTL_MS = 60_000;
const call = (...beginnings: string[]) => ({ orgId: 'org-1', atMs: 0, ttlMs: TTL_MS, beginnings });
const SINCE = 'shunt:prefix:{org-1}:since';

describe.skipIf(!hasRedisServer)('beginnings over two replicas (needs redis-server)', () => {
  let server: RedisServer;
  let connections: RedisConnection[] = [];

  /** It knows the organization for longer than any use counts. */
  async function replica() {
    const redis = new RedisConnection(server.url, pino({ level: 'silent' }));
    connections.push(redis);
    await until(() => redis.status() === 'ready');
    const away = { is: false };
    const connection = {
      status: () => (away.is ? 'reconnecting' : redis.status()),
      evalScript: redis.evalScript.bind(redis),
    } as RedisConnection;
    const own = new WarmPrefixes();
    own.use({ ...call(), atMs: -10 * TTL_MS });
    return { prefixes: new SharedPrefixes(connection, own), away };
  }

  const asked = (lua: string): Promise<unknown> =>
    connections[0]!.evalScript({ name: `test-${lua}`, lua }, [SINCE], []);
  /** As if Redis knew the organization for longer than any use counts. */
  const settle = () => asked(`return redis.call('SET', KEYS[1], '1')`);

  beforeEach(async () => {
    connections = [];
    server = await RedisServer.start();
  });
  afterEach(async () => {
    await Promise.all(connections.map((redis) => redis.close()));
    await server.kill();
  });

  it('are warm at one where the other one saw them, as far as they are the same, and no longer than they are kept', async () => {
    const [{ prefixes: one }, { prefixes: other }] = [await replica(), await replica()];
    await settle();
    const first = one.use(call('a', 'b', 'c'));
    await until(() => first.known === 0);
    const alike = other.use(call('a', 'b', 'x'));
    await until(() => alike.known === 2);
    const different = other.use(call('z', 'b'));
    await until(() => different.known === 0);
    const left = (await asked(`return redis.call('PTTL', 'shunt:prefix:{org-1}:a')`)) as number;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(TTL_MS);
  });

  it('count as warm while Redis is down', async () => {
    const { prefixes } = await replica();
    await server.kill();
    await until(() => connections[0]!.status() !== 'ready');
    expect(prefixes.use(call('a', 'b')).known).toBe(2);
  });

  it('count as warm at one after the other could not say what it used', async () => {
    const [{ prefixes: one }, { prefixes: other, away }] = [await replica(), await replica()];
    await settle();
    away.is = true;
    expect(other.use(call('a', 'b')).known).toBe(2);
    away.is = false;
    const told = asked.bind(null, `return redis.call('GET', KEYS[1])`);
    await until(async () => (await told()) !== '1');
    // What is noted behind this one was answered for both.
    const use = one.use(call('a', 'b'));
    await told();
    expect(use.known).toBe(2);
  });

  it('count as warm after a Redis that lost its memory came back', async () => {
    const { prefixes } = await replica();
    await settle();
    const before = prefixes.use(call('a'));
    await until(() => before.known === 0);
    await asked(`return redis.call('FLUSHALL')`);
    const use = prefixes.use(call('x', 'y'));
    expect(await asked(`return redis.call('EXISTS', KEYS[1])`)).toBe(1);
    expect(use.known).toBe(2);
  });
});
