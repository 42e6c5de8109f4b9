-- Sends ready-made requests in a given order, and reports in one line of JSON.
--
-- Arguments: a file of writes, a file of reads ("-" for none), a file with the numbers of the keys to ask for, and every
-- how manieth request is a write (0 for none). Both files of requests hold, for one key after the other, the length of
-- the request in a line of its own, the request, and a line feed.

local threads = 0

function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

local function read_requests(path)
  local requests = {}
  if path == "-" then return requests end
  local file = assert(io.open(path, "rb"))
  for length in function() return file:read("*l") end do
    requests[#requests + 1] = file:read(tonumber(length))
    file:read(1)
  end
  file:close()
  return requests
end

function init(args)
  writes = read_requests(args[1])
  reads = read_requests(args[2])
  draws = {}
  for line in io.lines(args[3]) do draws[#draws + 1] = tonumber(line) + 1 end
  put_every = tonumber(args[4])
  -- Threads begin at different places of the same order.
  draw = (thread_number * 7919) % #draws
  turn = 0
end

function request()
  draw = draw + 1
  if draw > #draws then draw = 1 end
  turn = turn + 1
  if turn == put_every then
    turn = 0
    return writes[draws[draw]]
  end
  return reads[draws[draw]]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"answered":%d,"refused":%d,"broken":%d,"duration_us":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"p999_us":%d,"max_us":%d}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9), latency.max))
end
