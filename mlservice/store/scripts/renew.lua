#!lua flags=allow-oom,no-cluster
-- Keeps a lease. Returns 0 when the training is no longer this attempt's: stop it.
-- ARGV: id attempt lease_ms
local held = redis.call('HMGET', record_of(ARGV[1]), 'state', 'attempt')
if held[1] ~= 'training' or held[2] ~= ARGV[2] then return 0 end
redis.call('ZADD', LEASES, now() + tonumber(ARGV[3]), ARGV[1])
return 1
