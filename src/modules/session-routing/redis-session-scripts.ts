import type { RedisScript } from '../../platform/redis/redis-connection.js';

/** KEYS: session. Returns: session or ''. */
export const FIND_SESSION: RedisScript = {
  name: 'session-find',
  lua: `return redis.call('GET', KEYS[1]) or ''`,
};

/**
 * The later write stands, but for who answered and the answers shown: of these it takes in what is there, as
 * `withAnswersOf` does, for two replicas may have answered calls of the session at the same time.
 *
 * KEYS: session. ARGV: session, time to live in ms, where who answered stands in it, where the answers shown.
 */
export const NOTE_SESSION: RedisScript = {
  name: 'session-note',
  lua: `
    local session = ARGV[1]
    local by, shown = tonumber(ARGV[3]), tonumber(ARGV[4])
    local held = redis.call('GET', KEYS[1])
    local read, before = pcall(cjson.decode, held or '')
    local after = cjson.decode(session)
    if read and type(before) == 'table' and before[1] == after[1] then
      local same = type(before[by]) == 'table' and type(after[by]) == 'table'
        and before[by][1] == after[by][1] and before[by][2] == after[by][2]
      if not same then after[by] = cjson.null end
      after[shown] = math.max(after[shown], tonumber(before[shown]) or 0)
      session = cjson.encode(after)
    end
    redis.call('SET', KEYS[1], session, 'PX', ARGV[2])
    return 1
  `,
};
