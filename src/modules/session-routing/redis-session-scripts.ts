import type { RedisScript } from '../../platform/redis/redis-connection.js';

/**
 * Both keys carry the organization's hash tag. The epoch is there only after an organization was forgotten, for as
 * long as anything older may live; a value is `epoch|session`, and counts only under the epoch that it was written in.
 */
const CURRENT = `
local epoch = redis.call('GET', KEYS[1]) or ''
`;

/** KEYS: epoch, session. Returns: epoch, session or ''. */
export const FIND_SESSION: RedisScript = {
  name: 'session-find',
  lua: `${CURRENT}
local value = redis.call('GET', KEYS[2])
if value then
  local bar = string.find(value, '|', 1, true)
  if bar and string.sub(value, 1, bar - 1) == epoch then return { epoch, string.sub(value, bar + 1) } end
end
return { epoch, '' }
`,
};

/**
 * Writes what a replica noted, unless the organization was forgotten since that replica last looked.
 * KEYS: epoch, session. ARGV: the epoch that the replica saw, session, time to live in ms. Returns: 1 if written.
 */
export const NOTE_SESSION: RedisScript = {
  name: 'session-note',
  lua: `${CURRENT}
if epoch ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], epoch .. '|' .. ARGV[2], 'PX', ARGV[3])
return 1
`,
};

/** KEYS: epoch. ARGV: a new epoch, its time to live in ms. */
export const FORGET_SESSIONS: RedisScript = {
  name: 'session-forget',
  lua: `redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1`,
};
