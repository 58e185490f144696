"""Session records that their store has lost, or never had, and that are written again."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from support.fickle import FickleSessions

from mooring.core.identity import ANONYMOUS
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.sessions.books import Books, Ended, Page
from mooring.sessions.open_sessions import OpenSessions, Session
from mooring.sessions.records import Records
from mooring.sessions.seal import Sealer
from mooring.testing.clock import FakeClock

NOTES = Ref("MCPServer", "default", "notes")
SEALER = Sealer(bytes(32))
PARAMS = b'{"protocolVersion":"2025-11-25"}'


class Desk:
    """One gateway's books, and a session that it knows."""

    def __init__(self, store: FickleSessions, clock: FakeClock) -> None:
        self.store = store
        self.sessions = OpenSessions(SEALER, clock)
        self.books = Books(store, Records(SEALER.ring), clock)

    async def opened(self) -> Session:
        session = self.sessions.open(NOTES, "u1", b"theirs", "2025-11-25", ANONYMOUS)
        await self.books.enter(session, PARAMS, ())
        return session

    async def page(self, session: Session) -> Page:
        found = await self.books.read(session.key)
        assert isinstance(found, Page)
        return found

    async def moved(self, session: Session) -> Session:
        """Writes the record of another generation."""
        page = await self.page(session)
        record = replace(page.record, uid="u2", generation=page.record.generation + 1)
        written = await self.books.write(session.key, page, record)
        assert written is not None
        session.kept, session.revision = written.sealed, written.revision
        return session


@pytest.fixture
def at_desk(run: Any) -> Callable[[Callable[[Desk], Awaitable[None]]], None]:
    async def begun(test: Callable[[Desk], Awaitable[None]]) -> None:
        clock = FakeClock()
        await test(Desk(FickleSessions(clock), clock))

    return lambda test: run(begun(test))


def test_a_record_that_was_lost_is_put_back_as_it_was(at_desk: Any) -> None:
    async def test(desk: Desk) -> None:
        session = await desk.opened()
        before = await desk.page(session)
        desk.store.come_back(empty=True)
        session.absent = True
        await desk.books.put_back(session)
        after = await desk.page(session)
        assert after.record == before.record
        assert after.revision == session.revision != before.revision
        assert not session.absent

    at_desk(test)


@pytest.mark.parametrize("newer_first", [True, False])
def test_of_two_that_put_a_record_back_the_later_generation_counts(
    at_desk: Any, newer_first: bool
) -> None:
    async def test(desk: Desk) -> None:
        session = await desk.opened()
        old = session.kept
        new = (await desk.moved(session)).kept
        desk.store.come_back(empty=True)
        for session.kept in (new, old) if newer_first else (old, new):
            await desk.books.put_back(session)
        assert (await desk.page(session)).record.generation == 1
        assert not session.looked

    at_desk(test)


def test_a_record_that_was_owed_and_then_lost_is_put_back_too(at_desk: Any) -> None:
    async def test(desk: Desk) -> None:
        desk.store.go_away()
        session = await desk.opened()
        desk.store.come_back()
        await desk.books.pay()
        desk.store.come_back(empty=True)
        await desk.books.put_back(session)
        assert (await desk.page(session)).record.uid == "u1"

    at_desk(test)


def test_what_ended_is_not_put_back(at_desk: Any) -> None:
    async def test(desk: Desk) -> None:
        session = await desk.opened()
        await desk.store.end(session.key, session.sealed.expires)
        await desk.books.put_back(session)
        assert isinstance(await desk.books.read(session.key), Ended)

    at_desk(test)


def test_what_no_key_opens_any_more_is_not_put_back(at_desk: Any) -> None:
    async def test(desk: Desk) -> None:
        session = await desk.opened()
        desk.store.come_back(empty=True)
        session.kept = b"sealed with a key that was dropped"
        await desk.books.put_back(session)
        assert await desk.books.read(session.key) is None

    at_desk(test)


def test_what_could_not_be_written_is_owed_and_paid(at_desk: Any) -> None:
    async def test(desk: Desk) -> None:
        desk.store.go_away()
        first, second = await desk.opened(), await desk.opened()
        with pytest.raises(Unavailable):
            await desk.books.pay()
        assert desk.books.owed(second.key) is not None
        assert desk.books.owed(second.key) is None
        desk.store.come_back()
        await desk.books.pay()
        assert (await desk.page(first)).record.initialize == PARAMS
        assert await desk.books.read(second.key) is None

    at_desk(test)
