import type { RedisScript } from '../../platform/redis/redis-connection.js';

/** The first lines of both scripts: the server's own time, unless the caller brings one. */
const NOW = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/**
 * One organization's window, as in `SlidingWindow`: a hash of buckets, each field the time of its first
 * permit, each value `count * 1000 + (time of its last permit - time of its first)`.
 *
 * KEYS: the window. ARGV: now or '', limit, demand, spare, replicas, number of unreported pairs, then pairs
 * (age, permits), then pairs (bucket, permits) that are given back.
 * Returns: demand granted, spare granted, bucket, retry-after in ms.
 */
export const LEASE_SCRIPT: RedisScript = {
  name: 'limit-lease',
  lua: `${NOW}
local WINDOW, BUCKET, SKEW = 60000, 1000, 5000
local limit, demand, spare, replicas = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local reported_until = 6 + 2 * tonumber(ARGV[6])

local count, last, used = {}, {}, 0
local raw = redis.call('HGETALL', KEYS[1])
for i = 1, #raw, 2 do
  local start, packed = tonumber(raw[i]), tonumber(raw[i + 1])
  local ended = start + packed % 1000
  -- A bucket far in the future was counted by another server's clock and would never end.
  if ended + WINDOW <= now or start > now + SKEW then
    redis.call('HDEL', KEYS[1], raw[i])
  else
    count[start], last[start] = math.floor(packed / 1000), ended
    used = used + count[start]
  end
end

local function save(start)
  local field = string.format('%.0f', start)
  if count[start] <= 0 then
    redis.call('HDEL', KEYS[1], field)
    count[start], last[start] = nil, nil
  else
    redis.call('HSET', KEYS[1], field, string.format('%.0f', count[start] * 1000 + (last[start] - start)))
  end
end

local function add(at, permits)
  local bucket = at
  for start in pairs(count) do
    if start <= at and at < start + BUCKET then bucket = start end
  end
  count[bucket] = (count[bucket] or 0) + permits
  last[bucket] = math.max(last[bucket] or at, at)
  used = used + permits
  save(bucket)
  return bucket
end

for i = reported_until + 1, #ARGV, 2 do
  local start, permits = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if count[start] then
    local taken = math.min(permits, count[start])
    count[start] = count[start] - taken
    used = used - taken
    save(start)
  end
end
for i = 7, reported_until, 2 do
  local age, permits = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if age < WINDOW and permits > 0 then add(now - math.max(age, 0), permits) end
end

local free = math.max(0, limit - used)
local demand_granted = math.min(demand, free)
local spare_granted = math.min(spare, math.floor((free - demand_granted) / math.max(1, replicas)))
local bucket = 0
if demand_granted + spare_granted > 0 then bucket = add(now, demand_granted + spare_granted) end

local retry_after = 0
if demand_granted < demand then
  local starts = {}
  for start in pairs(count) do starts[#starts + 1] = start end
  table.sort(starts)
  local remaining = used
  retry_after = WINDOW
  for _, start in ipairs(starts) do
    remaining = remaining - count[start]
    if remaining < limit then
      retry_after = math.max(1, last[start] + WINDOW - now)
      break
    end
  end
end
redis.call('PEXPIRE', KEYS[1], WINDOW + BUCKET + SKEW)
return { demand_granted, spare_granted, bucket, retry_after }
`,
};

/**
 * KEYS: replicas (sorted set, by last heartbeat), epoch. ARGV: now or '', replica id, epoch to set if there is none.
 * Returns: number of replicas, epoch.
 */
export const HEARTBEAT_SCRIPT: RedisScript = {
  name: 'limit-heartbeat',
  lua: `${NOW}
local SILENCE = 5000
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - SILENCE))
redis.call('ZREMRANGEBYSCORE', KEYS[1], string.format('%.0f', now + SILENCE), '+inf')
redis.call('PEXPIRE', KEYS[1], 2 * SILENCE)
redis.call('SET', KEYS[2], ARGV[3], 'NX')
return { redis.call('ZCARD', KEYS[1]), redis.call('GET', KEYS[2]) }
`,
};

/** KEYS: replicas. ARGV: replica id. */
export const LEAVE_SCRIPT: RedisScript = {
  name: 'limit-leave',
  lua: `return redis.call('ZREM', KEYS[1], ARGV[1])`,
};
