#!lua flags=no-cluster
-- Notes how far an attempt's fit is, if the training is still this attempt's.
-- ARGV: id attempt progress (JSON object) ...
local id = ARGV[1]
local held = redis.call('HMGET', record_of(id), 'state', 'attempt')
if held[1] ~= 'training' or held[2] ~= ARGV[2] then return 0 end
redis.call('HSET', record_of(id), 'progress', ARGV[#ARGV])
for i = 3, #ARGV do tell(id, 'progress', ARGV[i]) end
return 1
