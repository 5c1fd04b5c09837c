#!lua flags=no-cluster
-- Puts back the entry of a queued training that arq lost, or that a worker locked
-- and never claimed.
-- ARGV: id attempt queue entry payload
local held = redis.call('HMGET', record_of(ARGV[1]), 'state', 'attempt')
if held[1] ~= 'queued' or held[2] ~= ARGV[2] then return 0 end
enqueue(ARGV[3], ARGV[4], ARGV[5])
return 1
