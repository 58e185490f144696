"""Taking a request to an instance, and trying again where that can do no harm.

Where a connection was refused nothing was sent: the owner of a session is tried again for two
seconds, and what is bound to no instance goes to the next one. Where a connection was cut the
request may have run: it is sent again only if that cannot matter.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Collection

from msgspec import Struct

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.ejection import TRANSPORT, Ejections
from mooring.core.headers import Headers
from mooring.core.ids import same
from mooring.core.load import Load
from mooring.core.repeating import repeatable_call
from mooring.core.routing import Ask, Forward, Opening, Pinned, Reject, route
from mooring.core.table import Entry, Upstream
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.sessions.open_sessions import OpenSessions
from mooring.transports.http_upstream import Hearer, Pool, Reply, Stale

EntryOf = Callable[[Ref], Entry | None]
"""The entry of a server in the table that holds now."""

PATIENCE = 2.0
"""Seconds for which a refused connection is tried again."""
FIRST_PAUSE = 0.05
INSTANCES = 3
"""Instances that one request is offered to."""


class Parcel(Struct, frozen=True):
    """A request as it goes upstream."""

    method: str
    headers: Headers
    body: bytes
    repeatable: bool
    """It may be sent again although it may have run."""
    seconds: float
    """For the head of the answer to arrive."""
    tool: str | None = None
    """What it calls; at an instance where that tool is safe it may be sent again, too."""
    session: bytes | None = None
    """The key of its session, where it is a request of one."""
    id: bytes | None = None
    """Under which its client may take it back."""


class TakenBack(Exception):
    """The client has cancelled a request that waited to be tried again."""


class Sent:
    """A request on its way, or answered; counts as a call of its instance until closed."""

    __slots__ = ("load", "reply", "upstream")

    def __init__(self, upstream: Upstream, reply: Reply, load: Load) -> None:
        self.upstream = upstream
        self.reply = reply
        self.load: Load | None = load

    def close(self) -> None:
        """Ends the call; harmless twice. What was not read of the answer is given up."""
        if self.load is not None:
            self.load.calls -= 1
            self.load = None
            self.reply.abort()


class Courier:
    """Sends requests to instances."""

    def __init__(
        self, pool: Pool, sessions: OpenSessions, clock: Clock, entries: EntryOf | None = None
    ) -> None:
        """`entries` tells of a server as it is now, for requests that wait."""
        self._pool = pool
        self._sessions = sessions
        self._clock = clock
        self._entries = entries
        self.ejections = Ejections()
        self.pausing: dict[bytes, list[tuple[bytes, asyncio.Timeout]]] = {}
        """Requests that are to be tried again, by the key of their session."""
        self._turns = itertools.count(secrets.randbelow(1 << 16))  # gateways differ

    async def deliver(self, entry: Entry, ask: Ask, parcel: Parcel) -> Sent | Reject:
        """The answer of the instance that the request was routed to.

        Raises Unavailable where no instance could be reached, or the one that was did not
        answer; TakenBack where the client has cancelled the request before it was sent.
        """
        way = self.choose(entry, ask)
        if isinstance(way, Reject):
            return way
        try:
            return await self.send(way.to, parcel)
        except Unavailable as error:
            return await self._again(entry, ask, parcel, (way.to, error))

    def choose(self, entry: Entry, ask: Ask, without: Collection[str] = ()) -> Forward | Reject:
        """The instance that a request goes to; `without` has refused it already."""
        loads, turn = self._sessions.everywhere, next(self._turns)
        if self.ejections.failing and type(ask) is not Pinned:
            able = [upstream.uid for upstream in entry.standing]
            away = self.ejections.away(able, self._clock.monotonic())
            way = route(entry, ask, loads, turn, (*without, *away)) if away else None
            if isinstance(way, Forward):
                return way
        return route(entry, ask, loads, turn, without)

    async def send(self, upstream: Upstream, parcel: Parcel) -> Sent:
        """The answer of one instance, asked once."""
        load = self._sessions.load(upstream.uid)
        load.calls += 1
        try:
            reply = await self._pool.send(
                upstream.address, parcel.method, parcel.headers, parcel.body,
                repeatable=_repeatable(parcel, upstream), seconds=parcel.seconds,
            )  # fmt: skip
        except BaseException as error:
            self.missed(upstream, load, error)
            raise
        self.arrived(upstream)
        return Sent(upstream, reply, load)

    def begin(self, upstream: Upstream, parcel: Parcel, hearer: Hearer) -> Load | None:
        """Sends to one instance without waiting; None where that is not possible just now.

        Who hears the answer tells `arrived`, and counts the call out of the load that he was
        given; or `missed`, and goes on with `after`.
        """
        if not self._pool.begin(
            hearer, upstream.address, parcel.method, parcel.headers, parcel.body,
            repeatable=_repeatable(parcel, upstream), seconds=parcel.seconds,
        ):  # fmt: skip
            return None
        load = self._sessions.load(upstream.uid)
        load.calls += 1
        return load

    def arrived(self, upstream: Upstream) -> None:
        """An instance has answered."""
        if upstream.uid in self.ejections.failing:
            self.ejections.answered(upstream.uid, self._clock.monotonic())

    def missed(self, upstream: Upstream, load: Load, error: BaseException) -> None:
        """An instance has not answered a request that was counted."""
        load.calls -= 1
        if isinstance(error, Unavailable) and error.reason in TRANSPORT:
            self._unreached(upstream)

    async def after(
        self,
        entry: Entry,
        ask: Ask,
        parcel: Parcel,
        upstream: Upstream,
        error: Stale | Unavailable,
    ) -> Sent | Reject:
        """What `deliver` does once the instance that it chose did not answer."""
        if isinstance(error, Stale):
            try:
                return await self._resumed(upstream, parcel, error)
            except Unavailable as newer:
                error = newer
        return await self._again(entry, ask, parcel, (upstream, error))

    async def _resumed(self, upstream: Upstream, parcel: Parcel, stale: Stale) -> Sent:
        load = self._sessions.load(upstream.uid)
        load.calls += 1
        try:
            reply = await self._pool.resume(
                stale, upstream.address, parcel.method, parcel.headers, parcel.body,
                repeatable=_repeatable(parcel, upstream), seconds=parcel.seconds,
            )  # fmt: skip
        except BaseException as error:
            self.missed(upstream, load, error)
            raise
        self.arrived(upstream)
        return Sent(upstream, reply, load)

    def _unreached(self, upstream: Upstream) -> None:
        """Counts a transport failure."""
        seconds = self.ejections.failed(upstream.uid, self._clock.monotonic())
        if seconds:
            telemetry.event("instance.unreachable", instance=upstream.name, seconds=seconds)

    async def next_best(self, entry: Entry, parcel: Parcel, sent: Sent) -> Sent:
        """Offers an opening request that was answered with "too busy" to other instances.

        Returns the first better answer, else the last one.
        """
        refused = [sent.upstream.uid]
        while sent.reply.status in (429, 503) and len(refused) < INSTANCES:
            way = self.choose(entry, Opening(), refused)
            if isinstance(way, Reject):
                return sent
            refused.append(way.to.uid)
            try:
                better = await self.send(way.to, parcel)
            except Unavailable:
                continue
            sent.close()
            sent = better
        return sent

    async def _again(
        self, entry: Entry, ask: Ask, parcel: Parcel, first: tuple[Upstream, Unavailable]
    ) -> Sent | Reject:
        upstream, error = first
        deadline = self._clock.monotonic() + PATIENCE
        tried: list[str] = []
        pause = FIRST_PAUSE
        while True:
            tried.append(upstream.uid)
            if not _may_go_on(ask, parcel, error, upstream, len(tried)):
                raise error
            way = self._another(entry, ask, tried)
            if way is not None and not _may_repeat(parcel, error, way.to):
                raise error
            if way is None:
                if self._clock.monotonic() >= deadline or error.reason != "UpstreamRefused":
                    raise error
                await self._pause(parcel, pause)
                pause *= 2
                tried.clear()
                still = self._still(entry, ask, upstream)
                if isinstance(still, Reject):
                    return still
                way = still
            upstream = way.to
            try:
                return await self.send(upstream, parcel)
            except Unavailable as newer:
                error = newer

    def take_back(self, session: bytes, id: bytes | None) -> bool:
        """The client of that session cancels a request; whether it waited to be tried again."""
        pausing = self.pausing.get(session, [])
        found = [each for each in pausing if same(each[0], id)]
        for each in found:
            pausing.remove(each)
            each[1].reschedule(0)
        return bool(found)

    async def _pause(self, parcel: Parcel, seconds: float) -> None:
        """Raises TakenBack."""
        if parcel.session is None or parcel.id is None:
            await self._clock.sleep(seconds)
            return
        pausing = self.pausing.setdefault(parcel.session, [])
        try:
            async with asyncio.timeout(None) as limit:
                mine = (parcel.id, limit)
                pausing.append(mine)
                await self._clock.sleep(seconds)
        except TimeoutError:
            raise TakenBack from None
        finally:
            if mine in pausing:
                pausing.remove(mine)
            if not pausing:
                self.pausing.pop(parcel.session, None)

    def _still(self, entry: Entry, ask: Ask, upstream: Upstream) -> Forward | Reject:
        """The same one, unless it is an owner that has gone from the table meanwhile."""
        if type(ask) is not Pinned or self._entries is None:
            return Forward(upstream)
        now = self._entries(entry.ref)
        return Forward(upstream) if now is None else self.choose(now, ask)

    def _another(self, entry: Entry, ask: Ask, tried: list[str]) -> Forward | None:
        """An instance that was not tried yet; None where there is none, or it must be the owner."""
        if type(ask) is Pinned or len(tried) >= INSTANCES:
            return None
        way = self.choose(entry, ask, tried)
        return way if isinstance(way, Forward) else None


def _repeatable(parcel: Parcel, upstream: Upstream) -> bool:
    """Whether a request may run twice at this instance."""
    if parcel.tool in upstream.safe:
        return repeatable_call(parcel.tool, parcel.body, upstream.safe)
    return parcel.repeatable


def _may_go_on(
    ask: Ask, parcel: Parcel, error: Unavailable, upstream: Upstream, tries: int
) -> bool:
    """Whether a request may be sent again after this error of an instance."""
    if error.reason == "UpstreamRefused":
        return True
    return (
        error.reason == "UpstreamReset"
        and _may_repeat(parcel, error, upstream)
        and type(ask) is not Pinned
        and tries == 1
    )


def _may_repeat(parcel: Parcel, error: Unavailable, upstream: Upstream) -> bool:
    """Whether it is nothing to an instance that another one may have run the request."""
    if error.reason == "UpstreamRefused" or parcel.repeatable:
        return True
    return repeatable_call(parcel.tool, parcel.body, upstream.safe)
