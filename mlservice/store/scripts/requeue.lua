#!lua flags=allow-oom,no-cluster
-- training -> queued: the worker stops (no guard), or its lease ran out (guard leases).
-- ARGV: id attempt guard queue entry payload queue_timeout_ms
-- Returns ok, stale, not-due or exhausted (the caller then ends the training).
local id, attempt, guard, queue = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local held = redis.call('HMGET', record_of(id), 'state', 'attempt', 'attempts')
if held[1] ~= 'training' or held[2] ~= attempt then return 'stale' end
if guard == '' then
  -- A worker that is told to stop uses up no attempt.
  redis.call('HINCRBY', record_of(id), 'attempts', 1)
elseif not overdue('mls:' .. guard, id) then return 'not-due'
elseif tonumber(attempt) >= tonumber(held[3]) then return 'exhausted' end
redis.call('ZREM', LEASES, id)
redis.call('ZADD', DEADLINES, now() + tonumber(ARGV[7]), id)
redis.call('HSET', record_of(id), 'state', 'queued')
redis.call('HDEL', record_of(id), 'claimant', 'started', 'progress')
dequeue(queue, id .. ':' .. attempt)
enqueue(queue, ARGV[5], ARGV[6])
tell_state(id)
return 'ok'
