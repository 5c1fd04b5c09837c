#!lua flags=no-cluster
-- Points an alias at a model, if the model is ready and the alias is where it was said to be.
-- ARGV: tenant alias id tags (one of which it must have, with commas; 0: none yet; *: any; empty:
--       any or none yet) most_history
-- Returns ok, the state of a model that is not ready, absent, or moved.
local tenant, alias, id = ARGV[1], ARGV[2], ARGV[3]
local key, history = alias_of(tenant, alias), history_of(tenant, alias)
local held = redis.call('HMGET', key, 'model', 'revision')
-- The time tells it from an alias of the same name that was deleted.
local moved = string.match(redis.call('LINDEX', history, 0) or '', '%d+$')
local tag = held[2] and (held[2] .. '-' .. (moved or '')) or '0'
local is_there = held[2] and ARGV[4] == '*'
if ARGV[4] ~= '' and not is_there and not string.find(',' .. ARGV[4] .. ',', ',' .. tag .. ',', 1, true)
then return 'moved' end
local target = redis.call('HMGET', record_of(id), 'tenant', 'state')
if target[1] ~= tenant then return 'absent' end
if target[2] ~= 'ready' then return target[2] end
-- Asked for once more, it is where it was, and so is what it pointed at before.
if held[1] == id then return 'ok' end
if held[1] then redis.call('SREM', aliases_at(held[1]), alias) end
redis.call('SADD', aliases_at(id), alias)
redis.call('SADD', aliases_of(tenant), alias)
redis.call('HSET', key, 'model', id)
redis.call('LPUSH', history, id .. ' ' .. now())
redis.call('LTRIM', history, 0, tonumber(ARGV[5]) - 1)
redis.call('HINCRBY', key, 'revision', 1)
return 'ok'
