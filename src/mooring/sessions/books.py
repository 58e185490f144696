"""The records of sessions, as a gateway reads and writes them.

A record that could not be written because the store was away is owed, and written later; the
session goes on meanwhile. Nothing here is on the path of an ordinary request.
"""

from collections import OrderedDict
from contextlib import suppress
from typing import NamedTuple

from mooring.clock import Clock
from mooring.core.session_record import Held, SessionRecord, SessionStore, Until
from mooring.errors import Conflict, Unavailable
from mooring.sessions.journal import noted
from mooring.sessions.open_sessions import IDLE_SECONDS, Session
from mooring.sessions.records import Records

TRIES = 5
"""Times that a record is written anew because somebody else wrote it meanwhile."""
OWED = 10_000
"""Records that are kept for a store that is away; past it the oldest are given up."""
LATE = 600.0
"""Seconds by which records are told too late that they are in use."""


class Page(NamedTuple):
    """A record as it was read."""

    record: SessionRecord
    revision: int


class Ended(NamedTuple):
    """The session is over, for everybody."""

    last: SessionRecord | None = None
    """What was known of it."""


class Books:
    """Reads and writes the records of one installation."""

    def __init__(
        self, store: SessionStore, records: Records, clock: Clock, idle: float = IDLE_SECONDS
    ) -> None:
        self.store = store
        self._records = records
        self._clock = clock
        self._idle = idle
        self._owed: OrderedDict[bytes, SessionRecord] = OrderedDict()

    async def enter(self, session: Session, initialize: bytes, promises: tuple[str, ...]) -> None:
        """Writes the record of a session that has just been opened."""
        told = session.sealed
        record = SessionRecord(
            server=told.server,
            uid=told.uid,
            upstream_id=told.upstream_id,
            version=told.version,
            identity=told.identity,
            expires=told.expires,
            initialize=initialize,
            capabilities=promises,
        )
        try:
            session.revision = await self._create(session.key, record)
        except Unavailable:
            self._owed[session.key] = record
            if len(self._owed) > OWED:
                self._owed.popitem(last=False)

    async def pay(self) -> None:
        """Writes what is owed. Raises Unavailable while the store is still away."""
        while self._owed:
            key, record = next(iter(self._owed.items()))
            with suppress(Conflict):  # it is there, or has ended meanwhile
                await self._create(key, record)
            self._owed.pop(key, None)

    async def read(self, key: bytes) -> Page | Ended | None:
        """The record of a session; None where there is none. Raises Unavailable."""
        held = await self.store.read(key)
        return None if held is None else self._opened(held)

    async def write(self, key: bytes, page: Page, record: SessionRecord) -> Page | None:
        """Writes another record in the place of this page.

        None: somebody else was faster; read it again. Raises Unavailable.
        """
        try:
            held = await self.store.replace(key, self._records.seal(key, record), page.revision)
        except Conflict:
            return None
        return Page(record, held.revision)

    async def note(self, session: Session, request: bytes) -> None:
        """Puts what a client has set into the journal. Raises Unavailable."""
        for _ in range(TRIES):
            page = await self.read(session.key)
            if not isinstance(page, Page):
                return
            record = noted(page.record, request)
            if record is page.record:
                return
            written = await self.write(session.key, page, record)
            if written is not None:
                session.revision = written.revision
                return

    async def end(self, session: Session) -> Ended | None:
        """Leaves a tombstone; None where there was one. Raises Unavailable."""
        self._owed.pop(session.key, None)
        held = await self.store.end(session.key, session.sealed.expires)
        return None if held is None else Ended(self._records.open(held.key, held.value))

    async def _create(self, key: bytes, record: SessionRecord) -> int:
        until = Until(self._clock.now().timestamp() + self._idle + LATE, record.expires)
        return (await self.store.create(key, self._records.seal(key, record), until)).revision

    def _opened(self, held: Held) -> Page | Ended | None:
        if held.is_over(self._clock.now().timestamp()):
            return Ended(self._records.open(held.key, held.value) if held.value else None)
        record = self._records.open(held.key, held.value)
        return None if record is None else Page(record, held.revision)
