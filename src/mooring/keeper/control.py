"""The keeper's HTTP protocol: what a daemon may ask.

    GET /v1/keeper                     KeeperState
    GET /v1/slots                      [SlotState]
    GET|PUT|DELETE /v1/slots/UID       SlotState (PUT of a SlotSpec starts it, DELETE forgets it)
    POST /v1/slots/UID/stop            Ending; 202, SlotState
    GET /v1/changes?since=N&wait=20    Changes, once there are any
    POST /v1/listeners                 ListenerSpec; ListenerState, the socket with its first byte
    POST /v1/shutdown                  Ending; 202; ends all children, then the keeper
    any  /i/UID                        the stdio instance itself, as Streamable HTTP

Bodies are JSON, of `core/keeping`. An error is a Refusal. Every answer tells the version of
the protocol (`mooring-protocol`). Only processes of the same user are answered.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec
from msgspec.structs import replace

from mooring.core.keeping import (
    PROTOCOL,
    Ending,
    KeeperState,
    ListenerSpec,
    Refusal,
    SlotSpec,
)
from mooring.errors import Denied, Invalid, MooringError, NotFound
from mooring.keeper.listeners import Listeners, state
from mooring.keeper.presence import Presence
from mooring.keeper.slots import Slots
from mooring.transports.http_server import Exchange, Headers

LONGEST_POLL = 60.0
"""Seconds that a long poll lasts at most, whatever is asked for."""
_HEADERS: Headers = (
    (b"content-type", b"application/json"),
    (b"mooring-protocol", b"%d" % PROTOCOL),
)
_OURSELVES = f"unix:{os.geteuid()}"
T = TypeVar("T")
Route = Callable[[Exchange, str], Awaitable[tuple[int, Any]]]


class Control:
    """Answers requests on the keeper's socket."""

    def __init__(
        self,
        about: KeeperState,
        slots: Slots,
        listeners: Listeners,
        presence: Presence,
        shut_down: Callable[[float], None],
    ) -> None:
        self._about = about
        self._slots = slots
        self._listeners = listeners
        self._presence = presence
        self._shut_down = shut_down
        self._routes: dict[tuple[str, str], Route] = {
            ("GET", "/v1/keeper"): self._keeper,
            ("GET", "/v1/slots"): self._list,
            ("GET", "/v1/slots/UID"): self._get,
            ("PUT", "/v1/slots/UID"): self._put,
            ("DELETE", "/v1/slots/UID"): self._forget,
            ("POST", "/v1/slots/UID/stop"): self._stop,
            ("GET", "/v1/changes"): self._changes,
            ("POST", "/v1/shutdown"): self._shutdown,
        }

    async def handle(self, exchange: Exchange) -> None:
        """Answers one request."""
        try:
            _check_peer(exchange)
            path = exchange.request.path
            if path.startswith("/i/"):
                await self._slots.occupant(path[3:]).handle(exchange)
                return
            with self._presence.here():
                await self._answer(exchange)
        except MooringError as error:
            refusal = Refusal(reason=error.reason, message=error.message)
            exchange.respond(error.status, _HEADERS, msgspec.json.encode(refusal))

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        if (request.method, request.path) == ("POST", "/v1/listeners"):
            await self._lend(exchange)
            return
        pattern, uid = _pattern(request.path)
        route = self._routes.get((request.method, pattern))
        if route is None:
            known = any(path == pattern for _, path in self._routes)
            if known or request.path == "/v1/listeners":
                words = f"{request.path} does not know {request.method}"
                raise Invalid("MethodNotAllowed", words)
            raise NotFound("NotFound", f"the keeper has no {request.path}")
        status, answer = await route(exchange, uid)
        exchange.respond(status, _HEADERS, msgspec.json.encode(answer))

    async def _keeper(self, exchange: Exchange, uid: str) -> tuple[int, Any]:
        return 200, replace(self._about, ending=self._slots.ending)

    async def _list(self, exchange: Exchange, uid: str) -> tuple[int, Any]:
        return 200, self._slots.states()

    async def _get(self, exchange: Exchange, uid: str) -> tuple[int, Any]:
        return 200, self._slots.state(uid)

    async def _put(self, exchange: Exchange, uid: str) -> tuple[int, Any]:
        spec = _body(exchange, SlotSpec)
        if spec.uid != uid:
            raise Invalid("BadRequest", f"the path names slot {uid}, the body {spec.uid}")
        return 200, await self._slots.put(spec)

    async def _forget(self, exchange: Exchange, uid: str) -> tuple[int, Any]:
        last = self._slots.state(uid)
        self._slots.forget(uid)
        return 200, last

    async def _stop(self, exchange: Exchange, uid: str) -> tuple[int, Any]:
        self._slots.stop(uid, _grace(exchange))
        return 202, self._slots.state(uid)

    async def _changes(self, exchange: Exchange, uid: str) -> tuple[int, Any]:
        asked = parse_qs(exchange.request.query)
        try:
            since = int(asked.get("since", ["0"])[0])
            wait = min(float(asked.get("wait", ["0"])[0]), LONGEST_POLL)
        except ValueError:
            raise Invalid("BadRequest", "since and wait are numbers") from None
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        exchange.on_gone(lambda: gone.set_result(None))
        return 200, await self._slots.changes(since, max(wait, 0.0), gone)

    async def _shutdown(self, exchange: Exchange, uid: str) -> tuple[int, Any]:
        grace = _grace(exchange)
        self._slots.mark_ending()
        self._shut_down(grace)
        return 202, replace(self._about, ending=True)

    async def _lend(self, exchange: Exchange) -> None:
        """Sends the answer past the server, because a descriptor has to go with its bytes."""
        spec = _body(exchange, ListenerSpec)
        listening = await self._listeners.get(spec)
        body = msgspec.json.encode(state(spec, listening))
        lines = [b"HTTP/1.1 200 OK", *(b"%b: %b" % header for header in _HEADERS)]
        lines += [b"content-length: %d" % len(body), b"connection: close", b"", body]
        with exchange.connection_socket() as connection, contextlib.suppress(OSError):
            socket.send_fds(connection, [b"\r\n".join(lines)], [listening.fileno()])
        exchange.abort()


def _pattern(path: str) -> tuple[str, str]:
    """The path with a slot's uid taken out of it."""
    parts = path.split("/")
    if len(parts) > 3 and parts[1:3] == ["v1", "slots"] and parts[3]:
        uid, parts[3] = parts[3], "UID"
        return "/".join(parts), uid
    return path, ""


def _body(exchange: Exchange, type: type[T]) -> T:
    """The document in a request; raises Invalid, never showing a value."""
    try:
        return msgspec.json.decode(exchange.request.body, type=type)
    except (msgspec.DecodeError, RecursionError) as error:
        words = error if isinstance(error, msgspec.ValidationError) else "this is not JSON"
        raise Invalid("BadRequest", f"not a {type.__name__}: {words}") from None


def _grace(exchange: Exchange) -> float:
    """Seconds; the default where the body is empty."""
    ending = _body(exchange, Ending) if exchange.request.body else Ending()
    return max(ending.grace, 0.0)


def _check_peer(exchange: Exchange) -> None:
    """Raises Denied unless our own user (or root) is at the other end."""
    if exchange.request.peer not in (_OURSELVES, "unix:0"):
        who = exchange.request.peer.removeprefix("unix:")
        raise Denied("Forbidden", f"this keeper belongs to uid {os.geteuid()}, not to {who}")
