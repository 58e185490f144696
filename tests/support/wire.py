"""Both ends of a wire: raw clients for our server, scripted servers for our pool.

Answers are judged by h11, which knows nothing of us.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import h11
import pytest

from mooring.core.address import Address
from mooring.errors import Unavailable
from mooring.transports.http_server import Exchange, Handler, HttpServer, Limits
from mooring.transports.http_upstream import Pool, Reply

PATIENCE = 10.0


async def until(true: Callable[[], object]) -> None:
    """Returns when it is so; looks again whenever the loop has had something to do."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.002)


@dataclass
class Answer:
    """One answer, as h11 understands it."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    interim: int = 0
    """Answers of 1xx before it."""


class Wire:
    """One connection to a server, on which anything may be sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._ahead = b""

    async def send(self, *pieces: bytes) -> Self:
        self.writer.write(b"".join(pieces))
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()
        return self

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer; fails where it is cut or not HTTP/1.1."""
        judge = h11.Connection(h11.CLIENT)
        judge.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
        judge.send(h11.EndOfMessage())
        if self._ahead:
            judge.receive_data(self._ahead)
        found = Answer(0, {}, b"")
        pieces: list[bytes] = []
        while True:
            event = judge.next_event()
            if event is h11.NEED_DATA:
                async with asyncio.timeout(PATIENCE):
                    judge.receive_data(await self.reader.read(65536))
            elif isinstance(event, h11.InformationalResponse):
                found.interim += 1
            elif isinstance(event, h11.Response):
                found.status = event.status_code
                found.headers = dict(event.headers)
            elif isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            else:
                assert isinstance(event, h11.EndOfMessage)
                found.body = b"".join(pieces)
                self._ahead = judge.trailing_data[0]
                return found

    async def ask(self, *pieces: bytes, method: str = "GET") -> Answer:
        return await (await self.send(*pieces)).answer(method)

    async def piece(self) -> bytes:
        """What comes next, in one read."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read(65536)

    async def end(self) -> bytes:
        """All that comes until the server closes or resets the connection."""
        pieces = [self._ahead]
        self._ahead = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while piece := await self.reader.read(65536):
                    pieces.append(piece)
            except ConnectionResetError:
                pass
        return b"".join(pieces)

    async def close(self) -> None:
        self.writer.close()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.writer.wait_closed()
        except ConnectionError:
            pass


class Site:
    """A server of ours that listens on a loopback port."""

    def __init__(self, server: HttpServer, port: int) -> None:
        self.server = server
        self.port = port
        self.wires: list[Wire] = []

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self.wires.append(wire)
        return wire

    async def ask(self, *pieces: bytes, method: str = "GET") -> Answer:
        """One request on a connection of its own."""
        return await (await self.connect()).ask(*pieces, method=method)


@asynccontextmanager
async def serving(
    handler: Handler, limits: Limits | None = None, **options: object
) -> AsyncIterator[Site]:
    """Our server with this handler, and clients for it; all closed at the end."""
    server = HttpServer(handler, limits or Limits(), **options)  # type: ignore[arg-type]  # passed on
    listening = socket.create_server(("127.0.0.1", 0))
    site = Site(server, listening.getsockname()[1])
    await server.listen(listening)
    try:
        yield site
    finally:
        for wire in site.wires:
            await wire.close()
        await server.close()


Script = Callable[[Wire], Awaitable[None]]


class Upstream:
    """A server that does on each connection what its script says."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.open: set[asyncio.Task[None]] = set()
        self.address = Address("127.0.0.1", 0, "/mcp")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        wire = Wire(reader, writer)
        try:
            await self._script(wire)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open.discard(task)
            await wire.close()

    async def gone(self) -> None:
        """Returns when every connection's script has ended."""
        while self.open:
            await asyncio.wait(set(self.open), timeout=PATIENCE)


@asynccontextmanager
async def scripted(script: Script, path: Path | None = None) -> AsyncIterator[Upstream]:
    """An upstream on a loopback port, or on a Unix socket at `path`."""
    upstream = Upstream(script)
    if path is None:
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        upstream.address = Address("127.0.0.1", server.sockets[0].getsockname()[1], "/mcp")
    else:
        server = await asyncio.start_unix_server(upstream.serve, path)
        upstream.address = Address("", 0, "/mcp", socket=str(path))
    try:
        yield upstream
    finally:
        server.close()
        for task in upstream.open:
            task.cancel()
        await upstream.gone()


async def request(wire: Wire) -> tuple[h11.Request, bytes]:
    """The next request on a connection, as h11 understands it; ConnectionError at the end."""
    judge = h11.Connection(h11.SERVER)
    head: h11.Request | None = None
    body = b""
    while True:
        event = judge.next_event()
        if event is h11.NEED_DATA:
            piece = await wire.reader.read(65536)
            if not piece:
                raise ConnectionError("the client closed the connection")
            judge.receive_data(piece)
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            assert isinstance(event, h11.EndOfMessage)
            assert head is not None
            return head, body


def whole(body: bytes, status: int = 200, *headers: bytes) -> bytes:
    """A whole answer as bytes."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(body), body)


# Requests, and handlers for our server.

GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
QUICK = Limits(
    head=1000,
    body=1000,
    head_seconds=0.04,
    body_idle_seconds=0.04,
    keepalive_seconds=0.04,
    write_idle_seconds=0.04,
    linger_seconds=0.04,
)


async def echo(exchange: Exchange) -> None:
    """Answers with path and body."""
    request = exchange.request
    exchange.respond(200, ((b"x-a", b"1"),), request.path.encode() + request.body)


async def counting(exchange: Exchange) -> None:
    """Streams three pieces."""
    exchange.start(200, ((b"content-type", b"text/event-stream"),))
    for number in range(3):
        await exchange.write(b"%d;" % number)
    exchange.finish()


class Gate:
    """A handler whose requests wait until they are let through."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.let_through = asyncio.Event()
        self.seen: list[str] = []

    async def __call__(self, exchange: Exchange) -> None:
        self.seen.append(exchange.request.path)
        self.arrived.set()
        await self.let_through.wait()
        exchange.respond(200, (), exchange.request.path.encode())


# Upstreams that behave in one way or another, and a caller of them.


def saying(*answers: bytes) -> Script:
    """An upstream that gives these answers in turn on each connection, then closes it."""

    async def script(wire: Wire) -> None:
        for answer in answers:
            await request(wire)
            await wire.send(answer)

    return script


async def patient(wire: Wire) -> None:
    """Answers every request on a connection with its body."""
    while True:
        _, body = await request(wire)
        await wire.send(whole(body))


async def silent(wire: Wire) -> None:
    """Reads a request and says nothing until the client goes."""
    await request(wire)
    await wire.end()


class Doors:
    """An upstream that answers each request when told to."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def __call__(self, wire: Wire) -> None:
        while True:
            await request(wire)
            door = asyncio.Event()
            self.waiting.put_nowait(door)
            await door.wait()
            await wire.send(whole(b"ok"))


async def get(pool: Pool, upstream: Upstream, **conditions: Any) -> Reply:
    return await pool.send(upstream.address, "GET", (), **conditions)


async def failure(work: Awaitable[object]) -> tuple[str, str]:
    """Reason and message of what goes wrong."""
    with pytest.raises(Unavailable) as caught:
        await work
    return caught.value.reason, caught.value.message
