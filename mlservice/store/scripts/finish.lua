#!lua flags=allow-oom,no-cluster
-- The only way to ready or failed: for a worker (attempt given) or a sweeper (guard given).
-- ARGV: id state attempt outcome description error sha256 guard retention_ms queue name piece
--       progress (JSON object) ...
--       state: what it must be in; attempt, description, error, guard, name may be empty
--       piece: the last of an artifact, whose others are staged; progress: not told by then
-- Returns ok, stale, not-due or no-artifact.
local id, attempt, outcome, guard = ARGV[1], ARGV[3], ARGV[4], ARGV[8]
local held = redis.call('HMGET', record_of(id), 'state', 'attempt', 'started')
local staged = staged_of(id, attempt)
if held[1] ~= ARGV[2] or (attempt ~= '' and held[2] ~= attempt) then
  redis.call('UNLINK', staged)
  return 'stale'
end
if guard ~= '' and not overdue('mls:' .. guard, id) then return 'not-due' end
if ARGV[12] ~= '' then redis.call('RPUSH', staged, ARGV[12]) end
if outcome == 'ready' and redis.call('EXISTS', staged) == 0 then return 'no-artifact' end
if attempt ~= '' and held[3] then note_pace(now() - held[3]) end
for i = 13, #ARGV do tell(id, 'progress', ARGV[i]) end
release(id, ARGV[10])
if outcome == 'ready' then
  redis.call('RENAME', staged, artifact_of(id))
  redis.call('PERSIST', artifact_of(id))
else
  redis.call('UNLINK', staged)
  redis.call('ZADD', EXPIRIES, now() + tonumber(ARGV[9]), id)
end
redis.call('HSET', record_of(id), 'state', outcome, 'error', ARGV[6], 'sha256', ARGV[7],
  'finished', now())
if ARGV[5] ~= '' then redis.call('HSET', record_of(id), 'description', ARGV[5]) end
if ARGV[11] ~= '' then redis.call('HSET', record_of(id), 'name', ARGV[11]) end
tell_state(id)
return 'ok'
