"""An MCP server over stdio that needs a token, and says so only when it is called.

It starts, answers its handshake and lists its tools whatever its token is: the kind of server
that was healthy for weeks while every call of it failed.
"""

import json
import os
import sys
from typing import Any

TELLING = "telling" in sys.argv
"""Says its token where it should not."""
TOOL = {"name": "whoami", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}


def answer(method: str) -> dict[str, Any] | None:
    """The result of a request; None for what it does not know."""
    if method == "initialize":
        who = {"name": "tokened", "version": "1"}
        able: dict[str, Any] = {"tools": {}}
        return {"protocolVersion": "2025-06-18", "capabilities": able, "serverInfo": who}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        valid = os.environ.get("TOKEN") == "right"
        text = "you are you" if valid else "token is required"
        if TELLING:
            text = f"{os.environ['TOKEN']} is no token"
        return {"content": [{"type": "text", "text": text}], "isError": not valid}
    return {} if method == "ping" else None


def main() -> None:
    if TELLING:
        print("my token is", os.environ["TOKEN"], file=sys.stderr, flush=True)
        print("my token is", os.environ["TOKEN"], flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        found = answer(message["method"])
        body = (
            {"result": found} if found is not None else {"error": {"code": -32601, "message": "?"}}
        )
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **body}), flush=True)


if __name__ == "__main__":
    main()
