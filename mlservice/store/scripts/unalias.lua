#!lua flags=allow-oom,no-cluster
-- Removes an alias and its history. Returns 0 where there was none.
-- ARGV: tenant alias
local key = alias_of(ARGV[1], ARGV[2])
local model = redis.call('HGET', key, 'model')
if not model then return 0 end
redis.call('SREM', aliases_at(model), ARGV[2])
redis.call('SREM', aliases_of(ARGV[1]), ARGV[2])
redis.call('UNLINK', key, history_of(ARGV[1], ARGV[2]))
return 1
