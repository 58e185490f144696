"""A small MCP server on a loopback port, for tests of whatever talks to one.

It speaks real HTTP. By itself it opens sessions and says who it is; a test that needs more gives
it another behaviour.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Self

from mooring.core.address import Address
from mooring.transports.http_server import Exchange, HttpServer, Request

JSON = (b"content-type", b"application/json")
SSE = (b"content-type", b"text/event-stream")


def message(method: str, id: Any = None, **params: Any) -> bytes:
    """A request, or a notification where there is no id."""
    told: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(told if id is None else told | {"id": id}, separators=(",", ":")).encode()


def result(id: Any, **members: Any) -> bytes:
    """A response."""
    told = {"jsonrpc": "2.0", "id": id, "result": members}
    return json.dumps(told, separators=(",", ":")).encode()


def failure(id: Any, code: int, text: str = "no") -> bytes:
    """An error response."""
    told = {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}}
    return json.dumps(told, separators=(",", ":")).encode()


class Standin:
    """Use as a context: it listens within.

    `behaviour`, where given, answers instead of `serve`. `seen` has every request that came;
    `arrived` is set when one comes, `gone` when a client disconnects too early. A stream that
    it opens goes on until `proceed` is set.
    """

    def __init__(self, name: str = "standin") -> None:
        self.name = name
        self.uid = f"uid-{name}"
        self.sessions: set[str] = set()
        self.opened = 0
        self.seen: list[Request] = []
        self.behaviour: Callable[[Exchange], Awaitable[None]] | None = None
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.proceed = asyncio.Event()
        self.address = Address("127.0.0.1", 0, "/mcp")
        self._server = HttpServer(self._handle)

    async def __aenter__(self) -> Self:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.address.port))
        self.address = Address("127.0.0.1", sock.getsockname()[1], "/mcp")
        await self._server.listen(sock)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def serve(self, exchange: Exchange) -> None:
        """What a well-behaved server does."""
        request = exchange.request
        id = (request.header(b"mcp-session-id") or b"").decode()
        if id and id not in self.sessions:
            exchange.respond(404, (JSON,), failure(None, -32600, "Session not found"))
        elif request.method == "GET":
            await self.stream(exchange)
        elif request.method == "DELETE":
            self.sessions.discard(id)
            exchange.respond(200)
        else:
            self._converse(exchange, json.loads(request.body), id)

    def _converse(self, exchange: Exchange, told: dict[str, Any], session: str) -> None:
        if told.get("method") == "initialize":
            self.opened += 1
            session = f"{self.name}-session-{self.opened}"
            self.sessions.add(session)
            answer = result(
                told["id"],
                protocolVersion="2025-11-25",
                capabilities={"tools": {}},
                serverInfo={"name": self.name, "version": "1"},
            )
            exchange.respond(200, (JSON, (b"mcp-session-id", session.encode())), answer)
        elif "id" not in told or "method" not in told:
            exchange.respond(202)
        else:
            exchange.respond(200, (JSON,), result(told["id"], who=self.name, session=session))

    async def stream(self, exchange: Exchange) -> None:
        """Says hello, then waits for `proceed`."""
        exchange.start(200, (SSE,))
        await exchange.write(b": hello\n\n")
        await self.proceed.wait()
        exchange.finish()

    async def _handle(self, exchange: Exchange) -> None:
        self.seen.append(exchange.request)
        exchange.on_gone(self.gone.set)
        self.arrived.set()
        await (self.behaviour or self.serve)(exchange)
