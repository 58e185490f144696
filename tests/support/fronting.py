"""A gateway on a loopback port, in front of small real servers on others."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from support.standin import JSON, Standin, message

from mooring.clock import Clock, SystemClock
from mooring.core.address import Address
from mooring.core.authorities import authorities
from mooring.core.session_record import SessionStore
from mooring.core.table import build
from mooring.gateway.call import refusal
from mooring.gateway.gateway import Gateway
from mooring.kinds.server import MCPServer
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.seal import Sealer
from mooring.stores.memory import MemoryStore
from mooring.stores.sessions_memory import MemorySessions
from mooring.transports.http_server import Exchange, HttpServer, Limits
from mooring.transports.http_upstream import Pool

HEADERS = ((b"accept", b"application/json, text/event-stream"), JSON)


@dataclass
class Said:
    """What a client got."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def session(self) -> str:
        return self.headers[b"mcp-session-id"].decode()

    @property
    def reason(self) -> str:
        return str(self.json["error"]["data"]["reason"])


@dataclass
class World:
    """A gateway, its servers, and clients of it."""

    gateway: Gateway
    sessions: OpenSessions
    records: SessionStore
    port: int
    pool: Pool
    front: HttpServer = field(init=False)
    running: "asyncio.Future[None]" = field(init=False)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has left before its answer ended."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    standins: dict[str, list[Standin]] = field(default_factory=dict)
    path: str = "/servers/notes/mcp"
    eras: str = "auto"
    """What the servers are declared to speak, from the next table on."""
    recovery: str = "transparent"
    """Likewise."""

    async def handle(self, exchange: Exchange) -> None:
        exchange.on_gone(self.left.set)
        await self.gateway.handle(exchange)

    def swift(self, exchange: Exchange, host: HttpServer) -> bool:
        exchange.on_gone(self.left.set)
        return self.gateway.swift(exchange, host)

    async def stop(self) -> None:
        """Ends the gateway."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port, self.path)

    async def ask(
        self, body: bytes = b"", *, method: str = "POST", path: str = "", **headers: str
    ) -> Said:
        """One request; header names with underscores for dashes."""
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        sent = tuple(pair for pair in HEADERS if pair[0] not in given)
        reply = await self.pool.send(
            self.address, method, (*sent, *given.items()), body, path=path or self.path, seconds=10
        )
        body = await reply.read(1 << 26, 10)
        return Said(reply.status, dict(reply.headers), body)

    async def open(self) -> str:
        """A session's id."""
        asked = message("initialize", 1, protocolVersion="2025-11-25", capabilities={})
        said = await self.ask(asked)
        assert said.status == 200, said
        return said.session

    async def call(self, id: Any = 2, session: str = "", **headers: str) -> Said:
        """One call of the tool."""
        if session:
            headers["mcp_session_id"] = session
        return await self.ask(message("tools/call", id, name="who", arguments={}), **headers)

    async def raw(self, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own on which this was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text.replace(b"HOST", b"127.0.0.1:%d" % self.port))
        await writer.drain()
        self.writers.append(writer)
        return reader, writer

    def table(self, **states: Any) -> None:
        """Swaps in a table of the stand-ins; `states` changes rows by instance name."""
        self.gateway.swap(build([self._server(n, s, states) for n, s in self.standins.items()]))

    def _server(self, name: str, standins: list[Standin], states: dict[str, Any]) -> MCPServer:
        rows = [
            {
                "name": s.name, "uid": s.uid, "state": "Ready", "health": "healthy",
                "address": f"http://127.0.0.1:{s.address.port}/mcp",
            } | states.get(s.name, {})
            for s in standins
        ]  # fmt: skip
        return MCPServer.model_validate(
            {
                "apiVersion": "mooring.dev/v1alpha1", "kind": "MCPServer",
                "metadata": {"name": name},
                "spec": {
                    "source": {"command": ["notes"]}, "replicas": len(rows), "eras": self.eras,
                    "recovery": self.recovery,
                },
                "status": {"instances": rows, "message": "Starting 0/1", "phase": "Ready"},
            }
        )  # fmt: skip


@asynccontextmanager
async def world(
    servers: dict[str, int] | None = None,
    origins: tuple[str, ...] = (),
    clock: Clock | None = None,
    records: SessionStore | None = None,
    sessions: OpenSessions | None = None,
    **limits: Any,
) -> AsyncIterator[World]:
    clock = clock or SystemClock()
    if sessions is None:
        sessions = OpenSessions(Sealer(bytes(32)), clock)
    records = records or MemorySessions(clock)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    async with AsyncExitStack() as stack:
        pool, up = Pool(), Pool()
        stack.push_async_callback(pool.close)
        stack.push_async_callback(up.close)
        gateway = Gateway(
            MemoryStore(), up, clock, authorities(port, origins=origins), sessions, records
        )
        world = World(gateway, sessions, records, port, pool)
        world.front = HttpServer(world.handle, Limits(**limits), refusal, world.swift)
        stack.push_async_callback(world.front.close)
        await world.front.listen(sock)
        for name, count in (servers or {"notes": 1}).items():
            world.standins[name] = [Standin(f"{name}-{i}") for i in range(count)]
            for standin in world.standins[name]:
                await stack.enter_async_context(standin)
        world.running = asyncio.ensure_future(gateway.run())
        try:
            await gateway.loaded.wait()
            world.table()
            yield world
        finally:
            for writer in world.writers:
                writer.transport.abort()
                await asyncio.gather(writer.wait_closed(), return_exceptions=True)
            await world.stop()


async def eventually(true: Callable[[], Any]) -> None:
    """Returns once it is so; looks often, and is bounded by its test."""
    clock = SystemClock()
    while not true():
        await clock.sleep(0.001)
