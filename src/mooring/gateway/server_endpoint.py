"""The endpoint of one server: its instances, spoken to as the client speaks to us.

What differs between the journeys is what a client's disconnect means. In the session era a
call goes on without its client; a GET stream, and every call of the stateless era, ends with it.
"""

from mooring.core.era import STATELESS
from mooring.core.headers import SESSION_ID
from mooring.core.table import Entry
from mooring.gateway.alone import post_alone
from mooring.gateway.call import Call
from mooring.gateway.carrying import is_settled
from mooring.gateway.ending import end
from mooring.gateway.leash import Leash
from mooring.gateway.listening import listen
from mooring.gateway.opening import open_session
from mooring.gateway.posting import post, post_in_session
from mooring.gateway.subscribing import subscribe, take_leave
from mooring.gateway.trip import Plant, Trip
from mooring.sessions.journal import METHODS
from mooring.sessions.open_sessions import Session

UNKNOWN = "there is no such session, or it has ended; initialize again"
LISTEN = "subscriptions/listen"


def _refuse_era(call: Call) -> None:
    """What a server says that knows the other era only, so that clients fall back."""
    if call.era == "stateless":
        call.refuse(404, "SessionsOnly", "Method not found: this server serves sessions only")
        return
    words = "this server serves the stateless era; the initialize handshake is not accepted"
    call.refuse(400, "StatelessOnly", words, supported=[STATELESS.decode()])


class ServerEndpoint:
    """Answers for one server of the table."""

    def __init__(self, entry: Entry, plant: Plant) -> None:
        self._entry = entry
        self._plant = plant

    async def answer(self, call: Call) -> None:
        """See `Endpoint`."""
        if self._entry.eras not in ("auto", call.era):
            _refuse_era(call)
            return
        session: Session | None = None
        given = call.headers.get(SESSION_ID)
        if given is not None and call.era == "session":
            session = self._plant.sessions.find(given.decode("latin-1"))
            if session is None:
                call.refuse(404, "SessionLost", UNKNOWN)
                return
        trip = Trip(self._plant, self._entry, call, session)
        if session is not None and not trip.is_ours:
            call.refuse(404, "SessionLost", UNKNOWN)
            return
        method = call.request.method
        if method == "DELETE":
            await end(trip)
        elif method == "GET" or call.era == "stateless":
            await self._leashed(trip)
        elif session is None:
            opening = call.message is not None and call.message.method == "initialize"
            await (open_session(trip) if opening else post(trip))
        else:
            session.calls += 1
            try:
                await post_in_session(trip, session)
            finally:
                session.calls -= 1
                session.used_at = self._plant.clock.monotonic()

    def swift(self, call: Call) -> tuple[Trip, Session] | None:
        """The journey of a call that has nothing to wait for but the owner of its session.

        None for any other; `answer` decides again.
        """
        message = call.message
        given = call.headers.get(SESSION_ID)
        if given is None or message is None or message.type != "request":
            return None
        if call.era == "stateless" or self._entry.eras not in ("auto", call.era):
            return None
        if message.method in METHODS or message.method == "initialize":
            return None
        session = self._plant.sessions.find(given.decode("latin-1"))
        if session is None or not is_settled(session):
            return None
        return Trip(self._plant, self._entry, call, session), session

    async def _leashed(self, trip: Trip) -> None:
        """A journey that ends when the client leaves, or when the gateway closes its streams."""
        call = trip.call
        message = call.message
        endless = message is None or message.method == LISTEN
        with Leash(self._plant.streams if endless else None) as leash:
            call.exchange.on_gone(leash.pull)
            if message is None:
                await listen(trip)
            else:
                await (subscribe(trip) if endless else post_alone(trip))
        if not leash.pulled:
            return
        if not call.delivered:
            call.outcome = "gone"
        if not call.exchange.started:
            call.refuse(503, "Draining", "this Mooring is going away; try again")
        elif not call.exchange.ended:
            await take_leave(call)
