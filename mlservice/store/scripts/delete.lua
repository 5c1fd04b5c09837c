#!lua flags=allow-oom,no-cluster
-- A model in any state, and all that belongs to it. A worker that trains it finds
-- its next renewal refused and stops.
-- ARGV: id queue tenant (empty: whoever's it is)
-- Returns 1, 0 where the tenant has none, or -1 while an alias points at it.
local id = ARGV[1]
local held = redis.call('HMGET', record_of(id), 'tenant', 'state', 'attempt')
if not held[1] or (ARGV[3] ~= '' and ARGV[3] ~= held[1]) then return 0 end
if redis.call('EXISTS', aliases_at(id)) == 1 then return -1 end
release(id, ARGV[2])
redis.call('ZREM', models_of(held[1]), id)
redis.call('ZREM', EXPIRIES, id)
redis.call('UNLINK', record_of(id), artifact_of(id), events_of(id), staged_of(id, held[3]))
redis.call('PUBLISH', 'mls:changes', id)
return 1
