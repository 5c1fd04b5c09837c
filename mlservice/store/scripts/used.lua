#!lua flags=allow-oom,no-cluster
-- Notes when a key was used last, unless it was revoked meanwhile.
-- ARGV: id
local key = grant_of(ARGV[1])
if redis.call('EXISTS', key) == 1 then redis.call('HSET', key, 'used', now()) end
return 1
