import type { RedisScript } from '../../platform/redis/redis-connection.js';

/** One hash tag: all of it lives on one server, and a script may touch it in one step. */
export const RELAY_KEYS = [
  'shunt:{tenancy}:state',
  'shunt:{tenancy}:changes',
  'shunt:{tenancy}:standings',
  'shunt:{tenancy}:alive',
] as const;

/** Changes that are kept; a replica that was away for longer must ask the database itself. */
export const RELAYED_MAX = 10_000;
export const FOLLOWED_MAX = 1_000;

/**
 * What a replica that sees the database knows. `state` holds the line (which life of the server), the version, the
 * floor (every change after it is here), the global switch
 * and how many changes there are, since a server that is short of memory may throw away a part; `changes` the version of each organization's latest
 * change; `standings` its status and hold; `alive`, which ends by itself, that somebody reaches the database.
 *
 * KEYS: as above. ARGV: line, from, version, routing, anew (1: the counter went back), milliseconds that `alive`
 * holds, then organization, version, status, hold for each change.
 * Returns: 1 and the version that stands now; 0 where this is older than that, and nothing was written.
 */
export const RELAY_SCRIPT: RedisScript = {
  name: 'tenancy-relay',
  lua: `
local DAY, MAX = 86400000, ${RELAYED_MAX}
local line, from, version = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function text(number) return string.format('%.0f', number) end

local function count() return redis.call('ZCARD', KEYS[2]) .. ' ' .. redis.call('HLEN', KEYS[3]) end

local state = redis.call('HMGET', KEYS[1], 'line', 'version', 'floor', 'count')
local stands, floor = tonumber(state[2]), tonumber(state[3])
if state[1] ~= line or ARGV[5] == '1' or not stands or not floor or state[4] ~= count() then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
  stands, floor = from, from
elseif version < stands then
  return {0, text(stands)}
elseif from > stands then
  -- Nobody told what happened in between.
  floor = from
elseif from < floor and version >= floor then
  floor = from
end

for i = 7, #ARGV, 4 do
  local org, changed = ARGV[i], tonumber(ARGV[i + 1])
  local present = tonumber(redis.call('ZSCORE', KEYS[2], org) or '-1')
  if changed >= present then
    redis.call('ZADD', KEYS[2], text(changed), org)
    redis.call('HSET', KEYS[3], org, ARGV[i + 1] .. ' ' .. ARGV[i + 2] .. ' ' .. ARGV[i + 3])
  end
end
local over = redis.call('ZCARD', KEYS[2]) - MAX
if over > 0 then
  local oldest = redis.call('ZRANGE', KEYS[2], 0, over - 1, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    redis.call('HDEL', KEYS[3], oldest[i])
    floor = math.max(floor, tonumber(oldest[i + 1]))
  end
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, over - 1)
end

redis.call('HSET', KEYS[1], 'line', line, 'version', text(version), 'floor', text(floor), 'routing', ARGV[4],
  'count', count())
local alive = tonumber(ARGV[6])
if alive > 0 and redis.call('PTTL', KEYS[4]) < alive then
  redis.call('SET', KEYS[4], '1', 'PX', text(alive))
end
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], DAY) end
return {1, text(version)}
`,
};

/**
 * What a replica that does not see the database can learn.
 * KEYS: as above. ARGV: version up to which the replica knows everything.
 * Returns: nothing where Redis knows nothing; else line, version, floor, routing, milliseconds that `alive` still
 * holds (0: gone), then organization, 'version status hold' for each change after that version, the oldest first.
 */
export const FOLLOW_SCRIPT: RedisScript = {
  name: 'tenancy-follow',
  lua: `
local state = redis.call('HMGET', KEYS[1], 'line', 'version', 'floor', 'routing', 'count')
if not (state[1] and state[2] and state[3] and state[4]) then return {} end
if state[5] ~= redis.call('ZCARD', KEYS[2]) .. ' ' .. redis.call('HLEN', KEYS[3]) then return {} end
local alive = math.max(redis.call('PTTL', KEYS[4]), 0)
local reply = {state[1], state[2], state[3], state[4], tostring(alive)}
local orgs = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'LIMIT', 0, ${FOLLOWED_MAX})
for _, org in ipairs(orgs) do
  local standing = redis.call('HGET', KEYS[3], org)
  if standing then
    reply[#reply + 1] = org
    reply[#reply + 1] = standing
  end
end
return reply
`,
};
