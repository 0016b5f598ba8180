import type { RedisScript } from '../../platform/redis/redis-connection.js';

/** KEYS: session. Returns: session or ''. */
export const FIND_SESSION: RedisScript = {
  name: 'session-find',
  lua: `return redis.call('GET', KEYS[1]) or ''`,
};

/** KEYS: session. ARGV: session, time to live in ms. */
export const NOTE_SESSION: RedisScript = {
  name: 'session-note',
  lua: `redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1`,
};
