import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SharedPrefixes } from '../../../src/modules/session-routing/shared-prefixes.js';
import { RedisConnection } from '../../../src/platform/redis/redis-connection.js';
import { hasRedisServer, RedisServer, until } from '../../support/redis-server.js';

const TTL_MS = 60_000;
const call = (...beginnings: string[]) => ({ orgId: 'org-1', atMs: 0, ttlMs: TTL_MS, beginnings });
/** Began long ago: what it does not know of, it did not see. */
const clock = { nowMs: () => -10 * TTL_MS };

describe.skipIf(!hasRedisServer)('beginnings over two replicas (needs redis-server)', () => {
  let server: RedisServer;
  let connections: RedisConnection[] = [];

  async function replica(): Promise<SharedPrefixes> {
    const redis = new RedisConnection(server.url, pino({ level: 'silent' }));
    connections.push(redis);
    await until(() => redis.status() === 'ready');
    return new SharedPrefixes(clock, redis);
  }

  beforeEach(async () => {
    connections = [];
    server = await RedisServer.start();
  });
  afterEach(async () => {
    await Promise.all(connections.map((redis) => redis.close()));
    await server.kill();
  });

  it('are warm at one where the other one saw them, as far as they are the same, and no longer than they are kept', async () => {
    const [one, other] = [await replica(), await replica()];
    const first = one.use(call('a', 'b', 'c'));
    await until(() => first.known === 0);
    const alike = other.use(call('a', 'b', 'x'));
    await until(() => alike.known === 2);
    const different = other.use(call('z', 'b'));
    await until(() => different.known === 0);
    const read = { name: 'test-ttl', lua: `return redis.call('PTTL', KEYS[1])` };
    const key = 'shunt:prefix:{org-1}:a';
    const left = (await connections[0]!.evalScript(read, [key], [])) as number;
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(TTL_MS);
  });

  it('count as warm while Redis is down', async () => {
    const one = await replica();
    await server.kill();
    await until(() => connections[0]!.status() !== 'ready');
    expect(one.use(call('a', 'b')).known).toBe(2);
  });
});
