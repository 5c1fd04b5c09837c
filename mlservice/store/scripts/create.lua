#!lua flags=no-cluster
-- A record, its places in the sets, and arq's entry, all at once.
-- ARGV: id tenant name description attempts queue entry payload queue_timeout_ms
--       most_open most_open_of_tenant most_models key fingerprint kept_ms
--       key: of a request that may be repeated, or empty
-- Returns ok (also when this very call came before) and when the record was created;
-- or replayed and the id of the model that the key made; or what stands against it.
local id, tenant, queue = ARGV[1], ARGV[2], ARGV[6]
local created = redis.call('HGET', record_of(id), 'created')
if created then return {'ok', tonumber(created)} end
local once = ARGV[13] ~= '' and idempotent_of(tenant, ARGV[13])
local before = made_before(once, ARGV[14])
if before then
  redis.call('UNLINK', data_of(id))
  return before
end
local refusal
if redis.call('ZCARD', OPEN) >= tonumber(ARGV[10]) then refusal = 'open_trainings'
elseif redis.call('ZCARD', open_of(tenant)) >= tonumber(ARGV[11]) then
  refusal = 'open_trainings_per_tenant'
elseif redis.call('ZCARD', models_of(tenant)) >= tonumber(ARGV[12]) then
  refusal = 'models_per_tenant'
elseif redis.call('EXISTS', data_of(id)) == 0 then refusal = 'no-data' end
if refusal then
  redis.call('UNLINK', data_of(id))
  return {refusal, 0}
end
local time, place = now(), turn_of(tenant, queue)
redis.call('PERSIST', data_of(id))
redis.call('HSET', record_of(id), 'state', 'queued', 'tenant', tenant, 'name', ARGV[3],
  'description', ARGV[4], 'attempt', 0, 'attempts', ARGV[5], 'created', time)
redis.call('ZADD', OPEN, time, id)
redis.call('ZADD', open_of(tenant), moment(), id)
redis.call('ZADD', models_of(tenant), redis.call('INCR', 'mls:sequence'), id)
redis.call('ZADD', DEADLINES, time + tonumber(ARGV[9]), id)
if once then redis.call('SET', once, ARGV[14] .. ':' .. id, 'PX', ARGV[15]) end
enqueue(queue, ARGV[7], ARGV[8], place)
tell_state(id)
return {'ok', time}
