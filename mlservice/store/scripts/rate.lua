#!lua flags=allow-oom,no-cluster
-- GCRA for all processes together: one more of a tenant's, unless it is one too many.
-- ARGV: tenant interval_ms period_ms
-- Returns how many are left, and how many milliseconds to wait if it was one too many.
local key, interval, period = rate_of(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = now()
local held = tonumber(redis.call('GET', key) or time)
-- More than a period ahead it was written before the clock went back, and says nothing any more:
-- whoever is refused writes nothing, and would be until that time comes again.
if held > time + period then held = time end
local due = math.max(held, time) + interval
local over = due - time - period
if over > 0 then return {0, math.ceil(over)} end
redis.call('SET', key, due, 'PX', math.ceil(due - time))
return {math.floor(-over / interval), 0}
