"""What the API and the controllers ask of servers, asked the way a client would.

Tools and calls go through the gateway's own endpoint, so that what works here works for
clients. A probe goes to one instance, at the address that traffic takes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from mooring.api.reach import LogQuery
from mooring.controllers.prober import Prober
from mooring.core.address import parse
from mooring.core.headers import Headers
from mooring.core.health import Probe
from mooring.core.keeping import PROBE
from mooring.core.table import paths_of
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer
from mooring.runtimes.logs import LogReader, Part
from mooring.transports.http_upstream import Pool
from mooring.transports.mcp_client import McpClient

LIST_SECONDS = 30.0
CALL_SECONDS = 300.0


def connect(pool: Pool, via: bytes, address: str, server: MCPServer) -> McpClient:
    """A contact to one instance of a server, at the address that traffic takes.

    `via`: our own name, which goes with everything that we send, so that a server that leads
    back here is refused here. What the keeper holds is told which session is ours, so that it
    takes no client's place.
    """
    place = parse(address)
    headers: Headers = ((b"via", via),)
    return McpClient(pool, place, (*headers, PROBE) if place.socket else headers)


class Questions:
    """Satisfies `mooring.api.reach.Reach` for a gateway at `base`, an API at `door`."""

    def __init__(self, pool: Pool, prober: Prober, logs: LogReader, base: str, door: str) -> None:
        self._pool = pool
        self._prober = prober
        self._logs = logs
        self._base = base
        self._door = door

    async def tools(self, ref: Ref) -> Sequence[Mapping[str, Any]]:
        """The tools of a server."""
        client = self._client(ref)
        try:
            await client.handshake(LIST_SECONDS)
            return await client.list_tools(LIST_SECONDS)
        finally:
            await client.close()

    async def call(self, ref: Ref, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One call of a tool, in a session of its own."""
        client = self._client(ref)
        try:
            await client.handshake(LIST_SECONDS)
            return await client.call_tool(tool, dict(arguments), CALL_SECONDS)
        finally:
            await client.close()

    async def probe(self, ref: Ref, instance: str) -> Probe:
        """One probe, now."""
        return await self._prober.probe(ref, instance)

    def last_probe(self, ref: Ref, uid: str) -> Probe | None:
        """The last one that was made."""
        return self._prober.last(ref, uid)

    def logs(self, ref: Ref, instance: str, query: LogQuery) -> AsyncIterator[bytes]:
        """What an instance's children wrote."""
        part = Part(query.tail, query.since, query.previous, query.follow)
        return self._logs.read(ref.namespace, instance, part)

    def endpoints(self) -> str:
        """Where clients find Mooring."""
        return self._base

    def door(self) -> str:
        """Where the API is for clients with a token."""
        return self._door

    def _client(self, ref: Ref) -> McpClient:
        return McpClient(self._pool, parse(self._base + paths_of(ref)[0]))
