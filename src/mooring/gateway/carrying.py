"""A message of a session on its way to the session's owner, whatever it meets.

Mostly the owner answers, and that is all. Else `core/recovery` says what is done: the request
waits while the session gets a new owner, is sent once more, fails alone, or is answered that
nobody knows whether it ran.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mooring.core.bridging import OUTCOME_UNKNOWN
from mooring.core.headers import NOSNIFF, downwards
from mooring.core.loss import suspicious
from mooring.core.recovery import Met, Part, Verdict, part, verdict
from mooring.core.routing import Reject
from mooring.errors import MooringError, Unavailable
from mooring.gateway.relay import Answer, settle
from mooring.gateway.trip import Trip
from mooring.sessions.courier import Parcel, Sent
from mooring.sessions.open_sessions import Session
from mooring.sessions.recovery import Challenged, Failed, Lost, Moved, Withdrawn

DOUBTFUL = (400, 404)
"""Statuses that may mean that the owner knows the session no more."""
LOST = "the server has forgotten this session; initialize again"
UNKNOWN = f"the connection to the server was lost; {OUTCOME_UNKNOWN}"
ENDED = "the session has ended; initialize again"
OUT_OF_REACH = "NotRoutableHere"
AGAIN = "the instance that had taken the session over is gone, too"
Found = Sent | Reject | Unavailable
"""What came of sending a message."""
_MET: dict[str, Met] = {
    "UpstreamRefused": "refused",
    "UpstreamReset": "cut",
    "UpstreamTimeout": "silent",
}


async def carry(
    trip: Trip, session: Session, parcel: Parcel, remake: Callable[[Trip], Parcel]
) -> Sent | None:
    """The answer of the owner; None where the client was answered without one.

    `remake` makes the parcel anew for another owner. Raises Unavailable, and TakenBack.
    """
    generation = session.generation
    found: Found | None = None
    if is_settled(session):
        try:
            found = await trip.plant.courier.deliver(trip.entry, trip.ask, parcel)
        except Unavailable as error:
            found = error
        if type(found) is Sent and found.reply.status not in DOUBTFUL:
            return found
    return await carry_on(trip, session, found, generation, remake)


def is_settled(session: Session) -> bool:
    """Whether a message can go to the owner of the session without ado."""
    return session.looked and not session.moving


async def carry_on(
    trip: Trip,
    session: Session,
    found: Found | None,
    generation: int,
    remake: Callable[[Trip], Parcel],
) -> Sent | None:
    """The same from what was found at the owner of that generation; None: it was not sent yet."""
    if type(found) is Sent and found.reply.status not in DOUBTFUL:
        return found
    return await _Errand(trip, session, remake).go_on(found, generation)


class _Errand:
    """What has become of one message so far."""

    def __init__(self, trip: Trip, session: Session, remake: Callable[[Trip], Parcel]) -> None:
        self._trip = trip
        self._session = session
        self._remake = remake
        self._replayed = False
        """It was sent to a second owner."""
        self._cut = False
        """It may have run, and is sent again nonetheless."""

    async def go_on(self, found: Found | None, generation: int) -> Sent | None:
        """From what was found at the owner of that generation; None: it was not sent yet."""
        plant, session = self._trip.plant, self._session
        while True:
            late = self._cut and session.generation != generation
            if found is None and not session.moving and not late:
                generation, found = await self._send()
            if plant.sessions.has_ended(session):
                _let_go(found)
                self._trip.call.refuse(404, "SessionLost", ENDED)
                return None
            if self._has_moved(found, generation):
                found = None
                continue
            with _kept(found):
                what = await self._verdict(found, generation)
            if what == "pass":
                return self._passed(found)
            _let_go(found)
            if not await self._does(what, found, generation):
                return None
            found = None

    def _has_moved(self, found: Found | None, generation: int) -> bool:
        """Whether it was for an owner who is gone, and the session has one again meanwhile."""
        trip = self._trip
        if not isinstance(found, Reject) or not trip.is_ours or found.reason == OUT_OF_REACH:
            return False
        if self._part() == "aside":
            return False  # what it is about went with the owner who is gone
        trip.refresh()
        return trip.has_owner and not (self._cut and self._session.generation != generation)

    async def _verdict(self, found: Found | None, generation: int) -> Verdict:
        """What to do about what was found. Raises Unavailable where that says it all."""
        met = await self._met(found, generation)
        if met is None:
            return "pass"
        if self._cut and met in ("gone", "forgotten"):
            met = "exited"
        return verdict(met, self._part(), repeated=self._cut, replayed=self._replayed)

    async def _does(self, what: Verdict, found: Found | None, generation: int) -> bool:
        """Whether the message is to be sent now; else the client was answered."""
        if what == "recover":
            return await self._recovered(generation)
        if what == "repeat":
            self._cut = True
            return True
        self._give_up(what, found)
        return False

    async def _send(self) -> tuple[int, Found]:
        """Sends it to the owner, and looks the session up beside that where that is to be done."""
        trip, session = self._trip, self._session
        looking = None if session.looked else trip.plant.recovery.look(session)
        trip.refresh()
        if looking is not None and not trip.has_owner:
            await asyncio.wait([looking])
        generation = session.generation
        found: Found
        try:
            found = await trip.plant.courier.deliver(trip.entry, trip.ask, self._remake(trip))
        except Unavailable as error:
            found = error
        if looking is not None:
            with _kept(found):
                await asyncio.wait([looking])
        return generation, found

    async def _met(self, found: Found | None, generation: int) -> Met | None:
        """What trouble this is; None for an answer to pass on."""
        if found is None:
            return "gone"
        if isinstance(found, Reject):
            there = found.reason == OUT_OF_REACH or not self._trip.is_ours
            return None if there else "gone"
        if isinstance(found, Unavailable):
            met = _MET.get(found.reason)
            if met is None:
                raise found
            return met
        return "forgotten" if await self._is_lost(found, generation) else None

    async def _is_lost(self, sent: Sent, generation: int) -> bool:
        """Whether this means that the owner knows the session no more.

        It is asked, where it may mean something else: a 400, and the 404 of a server that has no
        stream to GET.
        """
        status = sent.reply.status
        recovery = self._trip.plant.recovery
        if status not in DOUBTFUL:
            return False
        if status == 404:
            if self._trip.call.message is not None:
                return True
            return await recovery.confirms(self._session, generation, sent.upstream)
        answer = Answer(sent.reply)
        try:
            await settle(answer, sent.reply)
        except MooringError:
            return False
        if not suspicious(answer.status, answer.whole or b""):
            return False
        return await recovery.confirms(self._session, generation, sent.upstream)

    def _part(self) -> Part:
        """What this message is, at the instance that it was sent to."""
        message = self._trip.call.message
        if message is None:
            return "stream"
        return part(message.type, message.method, harmless=self._trip.is_harmless)

    async def _recovered(self, generation: int) -> bool:
        """Waits until the session has an owner again; else answers the client, and is False."""
        trip, session, call = self._trip, self._session, self._trip.call
        if trip.entry.recovery == "fail":
            await trip.end_session(session)
            call.refuse(404, "SessionLost", LOST)
            return False
        outcome = await trip.plant.recovery.recover(session, generation, trip.headers(), call.id)
        match outcome:
            case Moved(by_others):
                trip.refresh()
                self._cut = False
                self._replayed = self._replayed or not by_others
                return True
            case Lost(message):
                call.refuse(404, "SessionLost", message)
            case Failed(reason, message):
                call.refuse(503, reason, message)
            case Challenged(heard):
                call.outcome = "refused"
                call.respond(heard.status, downwards(heard.headers), heard.message)
            case Withdrawn():
                trip.take_back()
        return False

    def _passed(self, found: Found | None) -> Sent | None:
        """The answer to pass on; routing's own answer is given here."""
        if isinstance(found, Reject):
            self._trip.reject(found)
        elif self._session.absent and isinstance(found, Sent) and found.reply.status < 300:
            self._trip.plant.recovery.put_back(self._session)
        return found if isinstance(found, Sent) else None

    def _give_up(self, what: Verdict, found: Found | None) -> None:
        """Answers in words, or with 202 where nobody waits for any."""
        call = self._trip.call
        if what == "drop":
            call.respond(202, (NOSNIFF,))
        elif what == "unknown":
            call.refuse(503, "OutcomeUnknown", UNKNOWN)
        elif isinstance(found, Unavailable):
            raise found
        else:
            raise Unavailable("RecoveryFailed", AGAIN)


@contextmanager
def _kept(found: Found | None) -> Iterator[None]:
    """Lets an answer go whose client leaves while it is thought about."""
    try:
        yield
    except BaseException:
        _let_go(found)
        raise


def _let_go(found: Found | None) -> None:
    if isinstance(found, Sent):
        found.close()
