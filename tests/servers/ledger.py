"""An MCP server that writes down all that reaches it, for tests that lose something on purpose.

`ledger.py FILE`: over stdio; `ledger_http.py FILE`: over HTTP at $HOST:$PORT, with sessions. Every
start, initialize, `initialized`, call and DELETE becomes a line of JSON in FILE, with the process
(its pid, which counts in its PID namespace, `space`, and a name of its own, `life`),
the session (the name in `clientInfo`) and what the call calls itself (`mark`). Each session has a
sum in memory, and over HTTP a stream. Tools: `add` (number), `look` (read-only), `nap` (seconds);
over HTTP some more, see there. What is set (log level, subscriptions) becomes a line, too.
"""

import asyncio
import contextlib
import json
import os
import sys
from typing import Any

SPACE = os.readlink("/proc/self/ns/pid")
LIFE = os.urandom(8).hex()
FILE = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
SLOW = 1.0
"""Seconds until a client is welcomed whose name begins with `slow`."""
TOOLS = [
    {"name": "add", "inputSchema": {"type": "object"}},
    {"name": "look", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}},
    {"name": "nap", "inputSchema": {"type": "object"}},
]


def note(what: str, session: str = "", **more: Any) -> None:
    """One write, so that lines of several processes do not mix."""
    line = {
        "what": what,
        "space": SPACE,
        "pid": os.getpid(),
        "life": LIFE,
        "session": session,
        **more,
    }
    os.write(FILE, json.dumps(line).encode() + b"\n")


async def nap(seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


class Session:
    """One client's half here."""

    def __init__(self) -> None:
        self.name = ""
        self.sum = 0

    async def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """The response; None to a notification."""
        method, params = message.get("method", ""), message.get("params") or {}
        if method == "notifications/initialized":
            note("initialized", self.name)
        if "id" not in message:
            return None
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if method == "initialize":
            self.name = params.get("clientInfo", {}).get("name", "")
            note("initialize", self.name)
            if self.name.startswith("slow"):
                await nap(SLOW)
            answer["result"] = {
                "protocolVersion": params.get("protocolVersion", "2025-11-25"),
                "capabilities": {"tools": {}, "logging": {}, "resources": {"subscribe": True}},
                "serverInfo": {"name": "ledger", "version": "1"},
            }
        elif method == "tools/call":
            text = await self.call(params["name"], params.get("arguments") or {})
            answer["result"] = {"content": [{"type": "text", "text": text}]}
        elif method in ("logging/setLevel", "resources/subscribe"):
            note(method, self.name, value=params.get("level") or params.get("uri"))
            answer["result"] = {}
        elif method in ("ping", "tools/list"):
            answer["result"] = {"tools": TOOLS} if method == "tools/list" else {}
        else:
            answer["error"] = {"code": -32601, "message": f"no method {method}"}
        return answer

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        note("call", self.name, tool=tool, mark=arguments.get("mark", ""))
        if tool == "nap":
            await nap(arguments.get("seconds", 0.1))
        if tool == "add":
            self.sum += arguments.get("number", 1)
        return str(self.sum)


async def over_stdio() -> None:
    loop, session = asyncio.get_running_loop(), Session()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        answer = await session.answer(json.loads(line))
        if answer is not None:
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    note("start")
    asyncio.run(over_stdio())
