"""Headers that must repeat arguments, for a child that sees no headers.

A tool may want arguments repeated in `Mcp-Param-*` headers, so that what stands between may act
on them; the server must refuse a call whose headers say something else. Over stdio nobody but
the bridge can. What tools want is learnt from the lists of tools that pass. Nobody is refused
because of an old list: before that, the child is asked again. Source: MCP 2026-07-28,
Transports, Custom Headers.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from mooring.core.mirroring import Wish, disagreement, wishes
from mooring.errors import Unavailable
from mooring.transports.envelope import Envelope
from mooring.transports.http_head import Request

PREFIX = b"mcp-param-"
MARK = b"x-mcp-header"
PAGES = 100
"""Pages of a list of tools that are asked for."""

List = Callable[[dict[str, Any]], Awaitable[bytes]]
"""Asks the child for tools, with these parameters. Raises Unavailable."""


class _Tool(Struct, frozen=True):
    name: str
    inputSchema: Raw = Raw(b"null")


class _Tools(Struct, frozen=True):
    tools: list[_Tool]
    nextCursor: str | None = None


class _Listed(Struct, frozen=True):
    result: _Tools


_LISTED = Decoder(_Listed)


class Mirrors:
    """What the tools of one server want repeated."""

    def __init__(self) -> None:
        self._wishes: dict[str, tuple[Wish, ...]] = {}

    def learn(self, reply: bytes) -> str | None:
        """Takes note of a page of tools; returns the cursor of the next, if there is one."""
        try:
            page = _LISTED.decode(reply).result
        except (DecodeError, RecursionError):
            return None
        for tool in page.tools:
            schema = bytes(tool.inputSchema)
            self._wishes[tool.name] = wishes(json.loads(schema)) if MARK in schema else ()
        return page.nextCursor

    async def complaint(self, request: Request, envelope: Envelope, ask: List) -> str | None:
        """What is wrong with the headers of a `tools/call`, or None."""
        name, headers = envelope.name or "", request.index
        known = self._wishes.get(name)
        if known == () or (known is None and not any(key.startswith(PREFIX) for key in headers)):
            return None
        arguments = _arguments(request.body)
        if known is not None and disagreement(known, arguments, headers) is None:
            return None
        await self._list(ask)
        return disagreement(self._wishes.get(name, ()), arguments, headers)

    async def _list(self, ask: List) -> None:
        """Looks at all tools; of what cannot be seen, nothing is demanded."""
        self._wishes.clear()
        cursor: str | None = None
        for _ in range(PAGES):
            try:
                cursor = self.learn(await ask({} if cursor is None else {"cursor": cursor}))
            except Unavailable:
                return
            if cursor is None:
                return


def _arguments(body: bytes) -> Any:
    """The arguments of a `tools/call`; None where they cannot be read."""
    try:
        return json.loads(body)["params"].get("arguments")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
