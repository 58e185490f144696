"""A client of the previous line of the official SDK that stays: `going_on1.py URL`.

Runs under an interpreter that has `mcp` 1.x. It subscribes to `ledger://sum`, and then does what
its stdin says, a word a line: `add` calls that tool and prints the text of the answer; `updated`
has the resource published until it hears of that, and prints all that was logged to it.
"""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.exceptions import McpError
from pydantic import AnyUrl


async def main(url: str) -> None:
    logged: list[str] = []
    updated = asyncio.Event()

    async def log(params: object) -> None:
        logged.append(str(params.data))

    async def hear(message: object) -> None:
        note = getattr(message, "root", None)
        if getattr(note, "method", "") == "notifications/resources/updated":
            updated.set()

    async with (
        streamablehttp_client(url) as (read, write, _),
        ClientSession(read, write, logging_callback=log, message_handler=hear) as session,
    ):
        await session.initialize()
        await session.subscribe_resource(AnyUrl("ledger://sum"))
        while word := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if word == "add":
                result = await session.call_tool("add", {"number": 1})
                print(result.content[0].text, flush=True)
                continue
            while not updated.is_set():
                try:
                    await session.call_tool("publish", {"uri": "ledger://sum"})
                    await asyncio.wait_for(updated.wait(), 0.2)
                except (McpError, TimeoutError):
                    continue
            print(json.dumps(logged), flush=True)


asyncio.run(main(sys.argv[1]))
