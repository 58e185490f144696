"""What a call costs in the gateway's own code: no sockets, connections fed by hand.

    python bench/socketless.py [--calls N] [--profile] [--virtual]

Clients are connections whose transport answers an answer with the next request; the upstream
is one whose transport answers a request at once. What is left is Python, and repeats to half a
microsecond, so that the worth of a change can be seen. With `--virtual` the calls go through a
virtual server, whose tool has another name at its one backend.
"""

import argparse
import asyncio
import cProfile
import pstats
import socket
import time
from collections.abc import Callable
from typing import Any, cast

import uvloop

from mooring.clock import SystemClock
from mooring.core.address import parse
from mooring.core.authorities import authorities
from mooring.core.identity import ANONYMOUS
from mooring.core.table import build
from mooring.gateway.gateway import Gateway
from mooring.kinds.group import MCPGroup
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.seal import Sealer
from mooring.stores.memory import MemoryStore
from mooring.stores.sessions_memory import MemorySessions
from mooring.transports.http_asking import UpstreamConnection
from mooring.transports.http_server import HttpServer
from mooring.transports.http_upstream import Pool
from mooring.virtual.room import UID

CONNECTIONS = 16
ROUNDS = 5
AT = "127.0.0.1:1"
RESULT = b'{"jsonrpc":"2.0","id":%b,"result":{"content":[{"type":"text","text":"ahoy"}]}}'
WELCOME = (
    b'{"jsonrpc":"2.0","id":%b,"result":{"protocolVersion":"2025-11-25",'
    b'"capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"},'
    b'"tools":[{"name":"say","inputSchema":{"type":"object"}}]}}'
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: upstream\r\n"
    b"content-length: %d\r\n\r\n%b"
)
BODY = (
    b'{"jsonrpc":"2.0","id":%d,"method":"tools/call",'
    b'"params":{"name":"echo","arguments":{"text":"ahoy"}}}'
)
HEAD = (
    b"POST %b HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n"
    b"content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
    b"mcp-protocol-version: 2025-11-25\r\nmcp-session-id: %b\r\ncontent-length: %d\r\n\r\n%b"
)
SERVER = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "MCPServer",
    "metadata": {"name": "json"},
    "spec": {"source": {"url": f"http://{AT}/mcp"}, "group": "team"},
    "status": {
        "instances": [
            {"name": "json-0", "uid": "u", "state": "Ready", "health": "healthy",
             "address": f"http://{AT}/mcp"}
        ],
        "phase": "Ready",
    },
}  # fmt: skip
GROUP = {"apiVersion": "mooring.dev/v1alpha1", "kind": "MCPGroup", "metadata": {"name": "team"}}
RULES = {"filter": ["say"], "overrides": {"say": {"name": "echo"}}}
VIRTUAL = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "VirtualMCPServer",
    "metadata": {"name": "all"},
    "spec": {"group": "team", "aggregation": {"strategy": "none", "tools": {"json": RULES}}},
}
PATHS = (b"/servers/json/mcp", b"/virtual/all/mcp")


class Wire:
    """A transport that gives what is written to `heard`, in the next turn of the loop."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self._pair = socket.socketpair()

    def write(self, piece: bytes) -> None:
        self._loop.call_soon(self._heard, piece)

    def get_extra_info(self, name: str) -> Any:
        return self._pair[0] if name == "socket" else ("127.0.0.1", 1)

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        for end in self._pair:
            end.close()

    def resume_reading(self) -> None: ...


class Client:
    """One connection on which calls are made, one after the other."""

    def __init__(self, server: HttpServer, path: bytes, session: bytes, calls: int) -> None:
        self._path = path
        self.done = asyncio.get_running_loop().create_future()
        self._session = session
        self._left = calls
        self._wire = Wire(self._next)
        self._connection = server._accept()
        self._connection.connection_made(cast(asyncio.Transport, self._wire))

    def _next(self, answer: bytes) -> None:
        assert b"ahoy" in answer, answer
        self.ask()

    def ask(self) -> None:
        if not self._left:
            self.done.set_result(None)
            self._wire.abort()
            return
        self._left -= 1
        body = BODY % (1_000_000_000 + self._left)
        self._connection.data_received(HEAD % (self._path, self._session, len(body), body))


async def measure(calls: int, virtual: bool) -> float:
    """Microseconds of processor time per call."""
    clock = SystemClock()
    sessions = OpenSessions(Sealer(bytes(32)), clock)
    pool = Pool()
    ours = authorities(8080)
    gateway = Gateway(MemoryStore(), pool, clock, ours, sessions, MemorySessions(clock))
    joined = MCPGroup.model_validate(GROUP), VirtualMCPServer.model_validate(VIRTUAL)
    table = build([MCPServer.model_validate(SERVER)], joined[:1], joined[1:])
    gateway.swap(table)
    server = HttpServer(gateway.handle, swift=gateway.swift)
    server._sweep()
    entry = table.entries[0]
    opened = sessions.open(entry.ref, "u", b"upstream", "2025-11-25", ANONYMOUS)
    if virtual:
        promises = b'[{},{"name":"bench","version":"1"}]'
        ref = table.virtuals[0].ref
        opened = sessions.open(ref, UID, promises, "2025-11-25", ANONYMOUS)
    id = opened.id.encode()
    lane = pool._lane(parse(f"http://{AT}/mcp"))
    for _ in range(CONNECTIONS):
        connect(lane)
    at_work = asyncio.ensure_future(gateway._virtuals.run())
    await clock.sleep(0)
    path = PATHS[virtual]
    first = Client(server, path, id, 1)
    first.ask()
    await first.done
    clients = [Client(server, path, id, calls // CONNECTIONS) for _ in range(CONNECTIONS)]
    began = time.process_time()
    for client in clients:
        asyncio.get_running_loop().call_soon(client.ask)
    await asyncio.gather(*(client.done for client in clients))
    taken = time.process_time() - began
    at_work.cancel()
    await asyncio.gather(at_work, return_exceptions=True)
    server._timer.cancel()
    pool._timer.cancel()
    return taken / calls * 1e6


def connect(lane: Any) -> None:
    """An idle connection to the upstream."""
    upstream = UpstreamConnection("there", 65536, lane)

    def hear(request: bytes) -> None:
        if b'"id":' not in request:
            upstream.data_received(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
            return
        at = request.index(b'"id":') + 5
        said = RESULT if b'"tools/call"' in request else WELCOME
        body = said % request[at : request.index(b",", at)]
        upstream.data_received(ANSWER % (len(body), body))

    upstream.connection_made(cast(asyncio.Transport, Wire(hear)))
    lane.freed(upstream)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--virtual", action="store_true")
    given = parser.parse_args()
    if given.profile:
        with cProfile.Profile() as profile:
            uvloop.run(measure(given.calls, given.virtual))
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    taken = [uvloop.run(measure(given.calls, given.virtual)) for _ in range(ROUNDS)]
    print(f"{min(taken):.2f} µs per call (of {', '.join(f'{t:.2f}' for t in taken)})")


if __name__ == "__main__":
    main()
