"""The previous line of the official SDK as a client: `sdk1.py URL TOOL ARGUMENTS`.

Runs under an interpreter that has `mcp` 1.x. Prints one JSON object: the tools that were
listed and the text that the call answered.
"""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def main(url: str, tool: str, arguments: str) -> None:
    async with (
        streamablehttp_client(url) as (read, write, session_id),
        ClientSession(read, write) as session,
    ):
        opened = await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        result = await session.call_tool(tool, json.loads(arguments))
        print(
            json.dumps(
                {
                    "version": opened.protocolVersion,
                    "session": session_id() is not None,
                    "tools": tools,
                    "error": bool(result.isError),
                    "text": result.content[0].text,
                }
            )
        )


asyncio.run(main(*sys.argv[1:]))
