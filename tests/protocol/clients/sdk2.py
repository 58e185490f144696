"""The official SDK as a client: `sdk2.py URL MODE TOOL ARGUMENTS`, MODE being auto or legacy.

Prints one JSON object: the tools that were listed and the text that the call answered.
"""

import asyncio
import json
import sys

from mcp import Client


async def main(url: str, mode: str, tool: str, arguments: str) -> None:
    async with Client(url, mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        result = await client.call_tool(tool, json.loads(arguments))
        print(
            json.dumps(
                {
                    "version": client.session.protocol_version,
                    "tools": tools,
                    "error": bool(result.is_error),
                    "text": result.content[0].text,
                }
            )
        )


asyncio.run(main(*sys.argv[1:]))
