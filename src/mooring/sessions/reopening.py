"""Opening a lost session anew at another instance, as its client opened it.

An instance is chosen as for a new session; it is sent the client's own `initialize`, with the
version that was negotiated and the credentials of the request that leads; what it answers must
keep every promise that the client was given; it hears that the client is initialized, and then
what was set since: the log level, the subscriptions. Three instances are asked at most, each by
no more than 32 recoveries at a time.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any, NamedTuple

import msgspec

from mooring.clock import Clock
from mooring.core.headers import SESSION_ID, Headers
from mooring.core.recovery import AT_ONCE, INSTANCES, WAIT, opened, promised, unkept
from mooring.core.routing import Opening, Reject
from mooring.core.session_record import SessionRecord
from mooring.core.table import Upstream
from mooring.errors import MooringError
from mooring.sessions.asking import Heard, in_the_name_of, knows, own_headers, tell
from mooring.sessions.courier import PATIENCE, Courier, EntryOf, Parcel
from mooring.sessions.seal import UPSTREAM_ID_LIMIT
from mooring.transports.members import NotAnObject, NotJson, spans

INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
DISMISS_SECONDS = 10.0
TURN_SECONDS = 30.0
"""For one of the places at an instance to become free."""
CROWDED = "it is still busy with other sessions"
_LOOK = 0.1
"""Seconds between two looks for an instance that is ready."""
_JITTER = 0.05
"""Seconds by which recoveries are spread that had to wait for their turn."""
_ID = "mooring-recovery"


class Taken(NamedTuple):
    """An instance has the session now."""

    upstream: Upstream
    upstream_id: bytes


class Passed(NamedTuple):
    """The instance asks who calls; the answer is for the request whose credentials were used."""

    heard: Heard


class Untaken(NamedTuple):
    """No instance has the session now."""

    message: str
    over: bool = False
    """The client knows another server than there is: the session ends."""
    final: bool = True
    """It was there and refused; else another one may be about to come in its place."""


class _Result(msgspec.Struct):
    protocolVersion: str = ""
    capabilities: dict[str, Any] = {}


class _Answer(msgspec.Struct):
    result: _Result | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class _Gate:
    """How many recoveries an instance is asked for."""

    __slots__ = ("places", "users")

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(AT_ONCE)
        self.users = 0


class Reopener:
    """Opens sessions anew; `entries` tells which instances there are now."""

    def __init__(self, courier: Courier, entries: EntryOf, clock: Clock, via: bytes) -> None:
        self._courier = courier
        self._entries = entries
        self._clock = clock
        self._via = via
        self._gates: dict[str, _Gate] = {}
        self._chance = Random()

    async def reopen(self, record: SessionRecord, headers: Headers) -> Taken | Passed | Untaken:
        """Has an instance take the session of this record.

        `headers`: those of the request that leads, as they go upstream.
        """
        tried: list[str] = []
        why = ""
        limit = soon = self._clock.monotonic() + WAIT
        while len(tried) < INSTANCES:
            entry = self._entries(record.server)
            if entry is None:
                return Untaken(f"{record.server} is gone", over=True)
            way = self._courier.choose(entry, Opening(), tried)
            if isinstance(way, Reject):
                why = why or way.message
                there = any(uid in entry.upstreams for uid in tried)
                if self._clock.monotonic() >= (soon if there else limit):
                    break
                await self._clock.sleep(_LOOK)
                continue
            tried.append(way.to.uid)
            async with self._turn(way.to.uid) as placed:
                found = await self._at(way.to, record, headers) if placed else Untaken(CROWDED)
            if isinstance(found, Taken | Passed) or found.over:
                return found
            why = f"{way.to.name}: {found.message}"
            soon = self._clock.monotonic() + (0.0 if found.final else PATIENCE)
        return Untaken(why)

    async def renew(self, record: SessionRecord, taken: Taken, headers: Headers) -> None:
        """Tells an instance that took a session what was set in it. Raises Unavailable."""
        ours = in_the_name_of(headers, taken.upstream_id, record.version)
        for body in replayed(record):
            await tell(self._courier, taken.upstream, ours, body)

    async def knows(self, upstream: Upstream, upstream_id: bytes, version: str) -> bool:
        """Whether an instance still knows a session, or does not say; it is sent a ping."""
        return await knows(self._courier, upstream, own_headers(self._via, upstream_id, version))

    async def dismiss(self, upstream: Upstream, upstream_id: bytes, version: str) -> None:
        """Ends a session upstream that no client will use; best effort."""
        headers = own_headers(self._via, upstream_id, version)
        parcel = Parcel("DELETE", headers, b"", repeatable=True, seconds=DISMISS_SECONDS)
        try:
            (await self._courier.send(upstream, parcel)).close()
        except MooringError:
            return  # it ends by its own idleness

    async def _at(
        self, upstream: Upstream, record: SessionRecord, headers: Headers
    ) -> Taken | Passed | Untaken:
        """What comes of asking one instance."""
        try:
            body = initialize(record)
            heard = await tell(self._courier, upstream, in_the_name_of(headers), body)
        except MooringError as error:
            return Untaken(error.message, final=error.reason != "UpstreamRefused")
        upstream_id = heard.header(SESSION_ID)
        result = _result(heard.message)
        read = result is not None and 0 < len(upstream_id or b"") <= UPSTREAM_ID_LIMIT
        kept = ""
        if result is not None:
            offered = promised(result.capabilities)
            kept = unkept(record.version, record.capabilities, result.protocolVersion, offered)
        found: Taken | Passed | Untaken
        match opened(heard.status, kept, read=read):
            case "passed":
                found = Passed(heard)
            case "next":
                words = f"it answered initialize with HTTP {heard.status}"
                found = Untaken(words, final=heard.status not in (404, 503))
            case "other":
                found = Untaken(kept, over=True)
            case "taken":
                found = await self._greeted(Taken(upstream, upstream_id or b""), record, headers)
        if upstream_id and not isinstance(found, Taken):
            await self.dismiss(upstream, upstream_id, record.version)
        return found

    async def _greeted(
        self, taken: Taken, record: SessionRecord, headers: Headers
    ) -> Taken | Passed | Untaken:
        """It hears that the client is initialized, and what was set."""
        ours = in_the_name_of(headers, taken.upstream_id, record.version)
        try:
            heard = await tell(self._courier, taken.upstream, ours, INITIALIZED)
            if opened(heard.status, "", read=True) == "passed":
                return Passed(heard)
            if heard.status >= 300:
                what = f"it answered notifications/initialized with HTTP {heard.status}"
                return Untaken(what)
            await self.renew(record, taken, headers)
        except MooringError as error:
            return Untaken(error.message)
        return taken

    @asynccontextmanager
    async def _turn(self, uid: str) -> AsyncIterator[bool]:
        """One of the places at an instance, if one is free in time; those who wait come spread."""
        gate = self._gates.setdefault(uid, _Gate())
        gate.users += 1
        placed = False
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(TURN_SECONDS):
                    if gate.places.locked():
                        await self._clock.sleep(self._chance.random() * _JITTER)
                    placed = await gate.places.acquire()
            yield placed
        finally:
            if placed:
                gate.places.release()
            gate.users -= 1
            if not gate.users:
                del self._gates[uid]


def initialize(record: SessionRecord) -> bytes:
    """The client's own `initialize`, asking for the version that was negotiated."""
    params = record.initialize or b"{}"
    version = json.dumps(record.version).encode()
    try:
        found = spans(params)
    except (NotJson, NotAnObject):
        found, params = [], b"{}"
    for key, start, end in found:
        if key == "protocolVersion":
            params = params[:start] + version + params[end:]
            break
    else:
        rest = params[params.index(b"{") + 1 :]
        comma = b"" if not found else b","
        params = b'{"protocolVersion":' + version + comma + rest
    return b'{"jsonrpc":"2.0","id":"%b","method":"initialize","params":%b}' % (_ID.encode(), params)


def replayed(record: SessionRecord) -> list[bytes]:
    """The requests that set again what a client has set."""
    told: list[tuple[str, dict[str, str]]] = []
    if record.log_level:
        told.append(("logging/setLevel", {"level": record.log_level}))
    told += [("resources/subscribe", {"uri": uri}) for uri in record.subscriptions]
    return [
        json.dumps({"jsonrpc": "2.0", "id": f"{_ID}-{n}", "method": method, "params": params})
        .encode()
        for n, (method, params) in enumerate(told)
    ]  # fmt: skip


def _result(message: bytes) -> _Result | None:
    try:
        return _decode(message).result
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
