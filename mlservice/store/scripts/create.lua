#!lua flags=no-cluster
-- A record, its places in the sets, and arq's entry, all at once.
-- ARGV: id tenant name description attempts queue entry payload queue_timeout_ms
--       most_open most_open_of_tenant most_models key fingerprint kept_ms
--       most_bytes most_bytes_of_tenant piece size
--       key: of a request that may be repeated, or empty; piece: the body's last, or empty;
--       size: of the whole body
-- Returns ok (also when this very call came before) and when the record was created;
-- or replayed and the id of the model that the key made; or what stands against it, and
-- how long one slot of each worker would take for all that are queued.
local id, tenant, queue = ARGV[1], ARGV[2], ARGV[6]
local created = redis.call('HGET', record_of(id), 'created')
if created then return {'ok', tonumber(created)} end
local once = ARGV[13] ~= '' and idempotent_of(tenant, ARGV[13])
local before = made_before(once, ARGV[14])
if before then
  redis.call('UNLINK', data_of(id))
  return before
end
if ARGV[18] ~= '' then redis.call('RPUSH', data_of(id), ARGV[18]) end
local pieces, size = redis.call('LLEN', data_of(id)), tonumber(ARGV[19])
local function bytes_in(sum) return tonumber(redis.call('GET', sum) or 0) + size end
local refusal
if redis.call('ZCARD', OPEN) >= tonumber(ARGV[10]) then refusal = 'open_trainings'
elseif redis.call('ZCARD', open_of(tenant)) >= tonumber(ARGV[11]) then
  refusal = 'open_trainings_per_tenant'
elseif redis.call('ZCARD', models_of(tenant)) >= tonumber(ARGV[12]) then
  refusal = 'models_per_tenant'
elseif pieces == 0 then refusal = 'no-data'
elseif bytes_in(BYTES) > tonumber(ARGV[16]) then refusal = 'open_bytes'
elseif bytes_in(bytes_of(tenant)) > tonumber(ARGV[17]) then
  refusal = 'open_bytes_per_tenant' end
if refusal then
  redis.call('UNLINK', data_of(id))
  return {refusal, time_to_wait()}
end
local time, place = now(), turn_of(tenant, queue)
redis.call('PERSIST', data_of(id))
redis.call('HSET', record_of(id), 'state', 'queued', 'tenant', tenant, 'name', ARGV[3],
  'description', ARGV[4], 'attempt', 0, 'attempts', ARGV[5], 'created', time,
  'bytes', size)
redis.call('INCRBY', BYTES, size)
redis.call('INCRBY', bytes_of(tenant), size)
redis.call('ZADD', OPEN, time, id)
redis.call('ZADD', open_of(tenant), moment(), id)
redis.call('ZADD', models_of(tenant), redis.call('INCR', 'mls:sequence'), id)
redis.call('ZADD', DEADLINES, time + tonumber(ARGV[9]), id)
if once then redis.call('SET', once, ARGV[14] .. ':' .. id, 'PX', ARGV[15]) end
enqueue(queue, ARGV[7], ARGV[8], place)
tell_state(id)
return {'ok', time}
