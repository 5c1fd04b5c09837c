-- Key names and steps that the scripts share; `keys.py` has the same names.
local OPEN, LEASES, DEADLINES, EXPIRIES, BYTES, PACE =
  'mls:open', 'mls:leases', 'mls:deadlines', 'mls:expiries', 'mls:bytes', 'mls:pace'

-- All times are the server's, in milliseconds: one clock for every process.
local function moment()
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000
end
local function now() return math.floor(moment()) end

local function record_of(id) return 'mls:model:' .. id end
local function data_of(id) return 'mls:data:' .. id end
local function artifact_of(id) return 'mls:artifact:' .. id end
local function staged_of(id, attempt) return 'mls:staged:' .. id .. ':' .. attempt end
local function events_of(id) return 'mls:events:' .. id end
local function idempotent_of(tenant, key) return 'mls:idempotent:' .. tenant .. ':' .. key end
local function open_of(tenant) return 'mls:open:' .. tenant end
local function bytes_of(tenant) return 'mls:bytes:' .. tenant end
local function models_of(tenant) return 'mls:models:' .. tenant end
local function alias_of(tenant, alias) return 'mls:alias:' .. tenant .. ':' .. alias end
local function history_of(tenant, alias) return 'mls:history:' .. tenant .. ':' .. alias end
local function aliases_of(tenant) return 'mls:aliases:' .. tenant end
local function grant_of(id) return 'mls:grant:' .. id end
local function rate_of(tenant) return 'mls:rate:' .. tenant end
local function aliases_at(id) return 'mls:aliased:' .. id end

local function overdue(set, id)
  local due = redis.call('ZSCORE', set, id)
  return due and tonumber(due) <= now()
end

-- Where arq's queue begins: 25 hours ago. arq compares with the worker's own clock, which
-- may be behind, so nothing stands later than a day ago.
local FRONT, END, STEP = 90000000, 86400000, 30000

-- Tenants take turns: a tenant's next training stands half a minute behind its last one that
-- waits, or in front. So who has none waiting comes before the rest of a flood, and who has many
-- waits an hour longer at most.
local function turn_of(tenant, queue)
  local front, last = moment() - FRONT, redis.call('ZRANGE', open_of(tenant), 0, 0, 'REV')[1]
  if not last then return front end
  -- A record that is broken must keep its tenant from nothing.
  local held = redis.pcall('HMGET', record_of(last), 'state', 'attempt')
  if held.err or held[1] ~= 'queued' then return front end
  local place = redis.call('ZSCORE', queue, last .. ':' .. ((tonumber(held[2]) or 0) + 1))
  return math.min(math.max(front, tonumber(place or 0) + STEP), moment() - END)
end

local function enqueue(queue, entry, payload, place)
  redis.call('SET', 'arq:job:' .. entry, payload)
  redis.call('DEL', 'arq:in-progress:' .. entry, 'arq:retry:' .. entry)
  redis.call('ZADD', queue, place or moment() - FRONT, entry)
  redis.call('PUBLISH', 'mls:queued', entry)
end

local function dequeue(queue, entry)
  redis.call('ZREM', queue, entry)
  redis.call('DEL', 'arq:job:' .. entry, 'arq:in-progress:' .. entry, 'arq:retry:' .. entry)
end

-- Adds an event, and wakes who waits for the model; whoever misses that reads again.
local function tell(id, kind, data)
  redis.call('XADD', events_of(id), 'MAXLEN', '~', 1000, '*', 'kind', kind, 'data', data)
  redis.call('PUBLISH', 'mls:changes', id)
end

-- Tells the state that a record has come to, which may be its last.
local function tell_state(id)
  local held = redis.call('HMGET', record_of(id), 'state', 'attempt')
  tell(id, 'state', '{"state":"' .. held[1] .. '","attempts":' .. held[2] .. '}')
  if held[1] ~= 'queued' and held[1] ~= 'training' then
    -- 10 minutes, for readers that were cut off.
    redis.call('PEXPIRE', events_of(id), 600000)
  end
end

-- What stands against a request whose key came before: another body, or the model that it made.
local function made_before(once, fingerprint)
  local first = once and redis.call('GET', once)
  -- The key of a model that is gone is free again.
  if not first or redis.call('EXISTS', record_of(string.sub(first, 66))) == 0 then return nil end
  if string.sub(first, 1, 64) ~= fingerprint then return {'other-body', 0} end
  return {'replayed', string.sub(first, 66)}
end

-- What a training holds while it is open: its data, its places in sets, its entry.
local function release(id, queue)
  local held = redis.call('HMGET', record_of(id), 'tenant', 'state', 'attempt', 'bytes')
  redis.call('UNLINK', data_of(id))
  redis.call('HDEL', record_of(id), 'claimant', 'progress', 'bytes')
  for _, sum in ipairs({BYTES, bytes_of(held[1])}) do
    if held[4] and redis.call('DECRBY', sum, held[4]) <= 0 then redis.call('DEL', sum) end
  end
  redis.call('ZREM', OPEN, id)
  redis.call('ZREM', open_of(held[1]), id)
  redis.call('ZREM', LEASES, id)
  redis.call('ZREM', DEADLINES, id)
  local attempt = tonumber(held[3])
  if held[2] == 'queued' then attempt = attempt + 1 end
  dequeue(queue, id .. ':' .. attempt)
end

-- How long one slot of each worker that lives would take for all that are queued.
local function time_to_wait()
  local seconds = now() / 1000
  local workers = redis.call('ZCOUNT', 'mls:workers', seconds - 15, seconds + 15)
  local pace = tonumber(redis.call('GET', PACE) or 1000)
  return math.ceil(redis.call('ZCARD', DEADLINES) * pace / math.max(workers, 1))
end

-- Notes how long an attempt took, the last ten counting most.
local function note_pace(took_ms)
  local pace = tonumber(redis.call('GET', PACE) or took_ms)
  redis.call('SET', PACE, math.ceil(pace + (took_ms - pace) / 10))
end
