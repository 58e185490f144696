"""The same as `story2.py` with the previous line of the official SDK: `story1.py URL [poll]`.

Runs under an interpreter that has `mcp` 1.x.
"""

import asyncio
import json
import sys
import uuid
from typing import Any

from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import (
    CancelledNotification,
    CancelledNotificationParams,
    ClientNotification,
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    Root,
    TextContent,
)
from pydantic import AnyUrl

LOGGED: list[Any] = []
CHANGES: "asyncio.Queue[str]" = asyncio.Queue()


async def answer_sample(_: Any, params: Any) -> CreateMessageResult:
    text = TextContent(type="text", text="model: " + params.messages[0].content.text)
    return CreateMessageResult(role="assistant", content=text, model="m", stopReason="endTurn")


async def answer_elicit(_: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"copies": 3})


async def answer_roots(_: Any) -> ListRootsResult:
    return ListRootsResult(
        roots=[Root(uri=AnyUrl("file:///work")), Root(uri=AnyUrl("file:///more"))]
    )


async def hear_log(params: Any) -> None:
    LOGGED.append(params.data)


async def hear(message: Any) -> None:
    note = getattr(message, "root", None)
    method = getattr(note, "method", "")
    if method == "notifications/resources/updated":
        CHANGES.put_nowait(f"{note.params.uri} updated")
    elif method == "notifications/tools/list_changed":
        CHANGES.put_nowait("tools changed")


async def call(session: ClientSession, tool: str, **arguments: Any) -> str:
    result = await session.call_tool(tool, arguments)
    text = result.content[0].text
    return f"error: {text}" if result.isError else text


async def subscribed(session: ClientSession) -> bool:
    """Whether the server lets its client subscribe to a resource."""
    try:
        await session.subscribe_resource(AnyUrl("note://a"))
    except McpError:
        return False
    return True


async def given_up(session: ClientSession) -> bool:
    """Whether a call that its client takes back is cancelled at the server."""
    key = uuid.uuid4().hex
    began = asyncio.Event()

    async def note(step: float, total: float | None, message: str | None) -> None:
        began.set()

    id = session._request_id
    hanging = asyncio.ensure_future(session.call_tool("hang", {"key": key}, progress_callback=note))
    await began.wait()
    params = CancelledNotificationParams(requestId=id, reason="given up")
    await session.send_notification(
        ClientNotification(CancelledNotification(method="notifications/cancelled", params=params))
    )
    while key not in await call(session, "cancelled_calls"):
        pass
    await asyncio.gather(hanging, return_exceptions=True)
    return True


async def main(url: str, *more: str) -> None:
    progress: list[float] = []

    async def note(step: float, total: float | None, message: str | None) -> None:
        progress.append(step)

    async with (
        streamablehttp_client(url) as (read, write, _),
        ClientSession(
            read,
            write,
            sampling_callback=answer_sample,
            elicitation_callback=answer_elicit,
            list_roots_callback=answer_roots,
            logging_callback=hear_log,
            message_handler=hear,
        ) as session,
    ):
        opened = await session.initialize()
        said = {
            "version": opened.protocolVersion,
            "sample": await call(session, "sample", prompt="hi"),
            "elicit": await call(session, "elicit"),
            "roots": await call(session, "roots"),
            "steps": (await session.call_tool("steps", {}, progress_callback=note)).content[0].text,
            "log": await call(session, "log"),
        }
        said["subscribed"] = await subscribed(session)
        await call(session, "touch")
        said |= {
            "changes": sorted([await CHANGES.get(), await CHANGES.get()]),
            "cancelled": await given_up(session),
            "note": (await session.read_resource(AnyUrl("note://a"))).contents[0].text,
            "poll": await call(session, "poll") if "poll" in more else "resumed",
        }
    print(json.dumps(said | {"progress": progress, "logged": LOGGED}))


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 25))
