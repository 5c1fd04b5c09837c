#!lua flags=allow-oom,no-cluster
-- What a sweep has to act on; each step checks again for itself.
-- ARGV: queue lock_ms lock_grace_ms lease_ms queue_timeout_ms
-- Returns lists of ids: leases run out, waited too long, entry lost, record expired.
local time, most = now(), 100
local function due(set) return redis.call('ZRANGE', set, '-inf', time, 'BYSCORE', 'LIMIT', 0, most) end

local function entry_is_lost(id)
  -- A record that is broken must not keep the others from being seen.
  local attempt = redis.pcall('HGET', record_of(id), 'attempt')
  local entry = id .. ':' .. ((tonumber(attempt) or 0) + 1)
  if not redis.call('ZSCORE', ARGV[1], entry) then return true end
  if redis.call('EXISTS', 'arq:job:' .. entry) == 0 then return true end
  -- A worker claims within milliseconds of locking; one that did not has died.
  local left = redis.call('PTTL', 'arq:in-progress:' .. entry)
  return left >= 0 and tonumber(ARGV[2]) - left > tonumber(ARGV[3])
end

-- What ends later than it can was written before the clock went back.
local function cap(set, most_ms)
  for _, id in ipairs(redis.call('ZRANGE', set, '(' .. time + most_ms, '+inf', 'BYSCORE')) do
    redis.call('ZADD', set, time + most_ms, id)
  end
end

cap(LEASES, tonumber(ARGV[4]))
cap(DEADLINES, tonumber(ARGV[5]))
local lost = {}
for _, id in ipairs(redis.call('ZRANGE', DEADLINES, 0, -1)) do
  if #lost < most and entry_is_lost(id) then lost[#lost + 1] = id end
end
return {due(LEASES), due(DEADLINES), lost, due(EXPIRIES)}
