"""The commonest request, without a task: a call of a session whose owner answers at once.

Nothing here has to wait: the session and its owner are known, a connection is free, and the
answer comes in one piece. Whatever turns out otherwise goes on in a task, from just where it is,
by the same code as all other requests; and every decision is that code's.
"""

from collections.abc import Callable

from mooring.core.load import Load
from mooring.core.routing import Forward
from mooring.core.table import Upstream
from mooring.errors import MooringError, Unavailable
from mooring.gateway.call import Call
from mooring.gateway.carrying import DOUBTFUL, Found, carry_on
from mooring.gateway.posting import bring_back, parcel
from mooring.gateway.relay import pass_whole
from mooring.gateway.trip import Trip
from mooring.sessions.courier import Parcel, Sent, TakenBack
from mooring.sessions.open_sessions import Session
from mooring.transports.http_server import ClientGone, HttpServer
from mooring.transports.http_upstream import Reply, Stale


class SwiftTrip:
    """One such request; hears the answer of its upstream."""

    __slots__ = (
        "_generation", "_host", "_load", "_parcel", "_session", "_tell", "_trip", "_upstream",
    )  # fmt: skip

    # From `begin` on:
    _load: Load
    _parcel: Parcel
    _upstream: Upstream

    def __init__(
        self, trip: Trip, session: Session, host: HttpServer, tell: Callable[[Call], None]
    ) -> None:
        """`tell` counts the call once it is answered."""
        self._trip = trip
        self._session = session
        self._host = host
        self._tell = tell
        self._generation = session.generation

    def begin(self) -> bool:
        """Sends the request; False where that would take waiting, and nothing was done."""
        trip = self._trip
        courier = trip.plant.courier
        way = courier.choose(trip.entry, trip.ask)
        if type(way) is not Forward:
            return False
        self._upstream = way.to
        self._parcel = parcel(trip)
        load = courier.begin(way.to, self._parcel, self)
        if load is None:
            return False
        self._load = load
        self._session.calls += 1
        return True

    def hear(self, reply: Reply) -> None:
        """The owner has answered."""
        trip, host = self._trip, self._host
        call = trip.call
        trip.plant.courier.arrived(self._upstream)
        if reply.complete is None or reply.status in DOUBTFUL:
            host.goes_on(call.exchange, self._go_on(Sent(self._upstream, reply, self._load)))
            return
        try:
            pass_whole(call, trip.answer(reply, self._session))
        except Exception as error:  # noqa: BLE001 - the top of a request
            call.outcome = "failed"
            host.failed(call.exchange, error)
        else:
            host.finished(call.exchange)
        finally:
            self._load.calls -= 1
            self._end()

    def fail(self, error: Stale | Unavailable) -> None:
        """It has not, or not to the end."""
        trip = self._trip
        trip.plant.courier.missed(self._upstream, self._load, error)
        self._host.goes_on(trip.call.exchange, self._go_on(error))

    async def _go_on(self, found: Sent | Stale | Unavailable) -> None:
        trip, call = self._trip, self._trip.call
        try:
            met: Found = found if isinstance(found, Sent) else await self._tried_again(found)
            sent = await carry_on(trip, self._session, met, self._generation, parcel)
            if sent is not None:
                await bring_back(trip, sent, self._session)
        except TakenBack:
            trip.take_back()
        except ClientGone:
            call.outcome = "gone"
        except MooringError as error:
            call.fail(error)
        finally:
            self._end()

    async def _tried_again(self, error: Stale | Unavailable) -> Found:
        trip = self._trip
        try:
            return await trip.plant.courier.after(
                trip.entry, trip.ask, self._parcel, self._upstream, error
            )
        except Unavailable as newer:
            return newer

    def _end(self) -> None:
        session = self._session
        session.calls -= 1
        session.used_at = self._trip.plant.clock.monotonic()
        self._tell(self._trip.call)
