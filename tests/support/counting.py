"""A stdio MCP server that writes down what happens to it, for tests of restarts.

`counting.py FILE`: appends a line to FILE for its start (with its pid), for every initialize and
for every call. The tool `hide` leaves a grandchild in a session of its own; `sum` adds to a
number that is kept in memory; `nap` takes its time.
"""

import json
import os
import subprocess
import sys
import time

FILE = sys.argv[1]
total = 0


def note(text: str) -> None:
    with open(FILE, "a") as file:
        file.write(f"{os.getpid()} {text}\n")


def called(name: str, arguments: dict[str, int]) -> str:
    global total
    if name == "hide":
        hidden = subprocess.Popen(["sleep", "600"], start_new_session=True)
        note(f"hidden {hidden.pid}")
        return str(hidden.pid)
    if name == "nap":
        time.sleep(arguments["seconds"])
        return "rested"
    total += arguments.get("number", 0)
    return str(total)


def result(method: str, params: dict[str, object]) -> dict[str, object] | None:
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "counting", "version": "1"},
        }
    if method == "tools/list":
        return {
            "tools": [
                {"name": name, "inputSchema": {"type": "object"}} for name in ("hide", "nap", "sum")
            ]
        }
    if method == "tools/call":
        text = called(str(params["name"]), dict(params.get("arguments") or {}))  # type: ignore[call-overload]
        return {"content": [{"type": "text", "text": text}]}
    return {} if method == "ping" else None


note("start")
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method", "")
    if method in ("initialize", "tools/call"):
        note(method)
    if "id" not in message:
        continue
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    found = result(method, message.get("params") or {})
    if found is None:
        answer["error"] = {"code": -32601, "message": f"no method {method}"}
    else:
        answer["result"] = found
    print(json.dumps(answer), flush=True)
