"""The same as `sdk2.py`, made with the previous line of the official SDK: sessions only.

Runs under an interpreter that has `mcp` 1.x. `sdk1.py` talks over stdio; with PORT in the
environment it serves HTTP, with an event store.
"""

import asyncio
import os

from event_store import Events
from mcp.server.fastmcp import Context, FastMCP
from mcp.types import SamplingMessage, TextContent
from pydantic import AnyUrl, BaseModel

port = int(os.environ.get("PORT", 0))
server = FastMCP("first", port=port, event_store=Events() if port else None, retry_interval=50)
cancelled: list[str] = []


class Answer(BaseModel):
    copies: int


@server.tool()
async def sample(prompt: str, context: Context) -> str:
    """What the client's model says."""
    said = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    result = await context.session.create_message(
        [said], max_tokens=10, related_request_id=context.request_id
    )
    return result.content.text


@server.tool()
async def elicit(context: Context) -> str:
    """What the user answers."""
    answer = await context.elicit("How many copies?", Answer)
    return str(answer.data.copies)


@server.tool()
async def roots(context: Context) -> str:
    """Where the client works."""
    found = await context.session.list_roots()
    return " ".join(str(root.uri) for root in found.roots)


@server.tool()
async def steps(context: Context, count: int = 3) -> str:
    """Reports progress."""
    for step in range(count):
        await context.report_progress(step + 1, count, f"step {step + 1}")
    return "done"


@server.tool()
async def log(context: Context) -> str:
    """Logs something."""
    await context.log("info", "a word to the log")
    return "logged"


@server.tool()
async def hang(key: str, context: Context) -> str:
    """Goes on until it is cancelled, and remembers that."""
    await context.report_progress(0)
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.append(key)
    return key


@server.tool()
async def cancelled_calls() -> str:
    """Keys of the calls that were cancelled."""
    return " ".join(cancelled)


@server.tool()
async def touch(context: Context) -> str:
    """Tells of changes."""
    await context.session.send_resource_updated(AnyUrl("note://a"))
    await context.session.send_tool_list_changed()
    return "touched"


@server.tool()
async def poll(context: Context) -> str:
    """Closes its stream in the middle, and lets the client resume."""
    await context.close_sse_stream()
    return "resumed"


@server.resource("note://a")
def note() -> str:
    return "note a"


@server._mcp_server.subscribe_resource()
async def subscribe(uri: AnyUrl) -> None:
    """Every session is told of every change."""


server.run("streamable-http" if port else "stdio")
