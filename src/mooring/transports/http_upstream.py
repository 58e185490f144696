"""The pool of connections to upstreams: TCP, TLS and Unix sockets.

What a caller needs to know after a failure is whether the request may have run. So
"UpstreamRefused" means that nothing was sent, and everything else that something may have
been. A request that must not run twice is never put on a connection that the upstream may
just be closing.
"""

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any, Final, TypedDict, Unpack

from mooring.core.address import Address
from mooring.errors import Unavailable
from mooring.transports.http_asking import Hearer, Stale, UpstreamConnection
from mooring.transports.http_head import Headers
from mooring.transports.http_lane import Lane, PoolLimits
from mooring.transports.http_reply import Chunks, Reply

__all__ = [
    "Chunks",
    "Conditions",
    "Headers",
    "Hearer",
    "Pool",
    "PoolLimits",
    "Reply",
    "Stale",
]

_DEFAULTS: Final = PoolLimits()
_SWEEP_SECONDS: Final = 0.25


class Conditions(TypedDict, total=False):
    """How a request is to be sent."""

    path: str
    """Path and query, instead of the address's own."""
    repeatable: bool
    """Whether it may run twice (True)."""
    seconds: float
    """For connecting, sending and waiting for the head of the answer (60)."""


class Pool:
    """Connections to any number of addresses, kept and used again."""

    def __init__(self, limits: PoolLimits = _DEFAULTS, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: None for the system's certificates."""
        self._limits = limits
        self._tls = tls
        self._lanes: dict[tuple[str, int, bool], Lane] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def send(
        self,
        address: Address,
        method: str,
        headers: Headers,
        body: bytes = b"",
        **conditions: Unpack[Conditions],
    ) -> Coroutine[Any, Any, Reply]:
        """Sends a request; returns when the head of its answer is there.

        Host, accept-encoding and the headers of framing are the pool's; those given are
        dropped. A deadline passes up to 0.25 s late. Raises Unavailable: "UpstreamRefused"
        (nothing was sent), "UpstreamReset" and "UpstreamTimeout" (it may have run),
        "UpstreamMalformed"; ValueError for a line break in a header or path.
        """
        return self._send(address, method, headers, body, conditions, None)

    def begin(
        self,
        hearer: Hearer,
        address: Address,
        method: str,
        headers: Headers,
        body: bytes = b"",
        **conditions: Unpack[Conditions],
    ) -> bool:
        """The same for whoever does not wait in a coroutine, if a connection is free for it.

        False where none is: nothing was sent, and `send` would have to wait. Else it hears the
        reply or what went wrong; after Stale, `resume` does what `send` would have done.
        """
        lane = self._lanes.get((address.socket or address.host, address.port, address.tls))
        if lane is None:
            return False
        request = lane.request(method, conditions.get("path") or address.path, headers, body)
        connection = lane.take(repeatable=conditions.get("repeatable", True))
        if connection is None:
            return False
        connection.deadline = lane.loop.time() + conditions.get("seconds", 60.0)
        try:
            connection.begin(request, hearer, bare=method == "HEAD")
        except Stale:
            return False
        return True

    def resume(
        self,
        stale: Stale,
        address: Address,
        method: str,
        headers: Headers,
        body: bytes = b"",
        **conditions: Unpack[Conditions],
    ) -> Coroutine[Any, Any, Reply]:
        """Goes on where the connection that `begin` had used turned out to be stale."""
        return self._send(address, method, headers, body, conditions, stale)

    async def _send(
        self,
        address: Address,
        method: str,
        headers: Headers,
        body: bytes,
        conditions: Conditions,
        stale: Stale | None,
    ) -> Reply:
        repeatable = conditions.get("repeatable", True)
        lane = self._lane(address)
        deadline = lane.loop.time() + conditions.get("seconds", 60.0)
        request = lane.request(method, conditions.get("path") or address.path, headers, body)
        connection = lane.take(repeatable=repeatable) if stale is None else None
        again, sent = repeatable, False
        while True:
            if stale is not None:
                if stale.sent and not again:
                    what = f"{lane.where} closed the connection without an answer"
                    raise Unavailable("UpstreamReset", what)
                repeatable = repeatable and not stale.sent
                sent = sent or stale.sent
            if connection is None:
                connection = await _opened(lane, deadline, sent=sent)
            again = repeatable and connection.asked
            connection.deadline = deadline
            try:
                return await connection.ask(request, bare=method == "HEAD")
            except Stale as newer:
                stale, connection = newer, None

    async def close(self) -> None:
        """Closes all connections; requests under way fail."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for lane in self._lanes.values():
            await lane.close()

    def _lane(self, address: Address) -> Lane:
        key = (address.socket or address.host, address.port, address.tls)
        lane = self._lanes.get(key)
        if lane is None:
            if self._closed:
                raise Unavailable("UpstreamRefused", "the pool of connections is closed")
            if address.tls and self._tls is None:
                self._tls = ssl.create_default_context()
            lane = self._lanes[key] = Lane(address, self._limits, self._tls)
            if self._timer is None:
                self._set_timer()
        return lane

    def _set_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Looks at every connection's deadline; rests while there are none."""
        now = asyncio.get_running_loop().time()
        for key, lane in tuple(self._lanes.items()):
            lane.sweep(now)
            if lane.unused:
                del self._lanes[key]
        self._timer = None
        if self._lanes:
            self._set_timer()


async def _opened(lane: Lane, deadline: float, *, sent: bool) -> UpstreamConnection:
    """A new connection; `sent`: the request was on another one before, and may have run."""
    try:
        return await lane.open(deadline)
    except Unavailable as error:
        if not sent or error.reason != "UpstreamRefused":
            raise
        what = f"{lane.where} closed the connection without an answer, and refuses another"
        raise Unavailable("UpstreamReset", what) from None


def _closed(lane: Lane) -> Unavailable:
    what = f"{lane.where} closed the connection without an answer"
    return Unavailable("UpstreamReset", what)
