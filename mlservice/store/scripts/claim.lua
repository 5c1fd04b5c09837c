#!lua flags=no-cluster
-- queued -> training, for the one worker that comes first with the next attempt.
-- ARGV: id attempt claimant lease_ms
-- Returns ok, stale, or no-data (the caller then ends the training).
local id, attempt = ARGV[1], ARGV[2]
-- A record that is broken is not ours to train.
local held = redis.pcall('HMGET', record_of(id), 'state', 'attempt', 'claimant')
if held.err then return 'stale' end
if held[1] == 'training' and held[2] == attempt and held[3] == ARGV[3] then return 'ok' end
if held[1] ~= 'queued' or (tonumber(held[2]) or -1) + 1 ~= tonumber(attempt) then return 'stale' end
if redis.call('EXISTS', data_of(id)) == 0 then return 'no-data' end
local time = now()
redis.call('HSET', record_of(id),
  'state', 'training', 'attempt', attempt, 'claimant', ARGV[3], 'started', time)
redis.call('ZADD', LEASES, time + tonumber(ARGV[4]), id)
redis.call('ZREM', DEADLINES, id)
tell_state(id)
return 'ok'
