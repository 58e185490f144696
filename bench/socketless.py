"""What a call costs in the gateway's own code: no sockets, connections fed by hand.

    python bench/socketless.py [--calls N] [--profile]

Clients are connections whose transport answers an answer with the next request; the upstream
is one whose transport answers a request at once. What is left is Python, and repeats to half a
microsecond, so that the worth of a change can be seen.
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
from mooring.kinds.server import MCPServer
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.seal import Sealer
from mooring.stores.memory import MemoryStore
from mooring.stores.sessions_memory import MemorySessions
from mooring.transports.http_asking import UpstreamConnection
from mooring.transports.http_server import HttpServer
from mooring.transports.http_upstream import Pool

CONNECTIONS = 16
ROUNDS = 5
AT = "127.0.0.1:1"
RESULT = b'{"jsonrpc":"2.0","id":%b,"result":{"content":[{"type":"text","text":"ahoy"}]}}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: upstream\r\n"
    b"content-length: %d\r\n\r\n%b"
)
BODY = (
    b'{"jsonrpc":"2.0","id":%d,"method":"tools/call",'
    b'"params":{"name":"echo","arguments":{"text":"ahoy"}}}'
)
HEAD = (
    b"POST /servers/json/mcp HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n"
    b"content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
    b"mcp-protocol-version: 2025-11-25\r\nmcp-session-id: %b\r\ncontent-length: %d\r\n\r\n%b"
)
SERVER = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "MCPServer",
    "metadata": {"name": "json"},
    "spec": {"source": {"url": f"http://{AT}/mcp"}},
    "status": {
        "instances": [
            {"name": "json-0", "uid": "u", "state": "Ready", "health": "healthy",
             "address": f"http://{AT}/mcp"}
        ],
        "phase": "Ready",
    },
}  # fmt: skip


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

    def __init__(self, server: HttpServer, session: bytes, calls: int) -> None:
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
        self._connection.data_received(HEAD % (self._session, len(body), body))


async def measure(calls: int) -> float:
    """Microseconds of processor time per call."""
    clock = SystemClock()
    sessions = OpenSessions(Sealer(bytes(32)), clock)
    pool = Pool()
    ours = authorities(8080)
    gateway = Gateway(MemoryStore(), pool, clock, ours, sessions, MemorySessions(clock))
    table = build([MCPServer.model_validate(SERVER)])
    gateway.swap(table)
    server = HttpServer(gateway.handle)
    server._sweep()
    entry = table.entries[0]
    id = sessions.open(entry.ref, "u", b"upstream", "2025-11-25", ANONYMOUS).id.encode()
    lane = pool._lane(parse(f"http://{AT}/mcp"))
    for _ in range(CONNECTIONS):
        connect(lane)
    clients = [Client(server, id, calls // CONNECTIONS) for _ in range(CONNECTIONS)]
    began = time.process_time()
    for client in clients:
        asyncio.get_running_loop().call_soon(client.ask)
    await asyncio.gather(*(client.done for client in clients))
    taken = time.process_time() - began
    server._timer.cancel()
    pool._timer.cancel()
    return taken / calls * 1e6


def connect(lane: Any) -> None:
    """An idle connection to the upstream."""
    upstream = UpstreamConnection("there", 65536, lane)

    def hear(request: bytes) -> None:
        at = request.index(b'"id":') + 5
        body = RESULT % request[at : request.index(b",", at)]
        upstream.data_received(ANSWER % (len(body), body))

    upstream.connection_made(cast(asyncio.Transport, Wire(hear)))
    lane.freed(upstream)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    if given.profile:
        with cProfile.Profile() as profile:
            uvloop.run(measure(given.calls))
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    taken = [uvloop.run(measure(given.calls)) for _ in range(ROUNDS)]
    print(f"{min(taken):.2f} µs per call (of {', '.join(f'{t:.2f}' for t in taken)})")


if __name__ == "__main__":
    main()
