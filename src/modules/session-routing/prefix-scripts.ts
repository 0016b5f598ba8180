import type { RedisScript } from '../../platform/redis/redis-connection.js';

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * Notes that beginnings of a prompt are in use. A key lives as long as its beginning is warm.
 * KEYS: since when every use of the organization is noted, then one per beginning, each the continuation of the one
 * before. ARGV: time to live in ms of the first key, and of the others. Returns: how many beginnings were in use
 * already; all, where one may have been that is not noted.
 */
export const NOTE_PREFIXES: RedisScript = {
  name: 'prefixes-note',
  lua: `${NOW}
local ttl = tonumber(ARGV[2])
local since = tonumber(redis.call('GET', KEYS[1])) or now
redis.call('SET', KEYS[1], string.format('%.0f', since), 'PX', ARGV[1])
local known = 0
for i = 2, #KEYS do
  local left = redis.call('PTTL', KEYS[i])
  if left > 0 and known == i - 2 then known = i - 1 end
  redis.call('SET', KEYS[i], '1', 'PX', math.max(ttl, left))
end
if now <= since + ttl then return #KEYS - 1 end
return known
`,
};

/** A use was not noted. KEYS and ARGV: the first of the above. */
export const MISS_PREFIXES: RedisScript = {
  name: 'prefixes-miss',
  lua: `${NOW}
redis.call('SET', KEYS[1], string.format('%.0f', now), 'PX', ARGV[1])
return 1
`,
};
