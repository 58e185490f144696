-- For wrk: calls one tool again and again, over sessions that were opened before (a file with
-- one session id per line), and prints the figures as one line of JSON.

local BODY = '{"jsonrpc":"2.0","id":%d,"method":"tools/call",'
    .. '"params":{"name":"echo","arguments":{"text":"ahoy"}}}'
local before, after = BODY:match("^(.*)%%d(.*)$")
local FIRST = 1000000000 -- ids of equal length, so that the length of the body never changes
local heads, turn = {}, 0

function init(arguments)
    for id in io.lines(arguments[1]) do
        local session = id ~= "" and "mcp-session-id: " .. id .. "\r\n" or ""
        heads[#heads + 1] = "POST " .. wrk.path .. " HTTP/1.1\r\n"
            .. "host: " .. wrk.host .. ":" .. wrk.port .. "\r\n"
            .. "content-type: application/json\r\n"
            .. "accept: application/json, text/event-stream\r\n"
            .. "mcp-protocol-version: 2025-11-25\r\n"
            .. session
            .. "content-length: " .. #before + 10 + #after .. "\r\n\r\n" .. before
    end
end

function request()
    turn = turn + 1
    return heads[turn % #heads + 1] .. FIRST + turn .. after
end

function done(summary, latency, requests)
    local bad = summary.errors
    io.write(string.format(
        'FIGURES {"calls": %d, "seconds": %f, "p50": %f, "p99": %f, "bytes": %d, "failed": %d}\n',
        summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.bytes,
        bad.connect + bad.read + bad.write + bad.status + bad.timeout))
end
