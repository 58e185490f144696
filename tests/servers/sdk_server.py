"""A server of the official SDK for tests: `sdk_server.py PORT [events]`, both eras.

`events` gives it an event store, so that streams can be resumed.
"""

import asyncio
import os
import sys
from collections import defaultdict

from event_store import Events
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel

server = MCPServer("subject")
notes: dict[str, list[str]] = defaultdict(list)
cancelled: list[str] = []


class Answer(BaseModel):
    copies: int


@server.tool()
async def who() -> str:
    """The process that answers."""
    return str(os.getpid())


@server.tool()
async def keep(text: str, context: Context) -> list[str]:
    """Keeps a note of this session and gives all of them."""
    mine = notes[(context.headers or {}).get("mcp-session-id", "")]
    mine.append(text)
    return mine


@server.tool()
async def work(context: Context, steps: int = 3) -> str:
    """Reports progress."""
    for step in range(steps):
        await context.report_progress(step + 1, steps, f"step {step + 1}")
    return "done"


@server.tool()
async def reserve(title: str, context: Context) -> str:
    """Asks the client how many copies."""
    answer = await context.elicit("How many copies?", Answer)
    return f"{answer.data.copies} of {title}" if answer.action == "accept" else answer.action


@server.tool()
async def hang(name: str, context: Context) -> str:
    """Goes on until it is cancelled, and remembers that."""
    await context.report_progress(0)
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.append(name)
    return name


@server.tool()
async def cancelled_calls() -> list[str]:
    """Names of the calls that were cancelled."""
    return cancelled


@server.tool()
async def change(context: Context) -> str:
    """Tells the session that the tools have changed."""
    await context.session.send_tool_list_changed()
    return "told"


@server.tool()
async def poll(context: Context) -> str:
    """Closes its stream in the middle, and lets the client resume."""
    await context.close_sse_stream()
    return "resumed"


@server.tool()
async def die() -> str:
    """Ends the process at once."""
    os._exit(3)


if __name__ == "__main__":
    store = Events() if "events" in sys.argv else None
    server.run("streamable-http", port=int(sys.argv[1]), event_store=store, retry_interval=50)
