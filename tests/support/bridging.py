"""A bridge behind a real HTTP server, real or in-process children, and clients that talk to it."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from servers.toy import KEY, VERSION, Leave, Toy

from mooring.clock import Clock, SystemClock
from mooring.core.address import Address
from mooring.core.keeping import Exit, SlotSpec
from mooring.keeper.bridge import Bridge
from mooring.keeper.child import Blow, Child
from mooring.keeper.forking import Forker
from mooring.keeper.ladder import Ladder
from mooring.keeper.logfile import Logs
from mooring.keeper.spawner import ForkSpawner
from mooring.transports.http_reply import Reply
from mooring.transports.http_server import Headers, HttpServer
from mooring.transports.http_upstream import Pool
from mooring.transports.sse import EventSplitter

TOY = Path(__file__).resolve().parents[1] / "servers" / "toy.py"
MODERN = VERSION
Spawn = Callable[[], Awaitable[Child]]
Message = dict[str, Any]


class Noise:
    """A log that tests can read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: bytes) -> None:
        self.lines.append(text.decode(errors="replace"))

    def mark(self, *words: object) -> None:
        self.lines.append(" ".join(map(str, words)))


class ToyChild:
    """A toy on this very loop, behind real pipes."""

    def __init__(self, *words: str) -> None:
        self.toy = Toy(*words)
        self._stdin, theirs_in = os.pipe()
        theirs_out, self._stdout = os.pipe()
        for descriptor in (self._stdin, theirs_in, theirs_out, self._stdout):
            os.set_blocking(descriptor, False)
        self.child = Child(0, self._strike, theirs_in, theirs_out)
        self._partial = b""
        self._unwritten: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._stdin, self._read)

    def write(self, text: str | bytes) -> None:
        """Says something of its own accord."""
        self._unwritten.append((text.encode() if isinstance(text, str) else text) + b"\n")
        self._write()

    @property
    def waiting(self) -> int:
        """Lines that it could not write yet."""
        return len(self._unwritten)

    def pause(self) -> None:
        """Stops reading."""
        self._loop.remove_reader(self._stdin)

    def resume(self) -> None:
        self._loop.add_reader(self._stdin, self._read)

    def close_stdin(self) -> None:
        self._loop.remove_reader(self._stdin)
        os.close(self._stdin)
        self._stdin = os.open(os.devnull, os.O_RDONLY)

    def close_stdout(self) -> None:
        self._loop.remove_writer(self._stdout)
        os.close(self._stdout)
        self._stdout = -1

    def end(self, code: int = 0, signal: int = 0, words: str = "") -> None:
        if self._stdin < 0:
            return
        self._loop.remove_reader(self._stdin)
        os.close(self._stdin)
        self._stdin = -1
        if self._stdout >= 0:
            self.close_stdout()
        self.child.exited.set_result(Exit(code=code, signal=signal, last_line=words))

    def _strike(self, blow: Blow) -> None:
        self.end(signal=15 if blow == "term" else 9)

    def _read(self) -> None:
        chunk = os.read(self._stdin, 1 << 16)
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        try:
            for line in lines:
                self._unwritten += [text.encode() + b"\n" for text in self.toy.take(line.decode())]
        except Leave as leave:
            self.end(leave.args[0])
            return
        self._write()
        if not chunk:
            self.end()

    def _write(self) -> None:
        """As much as the pipe takes."""
        if self._stdout < 0:
            return
        self._loop.remove_writer(self._stdout)
        while self._unwritten:
            line = self._unwritten.popleft()
            try:
                sent = os.write(self._stdout, line)
            except BlockingIOError:
                sent = 0
            if sent < len(line):
                self._unwritten.appendleft(line[sent:])
                self._loop.add_writer(self._stdout, self._write)
                return


class Answered:
    """What came back for one request."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = dict(headers)
        self.raw = body
        self.streamed = self.headers.get(b"content-type", b"").startswith(b"text/event-stream")
        if self.streamed:
            self.texts = [event.data for event in EventSplitter().feed(body) if event.data]
        else:
            self.texts = [body] if body.startswith(b"{") else []

    @cached_property
    def messages(self) -> list[Message]:
        return [json.loads(text) for text in self.texts]

    @property
    def last(self) -> Message:
        return self.messages[-1]

    @property
    def text(self) -> str:
        """Of the result of a tool."""
        return str(self.last["result"]["content"][0]["text"])


class Client:
    """One MCP client; speaks either era."""

    def __init__(self, pool: Pool, address: Address, era: Literal["session", "stateless"]) -> None:
        self._pool = pool
        self._address = address
        self._turn = 0
        self.era = era
        self.session = b""
        self.meta: Message = {}
        """Sent in the `_meta` of every request."""
        self.headers: dict[bytes, bytes] = {}
        if era == "stateless":
            self.headers[b"mcp-protocol-version"] = MODERN.encode()

    async def send(self, method: str, body: bytes = b"") -> Reply:
        headers = self.headers | {b"content-type": b"application/json"}
        if self.session:
            headers[b"mcp-session-id"] = self.session
        pairs = tuple(headers.items())
        return await self._pool.send(self._address, method, pairs, body, seconds=20)

    async def ask(self, method: str, body: bytes = b"") -> Answered:
        reply = await self.send(method, body)
        return Answered(reply.status, reply.headers, await reply.read(1 << 27, 20))

    async def post(self, message: Message | bytes) -> Answered:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        return await self.ask("POST", body)

    async def request(self, method: str, params: Message | None = None, id: Any = None) -> Answered:
        return await self.post(self.message(method, params, id))

    async def stream(self, method: str, params: Message | None = None, id: Any = None) -> "Events":
        body = json.dumps(self.message(method, params, id)).encode()
        return Events(await self.send("POST", body))

    async def call(self, tool: str, id: Any = None, **arguments: Any) -> Answered:
        return await self.request("tools/call", {"name": tool, "arguments": arguments}, id)

    async def call_with_token(self, tool: str, token: Any, id: Any, **arguments: Any) -> Answered:
        params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": token}}
        return await self.request("tools/call", params, id)

    async def notify(self, method: str, **params: Any) -> Answered:
        return await self.post({"jsonrpc": "2.0", "method": method, "params": params})

    async def initialize(self, version: str = "2025-11-25", id: Any = 0) -> Answered:
        client = {"name": "test", "version": "1"}
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
        answered = await self.request("initialize", params, id)
        if b"mcp-session-id" in answered.headers:
            self.session = answered.headers[b"mcp-session-id"]
            await self.notify("notifications/initialized")
        return answered

    async def listen(self) -> "Events":
        """The standing stream."""
        return Events(await self.send("GET"))

    def message(self, method: str, params: Message | None = None, id: Any = None) -> Message:
        self._turn += 1
        params = params or {}
        if self.era == "stateless":
            meta = {KEY + "protocolVersion": MODERN} | self.meta
            params = params | {"_meta": meta | params.get("_meta", {})}
        number = self._turn if id is None else id
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


class Events:
    """The messages of an open stream, one after the other."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.status = reply.status
        self.comments = 0
        self._chunks = reply.chunks()
        self._splitter = EventSplitter()
        self._waiting: deque[Message] = deque()

    async def next(self) -> Message | None:
        """The next message; None at the proper end."""
        while not self._waiting:
            async with asyncio.timeout(10):
                chunk = await anext(self._chunks, b"")
            if not chunk:
                return None
            for event in self._splitter.feed(chunk):
                if event.data:
                    self._waiting.append(json.loads(event.data))
                else:
                    self.comments += 1
        return self._waiting.popleft()

    async def comment(self) -> None:
        """Waits for a comment."""
        before = self.comments
        while self.comments == before:
            async with asyncio.timeout(10):
                chunk = await anext(self._chunks)
            for event in self._splitter.feed(chunk):
                self.comments += not event.data

    def leave(self) -> None:
        self.reply.abort()


class Scene:
    """A bridge in front of its children, and the way to it."""

    def __init__(self, bridge: Bridge, noise: Noise, pool: Pool, address: Address) -> None:
        self.bridge = bridge
        self.noise = noise
        self.children: list[ToyChild] = []
        """Those that live on this loop, in the order of their births."""
        self._pool = pool
        self.address = address

    def client(self, era: Literal["session", "stateless"] = "session") -> Client:
        return Client(self._pool, self.address, era)

    async def session(self, version: str = "2025-11-25") -> Client:
        """A client whose session is open."""
        client = self.client()
        answered = await client.initialize(version)
        assert answered.status == 200, answered.raw
        return client

    @property
    def toy(self) -> Toy:
        return self.children[0].toy

    async def until(self, true: Callable[[], object]) -> None:
        """Gives the loop turns until that is so; bounded."""
        async with asyncio.timeout(10):
            while not true():
                await SystemClock().sleep(0.001)


def spec_of(*words: str, **fields: Any) -> SlotSpec:
    toy = (sys.executable, "-S", "-E", str(TOY), *words)
    names = {"uid": "u", "instance": "default/toy-0", "server": "default/toy", "checksum": "c"}
    return SlotSpec(**({"argv": toy, "env": {}} | names | fields))


@contextlib.asynccontextmanager
async def scene(
    *words: str, clock: Clock | None = None, processes: bool = False, **fields: Any
) -> AsyncIterator[Scene]:
    """A bridge to toys with these words, on this loop or in processes of their own."""
    clock = clock or SystemClock()
    spec = spec_of(*words, **fields)
    noise, toys = Noise(), list[ToyChild]()
    failures = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, failure: failures.append(failure))
    async with contextlib.AsyncExitStack() as stack:
        if processes:
            spawner = await stack.enter_async_context(real_spawner())

            async def spawn() -> Child:
                return await spawner.spawn(spec, stdio=True)

        else:

            async def spawn() -> Child:
                toys.append(ToyChild(*words))
                return toys[-1].child

        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        bridge = Bridge(spec, spawn, clock, noise, tasks)
        await bridge.start()
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = HttpServer(bridge.handle)
        await server.listen(listening)
        pool = Pool()
        stage = Scene(bridge, noise, pool, Address("127.0.0.1", port, "/i/u"))
        stage.children = toys
        try:
            yield stage
        finally:
            await bridge.stop(0)
            await pool.close()
            await server.close()
    assert failures == []


@contextlib.asynccontextmanager
async def real_spawner() -> AsyncIterator[ForkSpawner]:
    """Spawns as the keeper does, on the rung that needs no privilege."""
    forker, ladder, logs = Forker(), Ladder(f"test{os.getpid()}"), Logs(SystemClock())
    await ladder.climb(forker, "process-group")
    try:
        yield ForkSpawner(forker, ladder, logs, SystemClock())
    finally:
        forker.close()
        ladder.close()
        await logs.close()
