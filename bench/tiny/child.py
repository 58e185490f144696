"""The smallest MCP server over stdio: answers every request with its own id."""

import json
import sys

RESULTS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "tiny", "version": "1"},
    },
    "tools/call": {"content": [{"type": "text", "text": "ahoy"}], "isError": False},
    "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]},
}

for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] in RESULTS:
        answer["result"] = RESULTS[message["method"]]
    else:
        answer["error"] = {"code": -32601, "message": "unknown method"}
    sys.stdout.write(json.dumps(answer, separators=(",", ":")) + "\n")
    sys.stdout.flush()
