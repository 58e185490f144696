"""A server of the official SDK 2.x, which locks its era with the first request."""

from typing import Any

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("locking", instructions="demo")


@server.tool()
async def echo(text: str) -> str:
    """The text again."""
    return text


@server.tool()
async def count(steps: int, ctx: Context[Any, Any]) -> str:
    """Counts, with progress."""
    for step in range(steps):
        await ctx.report_progress(step, steps)
    return "counted"


if __name__ == "__main__":
    server.run("stdio")
