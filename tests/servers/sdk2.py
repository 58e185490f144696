"""A server of the official SDK that does all that a server may ask of its client; both eras.

`sdk2.py` talks over stdio; with PORT in the environment it serves HTTP, with an event store.
"""

import asyncio
import os
import warnings
from typing import Annotated

from event_store import Events
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Elicit, ListRoots, Resolve, Sample
from mcp_types import CreateMessageResult, ListRootsResult, SamplingMessage, TextContent
from pydantic import BaseModel

warnings.simplefilter("ignore")  # sampling, roots and logging are deprecated, and still used
server = MCPServer("second")
cancelled: list[str] = []


class Answer(BaseModel):
    copies: int


def question(prompt: str) -> Sample:
    said = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    return Sample([said], max_tokens=10)


@server.tool()
async def sample(prompt: str, said: Annotated[CreateMessageResult, Resolve(question)]) -> str:
    """What the client's model says."""
    return said.content.text


@server.tool()
async def elicit(
    answer: Annotated[Answer, Resolve(lambda: Elicit("How many copies?", Answer))],
) -> str:
    """What the user answers."""
    return str(answer.copies)


@server.tool()
async def roots(found: Annotated[ListRootsResult, Resolve(lambda: ListRoots())]) -> str:
    """Where the client works."""
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
    """Tells of changes, in the way of the client's era."""
    if (context.protocol_version or "") >= "2026-07-28":
        await context.notify_resource_updated("note://a")
        await context.notify_tools_changed()
    else:
        await context.session.send_resource_updated("note://a")
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


if port := os.environ.get("PORT"):
    server.run("streamable-http", port=int(port), event_store=Events(), retry_interval=50)
else:
    server.run("stdio")
