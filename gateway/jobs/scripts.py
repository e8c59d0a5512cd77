"""The steps of a job that must be whole or not at all, as Lua that Redis runs; `store.py` calls them.

All keys begin with KEYS[1], whose braces put them into one slot of a cluster; the scripts make the others from it:

    ROOT:requests           hash     caller and request_id → job
    ROOT:callers:CALLER     zset     the caller's jobs; their names sort by time
    ROOT:active             hash     job that runs → caller
    ROOT:ends               zset     upload or ended job → when it is removed, ms
    ROOT:bytes              hash     "all" and "of:CALLER" → bytes of articles taken in
    ROOT:JOB:meta           hash     state, counts, times, options
    ROOT:JOB:articles       hash     index → article, until its result is there
    ROOT:JOB:followers      hash     index → indices of its duplicates
    ROOT:JOB:todo           stream   indices of articles, read by the consumer group "workers"
    ROOT:JOB:results        hash     index → result
    ROOT:JOB:order          list     indices, in the order of their results

A key that is not there is nothing; no key has a time to live, so that a Redis which evicts such keys does no harm.
"""

_HEAD = """
local root, job = KEYS[1], ARGV[1]
local function of(part) return root .. ':' .. job .. ':' .. part end
local function get(field) return redis.call('HGET', of('meta'), field) end
local function number(field) return tonumber(get(field) or '0') end
local function finish(state, now, keep_ms)
  redis.call('HSET', of('meta'), 'state', state, 'ended', now, 'updated', now)
  redis.call('ZADD', root .. ':ends', now + keep_ms, job)
  redis.call('HDEL', root .. ':active', job)
  redis.call('UNLINK', of('todo'), of('articles'), of('followers'))
end
"""

STAGE = (
    _HEAD
    + """
-- Take in some articles of an upload: when it expires, bytes, limits of the caller and of all; three lists, each after
-- its length: (index, article), index to be done, (index, result). Returns 'ok', 'gone', or whose limit is reached.
local expires, bytes, caller_limit, all_limit = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if get('state') ~= 'UPLOADING' then return 'gone' end
local mine, used = 'of:' .. get('caller'), root .. ':bytes'
if tonumber(redis.call('HGET', used, mine) or '0') + bytes > caller_limit then return 'caller' end
if tonumber(redis.call('HGET', used, 'all') or '0') + bytes > all_limit then return 'all' end
redis.call('HINCRBY', used, mine, bytes)
redis.call('HINCRBY', used, 'all', bytes)
redis.call('HINCRBY', of('meta'), 'bytes', bytes)
redis.call('ZADD', root .. ':ends', expires, job)
local at = 6
local function each(width, what)
  local last = at + tonumber(ARGV[at]) * width
  at = at + 1
  while at <= last do what(ARGV[at], ARGV[at + 1]); at = at + width end
end
each(2, function(index, article) redis.call('HSET', of('articles'), index, article) end)
each(1, function(index) redis.call('XADD', of('todo'), '*', 'i', index) end)
each(2, function(index, result)
  if redis.call('HSETNX', of('results'), index, result) == 1 then redis.call('RPUSH', of('order'), index) end
end)
return 'ok'
"""
)

BEGIN = (
    _HEAD
    + """
-- Make a job of an upload: field of the request, digest, limits in jobs, now, articles, of them failed, keep.
-- Returns the job's name, or that of the request's job that there is; 'gone'; 'caller' or 'all' for a limit.
local field, digest, caller_limit, all_limit = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local now, articles, failed, keep_ms = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local known = redis.call('HGET', root .. ':requests', field)
if known then return known end
if get('state') ~= 'UPLOADING' then return 'gone' end
local jobs = root .. ':callers:' .. get('caller')
if redis.call('ZCARD', jobs) >= caller_limit then return 'caller' end
if redis.call('HLEN', root .. ':requests') >= all_limit then return 'all' end
redis.call('HSET', root .. ':requests', field, job)
redis.call('ZADD', jobs, 0, job)
redis.call('HSET', of('meta'), 'state', 'RUNNING', 'request', field, 'digest', digest, 'articles', articles,
  'failed', failed, 'created', now, 'updated', now)
if failed == articles then
  finish('ENDED', now, keep_ms)
else
  redis.call('XGROUP', 'CREATE', of('todo'), 'workers', '0', 'MKSTREAM')
  redis.call('HSET', root .. ':active', job, get('caller'))
  redis.call('ZREM', root .. ':ends', job)
end
return job
"""
)

CLAIM = (
    _HEAD
    + """
-- Take over articles whose worker has not been heard of: consumer, idle ms, how many.
-- Returns (entry, index, times it was taken) of each.
if redis.call('EXISTS', of('todo')) == 0 then return {} end
local found = {}
for _, entry in ipairs(redis.call('XAUTOCLAIM', of('todo'), 'workers', ARGV[2], ARGV[3], '0-0', 'COUNT', ARGV[4])[2]) do
  local pending = redis.call('XPENDING', of('todo'), 'workers', entry[1], entry[1], 1)
  found[#found + 1] = {entry[1], entry[2][2], pending[1][4]}
end
return found
"""
)

RENEW = (
    _HEAD
    + """
-- Say that a worker still has its articles: consumer, entries. Returns the entries that it has no longer, because the
-- job was cancelled or another has claimed them.
local lost = {}
for at = 3, #ARGV do
  local held = redis.call('EXISTS', of('todo')) == 1
    and redis.call('XPENDING', of('todo'), 'workers', ARGV[at], ARGV[at], 1)[1]
  if held and held[2] == ARGV[2] then
    redis.call('XCLAIM', of('todo'), 'workers', ARGV[2], 0, ARGV[at], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[at]
  end
end
return lost
"""
)

RELEASE = (
    _HEAD
    + """
-- Give articles back at once, as if they had not been taken: consumer, entries.
for at = 3, #ARGV do
  local held = redis.call('EXISTS', of('todo')) == 1
    and redis.call('XPENDING', of('todo'), 'workers', ARGV[at], ARGV[at], 1)[1]
  if held and held[2] == ARGV[2] then
    redis.call('XCLAIM', of('todo'), 'workers', 'released', 0, ARGV[at],
      'IDLE', 86400000, 'RETRYCOUNT', math.max(held[4] - 1, 0), 'JUSTID')
  end
end
"""
)

SETTLE = (
    _HEAD
    + """
-- Keep results, each counted once however often it comes: entry that is done with them or '', now, keep; two lists,
-- each after its length: (index, result, failed, flagged, duplicate), index to be done on its own. Returns the state.
local entry, now, keep_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local state = get('state') or ''
if state ~= 'RUNNING' then return state end
local at, last = 6, 5 + tonumber(ARGV[5]) * 5
while at <= last do
  local index, failed = ARGV[at], tonumber(ARGV[at + 2])
  if redis.call('HSETNX', of('results'), index, ARGV[at + 1]) == 1 then
    redis.call('RPUSH', of('order'), index)
    redis.call('HINCRBY', of('meta'), failed == 1 and 'failed' or 'done', 1)
    redis.call('HINCRBY', of('meta'), 'flagged', ARGV[at + 3])
    redis.call('HINCRBY', of('meta'), 'duplicates', ARGV[at + 4])
    redis.call('HSET', of('meta'), 'updated', now)
    redis.call('HDEL', of('articles'), index)
  end
  at = at + 5
end
-- Said again after a time limit, what it began is not begun twice.
if entry == '' or redis.call('XACK', of('todo'), 'workers', entry) == 1 then
  for alone = at + 1, at + tonumber(ARGV[at]) do redis.call('XADD', of('todo'), '*', 'i', ARGV[alone]) end
end
if entry ~= '' then redis.call('XDEL', of('todo'), entry) end
if number('done') + number('failed') == number('articles') then finish('ENDED', now, keep_ms) end
return get('state')
"""
)

CANCEL = (
    _HEAD
    + """
-- Stop a job that runs: now, keep.
if get('state') == 'RUNNING' then finish('CANCELLED', tonumber(ARGV[2]), tonumber(ARGV[3])) end
"""
)

REMOVE = (
    _HEAD
    + """
-- Remove a job or an upload, unless it runs: now. With now above 0, only if its time has come. Returns its state.
local now, state, caller = tonumber(ARGV[2]), get('state') or '', get('caller')
if now > 0 then
  local ends = redis.call('ZSCORE', root .. ':ends', job)
  if not ends or tonumber(ends) > now then return state end
end
redis.call('ZREM', root .. ':ends', job)
if state == 'RUNNING' or state == '' then return state end
local less = 0 - number('bytes')  -- not the minus sign alone: of 0 it makes "-0", which is no number to Redis
redis.call('HINCRBY', root .. ':bytes', 'of:' .. caller, less)
redis.call('HINCRBY', root .. ':bytes', 'all', less)
if state ~= 'UPLOADING' then
  redis.call('HDEL', root .. ':requests', get('request'))
  redis.call('ZREM', root .. ':callers:' .. caller, job)
end
redis.call('UNLINK', of('meta'), of('articles'), of('followers'), of('todo'), of('results'), of('order'))
return state
"""
)
