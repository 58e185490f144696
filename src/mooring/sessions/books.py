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
from mooring.sessions.open_sessions import USUAL, Session, Terms
from mooring.sessions.records import Records

TRIES = 5
"""Times that a record is written anew because somebody else wrote it meanwhile."""
OWED = 10_000
"""Records that are kept for a store that is away; past it the oldest are given up."""


class Page(NamedTuple):
    """A record as it was read."""

    record: SessionRecord
    revision: int
    sealed: bytes
    """As the store has it."""


class Ended(NamedTuple):
    """The session is over, for everybody."""

    last: SessionRecord | None = None
    """What was known of it."""


class Books:
    """Reads and writes the records of one installation."""

    def __init__(
        self, store: SessionStore, records: Records, clock: Clock, terms: Terms = USUAL
    ) -> None:
        self.store = store
        self._records = records
        self._clock = clock
        self._terms = terms
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
            _keep(session, await self._create(session.key, record))
        except Unavailable:
            session.kept = self._records.seal(session.key, record)
            self._owed[session.key] = record
            if len(self._owed) > OWED:
                self._owed.popitem(last=False)

    def owed(self, key: bytes) -> SessionRecord | None:
        """A record that was never written, and will not be: nobody else will end its session."""
        return self._owed.pop(key, None)

    async def put_back(self, session: Session) -> None:
        """Writes a record again that its store has lost. Raises Unavailable."""
        key, value = session.key, session.kept
        ours = self._records.open(key, value)
        if ours is None:
            return
        try:
            _keep(session, await self._create(key, ours))
        except Conflict:
            held = await self.store.read(key)
            theirs = self.opened(held) if held and not held.ended else None
            if held and theirs and theirs.generation < ours.generation:
                with suppress(Conflict):
                    await self.store.replace(key, value, held.revision)
            session.looked = False  # what is there now will be seen

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
        return None if held is None else self._page(held)

    async def write(self, key: bytes, page: Page, record: SessionRecord) -> Page | None:
        """Writes another record in the place of this page.

        None: somebody else was faster; read it again. Raises Unavailable.
        """
        try:
            held = await self.store.replace(key, self._records.seal(key, record), page.revision)
        except Conflict:
            return None
        return Page(record, held.revision, held.value)

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
                session.revision, session.kept = written.revision, written.sealed
                return

    async def end(self, session: Session) -> Ended | None:
        """Leaves a tombstone; None where there was one. Raises Unavailable."""
        self._owed.pop(session.key, None)
        held = await self.store.end(session.key, session.sealed.expires)
        return None if held is None else Ended(self.opened(held))

    def opened(self, held: Held) -> SessionRecord | None:
        """What a store holds, unless it is a tombstone, or was not sealed by us."""
        return self._records.open(held.key, held.value)

    async def _create(self, key: bytes, record: SessionRecord) -> Held:
        until = Until(self._clock.now().timestamp() + self._terms.patience, record.expires)
        return await self.store.create(key, self._records.seal(key, record), until)

    def _page(self, held: Held) -> Page | Ended | None:
        record = self.opened(held)
        if held.is_over(self._clock.now().timestamp()):
            return Ended(record)
        return None if record is None else Page(record, held.revision, held.value)


def _keep(session: Session, held: Held) -> None:
    """What is in the store now is what the gateway knows."""
    session.revision, session.kept, session.absent = held.revision, held.value, False
