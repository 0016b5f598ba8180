import type { RedisScript } from '../../platform/redis/redis-connection.js';
import { COOL_DOWN_MS_MAX } from './cool-downs.js';

/** Changes that Redis remembers; the oldest go first. */
const CHANGES_MAX = 10_000;
/** Changes that one answer holds. */
export const ANSWERED_MAX = 500;
/** With no replica left to ask, changes stay for as long as the longest cool-down; an open breaker's age is told apart. */
const FORGOTTEN_MS = COOL_DOWN_MS_MAX;

/**
 * Tells others what changed here, and learns what changed there, as one step.
 *
 * KEYS: state (hash: line, seq), order (sorted set: name by number), values (hash: name to 'time value').
 * ARGV: a random name for the line, should there be none; the line and the number that the caller knows; then name,
 * value for each change.
 * Returns: line, number up to which this answer tells, 1 where that is all, then name, value, age in ms for each
 * change after the caller's number, the oldest first. Where the line is another one, from the beginning.
 */
export const EXCHANGE_SCRIPT: RedisScript = {
  name: 'resilience-exchange',
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local state = redis.call('HMGET', KEYS[1], 'line', 'seq')
local line, seq = state[1], tonumber(state[2])
if not line or not seq then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  line, seq = ARGV[1], 0
end
local since = 0
if line == ARGV[2] then since = tonumber(ARGV[3]) end

for i = 4, #ARGV, 2 do
  seq = seq + 1
  redis.call('ZADD', KEYS[2], text(seq), ARGV[i])
  redis.call('HSET', KEYS[3], ARGV[i], text(now) .. ' ' .. ARGV[i + 1])
end
local over = redis.call('ZCARD', KEYS[2]) - ${CHANGES_MAX}
if over > 0 then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, over - 1)) do redis.call('HDEL', KEYS[3], name) end
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, over - 1)
end
redis.call('HSET', KEYS[1], 'line', line, 'seq', text(seq))
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ${FORGOTTEN_MS}) end

local names = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. text(since), '+inf', 'WITHSCORES', 'LIMIT', 0, ${ANSWERED_MAX})
local reply = {line, text(seq), 1}
if #names == 2 * ${ANSWERED_MAX} then reply[2], reply[3] = names[#names], 0 end
for i = 1, #names, 2 do
  local at, value = string.match(redis.call('HGET', KEYS[3], names[i]) or '', '^(%d+) (.*)$')
  if at then
    reply[#reply + 1] = names[i]
    reply[#reply + 1] = value
    reply[#reply + 1] = text(math.max(0, now - tonumber(at)))
  end
end
return reply
`,
};

/**
 * The right to probe, for one replica at a time.
 * KEYS: the right. ARGV: replica, milliseconds that it holds; 0 gives it back.
 * Returns: 0 where the caller has it (or gave it back), else the milliseconds that another still holds it.
 */
export const PROBE_SCRIPT: RedisScript = {
  name: 'resilience-probe',
  lua: `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return math.max(1, redis.call('PTTL', KEYS[1])) end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 0
`,
};
