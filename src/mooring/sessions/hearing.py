"""What other gateways do with sessions, heard from the store of their records.

A session that ended elsewhere has ended here; one that moved is followed at once, off the path
of any request. While the store is away nothing is heard, and afterwards every session is looked
up again when it is used.
"""

import logging

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.session_record import Gap, Moved
from mooring.errors import MooringError
from mooring.sessions.books import Books
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.recovery import Recovery
from mooring.sessions.tally import Tally

PAUSE = 1.0
"""Seconds until a store that went away is listened to again; doubled while it stays away."""
LONGEST_PAUSE = 8.0


class Hearing:
    """Keeps the sessions of a gateway up to date."""

    def __init__(
        self,
        sessions: OpenSessions,
        books: Books,
        recovery: Recovery,
        tally: Tally,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._books = books
        self._recovery = recovery
        self._tally = tally
        self._clock = clock

    async def run(self) -> None:
        """Listens, for ever."""
        pause = PAUSE
        while True:
            try:
                async for change in self._books.store.changes():
                    if isinstance(change, Gap):
                        pause, self._tally.store = PAUSE, ""
                        self._sessions.doubt()
                        await self._books.pay()
                    else:
                        self._heed(change)
            except MooringError as error:
                self._tally.store = error.message
                telemetry.event("sessions.unheard", logging.WARNING, error=error.message)
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _heed(self, change: Moved) -> None:
        session = self._sessions.known(change.key)
        if change.ended:
            self._sessions.end_too(change.key)
        elif session is not None and change.revision != session.revision:
            self._recovery.look(session)
