"""Records of sessions as a gateway keeps them, with a store that goes away."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from mooring.core.identity import ANONYMOUS
from mooring.core.session_record import Held, SessionRecord, Until
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.sessions.books import Books, Ended, Page
from mooring.sessions.open_sessions import OpenSessions, Session
from mooring.sessions.records import Records
from mooring.sessions.seal import Sealer
from mooring.stores.sessions_memory import MemorySessions
from mooring.testing.clock import FakeClock

NOTES = Ref("MCPServer", "default", "notes")
SET = b'{"method":"logging/setLevel","params":{"level":"%b"}}'


class Away(MemorySessions):
    """A store that can be away."""

    away = False

    async def create(self, key: bytes, value: bytes, until: Until) -> Held:
        self._check()
        return await super().create(key, value, until)

    async def read(self, key: bytes) -> Held | None:
        self._check()
        return await super().read(key)

    async def end(self, key: bytes, absolute: float) -> Held | None:
        self._check()
        return await super().end(key, absolute)

    def _check(self) -> None:
        if self.away:
            raise Unavailable("SessionStoreUnavailable", "away")


class Desk:
    """A gateway's sessions, and its books."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        sealer = Sealer(bytes(32))
        self.sessions = OpenSessions(sealer, self.clock)
        self.store = Away(self.clock)
        self.books = Books(self.store, Records(sealer.ring), self.clock)

    async def opened(self) -> Session:
        session = self.sessions.open(NOTES, "u1", b"s1", "2025-11-25", ANONYMOUS)
        await self.books.enter(session, b'{"clientInfo":{}}', ("tools",))
        return session

    async def record(self, session: Session) -> SessionRecord:
        page = await self.books.read(session.key)
        assert isinstance(page, Page)
        return page.record


def test_a_record_says_what_recovery_needs(run: Any) -> None:
    async def story() -> None:
        desk = Desk()
        session = await desk.opened()
        record = await desk.record(session)
        assert (record.server, record.uid, record.upstream_id) == (NOTES, "u1", b"s1")
        assert (record.initialize, record.capabilities) == (b'{"clientInfo":{}}', ("tools",))
        assert record.generation == 0
        held = await desk.store.read(session.key)
        assert held is not None
        assert b"clientInfo" not in held.value
        assert held.revision == session.revision

    run(story())


def test_a_session_can_be_opened_while_the_store_is_away_and_is_written_down_later(
    run: Any,
) -> None:
    async def story() -> None:
        desk = Desk()
        desk.store.away = True
        session, ended = await desk.opened(), await desk.opened()
        with pytest.raises(Unavailable):
            await desk.books.pay()
        desk.store.away = False
        assert await desk.books.end(ended) == Ended(None)
        await desk.books.pay()
        assert (await desk.record(session)).uid == "u1"
        assert isinstance(await desk.books.read(ended.key), Ended)

    run(story())


def test_the_journal_is_kept_whoever_writes_at_the_same_time(run: Any) -> None:
    async def story() -> None:
        desk = Desk()
        session = await desk.opened()
        page = await desk.books.read(session.key)
        assert isinstance(page, Page)
        await desk.books.note(session, SET % b"error")
        record = changed(page.record, uid="u2", generation=1)
        assert await desk.books.write(session.key, page, record) is None
        newer = await desk.books.read(session.key)
        assert isinstance(newer, Page)
        written = await desk.books.write(session.key, newer, changed(newer.record, uid="u2"))
        assert written is not None
        await desk.books.note(session, SET % b"debug")
        record = await desk.record(session)
        assert (record.log_level, record.uid) == ("debug", "u2")

    run(story())


def test_what_ended_has_ended_and_says_where_it_lived(run: Any) -> None:
    async def story() -> None:
        desk = Desk()
        session = await desk.opened()
        ended = await desk.books.end(session)
        assert ended is not None
        assert ended.last is not None
        assert ended.last.upstream_id == b"s1"
        assert await desk.books.end(session) is None
        assert isinstance(await desk.books.read(session.key), Ended)
        await desk.books.note(session, SET % b"debug")

    run(story())


def test_a_record_whose_time_is_over_has_ended(run: Any) -> None:
    async def story() -> None:
        desk = Desk()
        session = await desk.opened()
        held = await desk.store.read(session.key)
        assert held is not None
        desk.store._held[session.key] = replace(held, until=Until(0.0, held.until.absolute))
        assert isinstance(await desk.books.read(session.key), Ended)

    run(story())


def test_a_record_that_another_installation_sealed_is_none(run: Any) -> None:
    async def story() -> None:
        desk = Desk()
        session = await desk.opened()
        stranger = Books(desk.store, Records(Sealer(bytes([1] * 32)).ring), desk.clock)
        assert await stranger.read(session.key) is None

    run(story())
