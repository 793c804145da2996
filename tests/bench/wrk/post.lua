-- Posts one body again and again: wrk -s post.lua URL -- FILE CONTENT_TYPE
-- Prints: requests, seconds, replies that were no success, the 99th percentile in milliseconds.

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = args[2]
  file:close()
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local seconds = summary.duration / 1e6
  local p99 = latency:percentile(99) / 1e3
  io.write(string.format("result %d %.6f %d %.3f\n", summary.requests, seconds, failed, p99))
end
