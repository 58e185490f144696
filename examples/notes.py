"""A small stateful MCP server: each session has its own list of notes.

It keeps them in memory, by session, so it shows that a session stays with its instance: a
session that wandered to the other replica would find its notes gone. It listens where
Mooring tells it to (environment variables HOST and PORT).
"""

import os
from collections import defaultdict

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("notes", instructions="Keeps notes for as long as your session lives.")
notes: dict[str, list[str]] = defaultdict(list)


def mine(context: Context) -> list[str]:
    """The notes of the session that calls; without a session there is one common list."""
    headers = context.headers or {}
    return notes[headers.get("mcp-session-id", "")]


@server.tool()
async def add_note(text: str, context: Context) -> str:
    """Keeps a note."""
    mine(context).append(text)
    return f"kept note {len(mine(context))}"


@server.tool()
async def list_notes(context: Context) -> list[str]:
    """All notes of this session, oldest first."""
    return list(mine(context))


@server.tool()
async def which_instance() -> str:
    """The port of the instance that answers."""
    return os.environ["PORT"]


if __name__ == "__main__":
    server.run(
        "streamable-http", host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ["PORT"])
    )
