#!lua flags=allow-oom,no-cluster
-- queued or training -> cancelled. A worker that trains it finds its next renewal
-- refused, and kills the fit.
-- ARGV: id queue retention_ms tenant
-- Returns ok, the state that it had ended in, or nothing where the tenant has no such model.
local id = ARGV[1]
local held = redis.call('HMGET', record_of(id), 'state', 'attempt', 'tenant')
if held[3] ~= ARGV[4] then return '' end
if held[1] ~= 'queued' and held[1] ~= 'training' then return held[1] end
release(id, ARGV[2])
redis.call('UNLINK', staged_of(id, held[2]))
redis.call('ZADD', EXPIRIES, now() + tonumber(ARGV[3]), id)
redis.call('HSET', record_of(id), 'state', 'cancelled', 'finished', now())
tell_state(id)
return 'ok'
