#!lua flags=no-cluster
-- A model that was trained elsewhere: its record, ready at once, its place in the list,
-- and the artifact that was staged as attempt 0.
-- ARGV: id tenant name description sha256 most_models key fingerprint kept_ms
--       key: of a request that may be repeated, or empty
-- Returns what create does.
local id, tenant = ARGV[1], ARGV[2]
local staged = staged_of(id, 0)
local created = redis.call('HGET', record_of(id), 'created')
if created then
  redis.call('UNLINK', staged)
  return {'ok', tonumber(created)}
end
local once = ARGV[7] ~= '' and idempotent_of(tenant, ARGV[7])
local refusal = made_before(once, ARGV[8])
if not refusal and redis.call('ZCARD', models_of(tenant)) >= tonumber(ARGV[6]) then
  refusal = {'models_per_tenant', 0}
elseif not refusal and redis.call('EXISTS', staged) == 0 then
  refusal = {'no-data', 0}
end
if refusal then
  redis.call('UNLINK', staged)
  return refusal
end
local time = now()
redis.call('RENAME', staged, artifact_of(id))
redis.call('PERSIST', artifact_of(id))
redis.call('HSET', record_of(id), 'state', 'ready', 'tenant', tenant, 'name', ARGV[3],
  'description', ARGV[4], 'attempt', 0, 'attempts', 0, 'created', time, 'finished', time,
  'sha256', ARGV[5])
redis.call('ZADD', models_of(tenant), redis.call('INCR', 'mls:sequence'), id)
if once then redis.call('SET', once, ARGV[8] .. ':' .. id, 'PX', ARGV[9]) end
tell_state(id)
return {'ok', time}
