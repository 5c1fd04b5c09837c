#!lua flags=no-cluster
-- Points an alias at a model, if the model is ready and the alias is where it was said to be.
-- ARGV: tenant alias id revision (that it must have; empty: any) most_history
-- Returns ok and the new revision, the state of a model that is not ready, absent, or moved.
local tenant, alias, id = ARGV[1], ARGV[2], ARGV[3]
local key, history = alias_of(tenant, alias), history_of(tenant, alias)
local held = redis.call('HMGET', key, 'model', 'revision')
if ARGV[4] ~= '' and ARGV[4] ~= (held[2] or '0') then return {'moved', held[2] or '0'} end
local target = redis.call('HMGET', record_of(id), 'tenant', 'state')
if target[1] ~= tenant then return {'absent', 0} end
if target[2] ~= 'ready' then return {target[2], 0} end
if held[1] then redis.call('SREM', aliases_at(held[1]), alias) end
redis.call('SADD', aliases_at(id), alias)
redis.call('SADD', aliases_of(tenant), alias)
redis.call('HSET', key, 'model', id)
redis.call('LPUSH', history, id .. ' ' .. now())
redis.call('LTRIM', history, 0, tonumber(ARGV[5]) - 1)
return {'ok', redis.call('HINCRBY', key, 'revision', 1)}
