"""A stdio MCP server that misbehaves in the one way that its argument names."""

import json
import os
import sys
import threading
import time

BEHAVIOUR = sys.argv[1]


def say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def flood(number: int, line: bytes, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        os.write(number, line * 100)


def echo(message: dict[str, object]) -> None:
    if BEHAVIOUR == "dies":
        sys.stderr.write("out of cheese\n")
        sys.stderr.flush()
        os._exit(3)
    if BEHAVIOUR == "half":
        sys.stdout.write('{"jsonrpc":"2.0","id":')
        sys.stdout.flush()
        os._exit(3)
    params = message["params"]
    assert isinstance(params, dict)
    text = params.get("arguments", {}).get("text", "")
    say(
        {
            "jsonrpc": "2.0",
            "id": message["id"],
            "result": {"content": [{"type": "text", "text": text}]},
        }
    )


def answer(message: dict[str, object]) -> None:
    method = message.get("method")
    if BEHAVIOUR == "noise":
        print("this is no message", flush=True)
    if "id" not in message:
        return
    if method == "tools/call":
        echo(message)
        return
    results: dict[object, dict[str, object]] = {
        "initialize": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "unruly", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]},
        "ping": {},
    }
    if method in results:
        say({"jsonrpc": "2.0", "id": message["id"], "result": results[method]})
    else:
        error = {"code": -32601, "message": "no such method"}
        say({"jsonrpc": "2.0", "id": message["id"], "error": error})


if BEHAVIOUR == "crash":
    sys.exit("missing API key")
if BEHAVIOUR == "mute":
    os.close(1)
if BEHAVIOUR == "flood-stderr":
    threading.Thread(target=flood, args=(2, b"x" * 200 + b"\n", 3.0), daemon=True).start()
if BEHAVIOUR == "flood-stdout":
    flood(1, b"this is no message\n", 1.0)
for line in sys.stdin:
    if BEHAVIOUR in ("silent", "mute"):
        continue
    answer(json.loads(line))
