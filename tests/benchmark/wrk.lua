-- A wrk script that sends each request of a file in order, and checks every response.
--
-- BENCH_REQUESTS is the path of a file with one request per line: method, path, token and body, separated
-- by tabs. Token and body may be empty. Every response must have the status BENCH_STATUS and contain
-- BENCH_TEXT. The counts are printed as one line of JSON.

local file = assert(io.open(os.getenv("BENCH_REQUESTS")))
local status, text = tonumber(os.getenv("BENCH_STATUS")), os.getenv("BENCH_TEXT")
local tag = os.getenv("BENCH_ETAG")
local threads = {}
right, wrong, first_wrong = 0, 0, ""

function setup(thread)
  table.insert(threads, thread)
end

function request()
  local line = file:read("*l")
  if not line then
    -- Start again. Only files of GET requests are short enough to reach this point.
    file:seek("set")
    line = file:read("*l")
  end
  local method, path, token, body = line:match("^(.-)\t(.-)\t(.-)\t(.*)$")
  local headers = {}
  if token ~= "" then headers["Authorization"] = "Token " .. token end
  if body ~= "" then headers["Content-Type"] = "application/json" end
  if tag then headers["If-None-Match"] = tag end
  return wrk.format(method, path, headers, body ~= "" and body or nil)
end

function response(answered, headers, body)
  if answered == status and body:find(text, 1, true) then
    right = right + 1
  else
    wrong = wrong + 1
    if first_wrong == "" then first_wrong = answered .. " " .. body:sub(1, 200):gsub('[%c"\\]', " ") end
  end
end

function done(summary, latency, requests)
  local thread = threads[1]
  print(string.format(
    '{"right": %d, "wrong": %d, "first_wrong": "%s", "seconds": %f, "unanswered": %d, "p50": %f, "p99": %f}',
    thread:get("right"), thread:get("wrong"), thread:get("first_wrong"), summary.duration / 1e6,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000
  ))
end
