"""What is done to session records inside Redis, in one step each.

A record is a hash (value, revision, idle and absolute time, whether it ended); beside it stands
one sorted set of when each is due. All names of an installation share a hash tag, so that they
lie in one slot of a cluster and a script may touch several of them. Each script can run twice
without harm, because a connection that breaks leaves open whether it ran: a value is sealed
anew every time, so a value that is there already was written by the very same call. Times are
milliseconds since the epoch, and travel as text, since Lua would round them.
"""

_OPENING = """
local record, due = KEYS[1], KEYS[2]
local name, channel = ARGV[1], ARGV[2]
local function told(revision, ended)
    redis.call('PUBLISH', channel, name .. ' ' .. revision .. ' ' .. ended)
end
local function later(one, other)
    if tonumber(one) > tonumber(other) then return one else return other end
end
local function sooner(one, other)
    if tonumber(one) < tonumber(other) then return one else return other end
end
local function next(revision)
    return string.format('%.0f', tonumber(revision) + 1)
end
local function bury(revision, absolute, keep)
    redis.call('HSET', record, 'v', '', 'r', revision, 'i', absolute, 'a', absolute, 'e', '1')
    redis.call('PEXPIRE', record, keep)
    redis.call('ZADD', due, absolute, name)
    told(revision, '1')
end
"""

CREATE = (
    _OPENING
    + """
local value, revision, idle, absolute, keep = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local held = redis.call('HMGET', record, 'v', 'r')
if held[2] then
    if held[1] == value then return held[2] end
    return false
end
redis.call('HSET', record, 'v', value, 'r', revision, 'i', idle, 'a', absolute, 'e', '0')
redis.call('PEXPIRE', record, keep)
redis.call('ZADD', due, sooner(idle, absolute), name)
told(revision, '0')
return revision
"""
)
"""The revision; nil where there is a record of another value, or a tombstone."""

READ = "return redis.call('HMGET', KEYS[1], 'v', 'r', 'i', 'a', 'e')"

REPLACE = (
    _OPENING
    + """
local value, revision = ARGV[3], ARGV[4]
local held = redis.call('HMGET', record, 'v', 'r', 'i', 'a', 'e')
if held[5] ~= '0' then return false end
if held[1] ~= value then
    if held[2] ~= revision then return false end
    held[1], held[2] = value, next(revision)
    redis.call('HSET', record, 'v', value, 'r', held[2])
    told(held[2], '0')
end
return held
"""
)
"""The record as it is now; nil where another revision is held, or none."""

END = (
    _OPENING
    + """
local absolute, keep, revision = ARGV[3], ARGV[4], ARGV[5]
local held = redis.call('HMGET', record, 'v', 'r', 'i', 'a', 'e')
if held[5] == '1' then return false end
if not held[2] then held = {'', revision, absolute, absolute, '1'} end
local longer = later(absolute, held[4])
bury(next(held[2]), longer, later(keep, redis.call('PTTL', record)))
return held
"""
)
"""What was there last; nil where it had ended."""

EXPIRE = (
    _OPENING
    + """
local now = tonumber(ARGV[3])
local held = redis.call('HMGET', record, 'v', 'r', 'i', 'a', 'e')
if not held[2] or (held[5] == '1' and tonumber(held[4]) <= now) then
    redis.call('DEL', record)
    redis.call('ZREM', due, name)
    return false
end
if held[5] == '1' or tonumber(sooner(held[3], held[4])) > now then return false end
bury(next(held[2]), held[4], redis.call('PTTL', record))
return held
"""
)
"""The record that this has ended; nil where there was none to end."""

TOUCH = """
local due, idle, missing = KEYS[#KEYS], ARGV[1], {}
for number = 1, #KEYS - 1 do
    local held = redis.call('HMGET', KEYS[number], 'i', 'a', 'e')
    if held[3] ~= '0' then
        missing[#missing + 1] = number
    elseif tonumber(held[1]) < tonumber(idle) then
        redis.call('HSET', KEYS[number], 'i', idle)
        local first = idle
        if tonumber(held[2]) < tonumber(idle) then first = held[2] end
        redis.call('ZADD', due, first, ARGV[number + 1])
    end
end
return missing
"""
"""The numbers, from 1, of keys under which no record lives."""

LEASE = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1
"""
"""1 where the right is the caller's now."""

ALL = (CREATE, READ, REPLACE, END, EXPIRE, TOUCH, LEASE)
