import type { RedisScript } from '../../platform/redis/redis-connection.js';

/**
 * Notes that beginnings of a prompt are in use. A key lives as long as its beginning is warm.
 * KEYS: one per beginning, each the continuation of the one before. ARGV: time to live in ms. Returns: how many of them
 * were in use already.
 */
export const NOTE_PREFIXES: RedisScript = {
  name: 'prefixes-note',
  lua: `
local known = 0
for i, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left > 0 and known == i - 1 then known = i end
  redis.call('SET', key, '1', 'PX', math.max(tonumber(ARGV[1]), left))
end
return known
`,
};
