"""The official SDK as a client that can do everything: `story2.py URL MODE [poll]`.

Has every tool of `tests/servers/sdk*.py` called and prints one JSON object: what came of each.
"""

import asyncio
import json
import sys
import uuid
import warnings
from typing import Any

from mcp import Client, MCPError
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent

warnings.simplefilter("ignore")  # sampling, roots and logging are deprecated, and still used
LOGGED: list[Any] = []
CHANGES: "asyncio.Queue[str]" = asyncio.Queue()


async def answer_sample(_: Any, params: Any) -> CreateMessageResult:
    text = TextContent(type="text", text="model: " + params.messages[0].content.text)
    return CreateMessageResult(role="assistant", content=text, model="m", stop_reason="endTurn")


async def answer_elicit(_: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"copies": 3})


async def answer_roots(_: Any) -> ListRootsResult:
    return ListRootsResult(roots=[Root(uri="file:///work"), Root(uri="file:///more")])


async def hear_log(params: Any) -> None:
    LOGGED.append(params.data)


async def hear(message: Any) -> None:
    method = getattr(message, "method", "")
    if method == "notifications/resources/updated":
        CHANGES.put_nowait(f"{message.params.uri} updated")
    elif method == "notifications/tools/list_changed":
        CHANGES.put_nowait("tools changed")


async def call(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    text = result.content[0].text
    return f"error: {text}" if result.is_error else text


async def subscribed(client: Client) -> bool:
    """Whether the server lets its client subscribe to a resource."""
    try:
        await client.subscribe_resource("note://a")
    except MCPError:
        return False
    return True


async def changes(client: Client) -> list[str]:
    """What the client is told of changes, in the way of its era."""
    if client.session.protocol_version != "2026-07-28":
        await call(client, "touch")
        return sorted([await CHANGES.get(), await CHANGES.get()])
    heard: list[str] = []
    async with client.listen(tools_list_changed=True, resource_subscriptions=["note://a"]) as told:
        await call(client, "touch")
        async for event in told:
            uri = getattr(event, "uri", None)
            heard.append(f"{uri} updated" if uri else "tools changed")
            if len(heard) == 2:
                break
    return sorted(heard)


async def given_up(client: Client) -> bool:
    """Whether a call that its client gives up is cancelled at the server."""
    key = uuid.uuid4().hex
    began = asyncio.Event()

    async def note(step: float, total: float | None, message: str | None) -> None:
        began.set()

    call_it = client.call_tool("hang", {"key": key}, progress_callback=note)
    hanging = asyncio.ensure_future(call_it)
    await began.wait()
    hanging.cancel()
    while key not in await call(client, "cancelled_calls"):
        pass
    return True


async def main(url: str, mode: Any, *more: str) -> None:
    progress: list[float] = []

    async def note(step: float, total: float | None, message: str | None) -> None:
        progress.append(step)

    callbacks = {
        "sampling_callback": answer_sample,
        "elicitation_callback": answer_elicit,
        "list_roots_callback": answer_roots,
        "logging_callback": hear_log,
        "message_handler": hear,
    }
    async with Client(url, mode=mode, log_level="info", **callbacks) as client:
        said = {
            "version": client.session.protocol_version,
            "sample": await call(client, "sample", prompt="hi"),
            "elicit": await call(client, "elicit"),
            "roots": await call(client, "roots"),
            "steps": (await client.call_tool("steps", {}, progress_callback=note)).content[0].text,
            "log": await call(client, "log"),
            "subscribed": await subscribed(client),
            "changes": await changes(client),
            "cancelled": await given_up(client),
            "note": (await client.read_resource("note://a")).contents[0].text,
            "poll": await call(client, "poll") if "poll" in more else "resumed",
        }
    print(json.dumps(said | {"progress": progress, "logged": LOGGED}))


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 25))
