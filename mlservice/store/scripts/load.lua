#!lua flags=no-writes,allow-oom,no-cluster
-- Reads a tenant's model in one step; of another tenant's no more than of one that there is not.
-- ARGV: id tenant
-- Returns state, digest and the artifact's pieces, or nothing.
local held = redis.call('HMGET', record_of(ARGV[1]), 'tenant', 'state', 'sha256')
if held[1] ~= ARGV[2] then return {} end
return {held[2], held[3] or '', redis.call('LRANGE', artifact_of(ARGV[1]), 0, -1)}
