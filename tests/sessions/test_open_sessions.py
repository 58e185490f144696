"""What a gateway remembers of sessions, against a clock held in hand."""

import tracemalloc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.identity import ANONYMOUS, Identity
from mooring.core.load import Load
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.sessions import open_sessions
from mooring.sessions.books import Books
from mooring.sessions.open_sessions import IDLE_SECONDS, OpenSessions, Session, Terms
from mooring.sessions.records import Records
from mooring.sessions.seal import LIFETIME, Sealer
from mooring.stores.sessions_memory import MemorySessions
from mooring.testing.clock import FakeClock

Run = Callable[[Coroutine[Any, Any, None]], None]
NOTES = Ref("MCPServer", "default", "notes")
SEALER = Sealer(bytes(32))


def opened(sessions: OpenSessions, uid: str = "u1", upstream_id: bytes = b"theirs") -> Session:
    return sessions.open(NOTES, uid, upstream_id, "2025-11-25", ANONYMOUS)


def test_a_session_is_found_by_its_id() -> None:
    sessions = OpenSessions(SEALER, FakeClock())
    session = opened(sessions)
    assert sessions.find(session.id) is session
    assert session.sealed.upstream_id == b"theirs"
    assert (len(sessions), sessions.loads) == (1, {"u1": Load(1, 0)})


def test_nonsense_is_no_session() -> None:
    assert OpenSessions(SEALER, FakeClock()).find("nonsense") is None


def test_a_gateway_that_never_saw_a_session_takes_its_id_at_its_word() -> None:
    clock = FakeClock()
    id = opened(OpenSessions(SEALER, clock)).id
    other = OpenSessions(SEALER, clock)
    found = other.find(id)
    assert found is not None
    assert found.sealed.uid == "u1"
    assert other.loads["u1"].sessions == 1
    assert other.find(id) is found


def test_an_ended_session_stays_ended() -> None:
    sessions = OpenSessions(SEALER, FakeClock())
    session = opened(sessions)
    sessions.end(session)
    sessions.end(session)
    assert sessions.find(session.id) is None
    assert (len(sessions), sessions.loads["u1"].sessions) == (0, 0)


def test_only_so_many_ended_ones_are_remembered(monkeypatch: Any) -> None:
    monkeypatch.setattr(open_sessions, "ENDED_LIMIT", 2)
    sessions = OpenSessions(SEALER, FakeClock())
    ids = []
    for _ in range(3):
        session = opened(sessions)
        sessions.end(session)
        ids.append(session.id)
    assert [sessions.find(id) is None for id in ids] == [False, True, True]


def test_an_idle_session_is_forgotten_and_its_use_keeps_it(run: Run) -> None:
    async def story() -> None:
        clock = FakeClock()
        sessions = OpenSessions(SEALER, clock)
        session = opened(sessions)
        await clock.advance(IDLE_SECONDS - 1)
        assert sessions.find(session.id) is session
        await clock.advance(IDLE_SECONDS - 1)
        assert sessions.sweep() == []
        await clock.advance(1)
        found = sessions.find(session.id)
        assert found is not None
        assert found is not session
        assert (found.looked, len(sessions)) == (False, 1)  # whether it is over, its record says
        await clock.advance(IDLE_SECONDS)
        assert sessions.sweep() == [found]
        assert len(sessions) == 0

    run(story())


def test_who_was_used_since_a_moment_is_known(run: Run) -> None:
    async def story() -> None:
        clock = FakeClock()
        sessions = OpenSessions(SEALER, clock)
        idle, used, busy = opened(sessions), opened(sessions), opened(sessions)
        busy.streams += 1
        await clock.advance(10)
        sessions.find(used.id)
        assert sessions.used_since(5) == [used, busy]
        assert sessions.used_since(0) == [idle, used, busy]

    run(story())


def test_a_session_with_a_call_or_an_open_stream_is_not_idle(run: Run) -> None:
    async def story() -> None:
        clock = FakeClock()
        sessions = OpenSessions(SEALER, clock)
        calling, listening, idle = opened(sessions), opened(sessions), opened(sessions)
        calling.calls += 1
        listening.streams += 1
        await clock.advance(IDLE_SECONDS + 1)
        assert sessions.sweep() == [idle]
        calling.calls -= 1
        assert sessions.sweep() == [calling]
        assert sessions.find(listening.id) is listening

    run(story())


def test_nothing_outlives_the_absolute_expiry(run: Run) -> None:
    async def story() -> None:
        clock = FakeClock()
        sessions = OpenSessions(SEALER, clock)
        session = opened(sessions)
        session.streams += 1
        await clock.advance(LIFETIME)
        assert sessions.sweep() == [session]
        assert OpenSessions(SEALER, clock).find(session.id) is None
        assert sessions.find(session.id) is None
        await clock.advance(LIFETIME)
        sessions.sweep()
        assert sessions.find(session.id) is None  # its tombstone is gone, its seal still says so

    run(story())


def test_sessions_of_instances_that_went_away_are_forgotten() -> None:
    sessions = OpenSessions(SEALER, FakeClock())
    opened(sessions, "u1")
    kept = opened(sessions, "u2")
    sessions.load("u1").calls += 1
    sessions.keep_only({"u2"})
    assert len(sessions) == 1
    assert sessions.find(kept.id) is kept
    assert sessions.loads == {"u1": Load(0, 1), "u2": Load(1, 0)}  # a call is still under way
    sessions.load("u1").calls -= 1
    sessions.keep_only({"u2"})
    assert sessions.loads == {"u2": Load(1, 0)}


@given(st.text(max_size=20), st.integers(0, 200), st.integers(1, 40), st.booleans())
def test_an_id_that_was_changed_anywhere_is_no_session(
    text: str, at: int, cut: int, known: bool
) -> None:
    sessions = OpenSessions(SEALER, FakeClock())
    id = opened(sessions).id
    changed = id[:at] + text + id[at + cut :]
    if changed != id:
        there = sessions if known else OpenSessions(SEALER, FakeClock())
        assert there.find(changed) is None
        assert there.find(id + text * 300) is None or not text


def test_what_no_key_opens_any_more_is_forgotten() -> None:
    one, other = bytes(32), b"k" * 32
    sealer = Sealer(one)
    sessions = OpenSessions(sealer, FakeClock())
    before = opened(sessions)
    sealer.ring.change((other, one))
    after = opened(sessions)
    sessions.verify()
    assert sessions.find(before.id) is before
    sealer.ring.change((other,))
    sessions.verify()
    assert sessions.find(before.id) is None
    assert sessions.find(after.id) is after
    assert sessions.loads["u1"].sessions == 1


def test_an_idle_session_costs_little_memory() -> None:
    sessions = OpenSessions(SEALER, FakeClock())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        opened(sessions)
    cost = (tracemalloc.get_traced_memory()[0] - before) / 1000
    tracemalloc.stop()
    assert cost < 3 * 1024


def test_a_session_with_its_record_costs_little_memory_too(run: Run) -> None:
    params = b'{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true}}}'

    async def story() -> None:
        clock = FakeClock()
        sessions, store = OpenSessions(SEALER, clock), MemorySessions(clock)
        books = Books(store, Records(SEALER.ring), clock)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            await books.enter(opened(sessions), params, ("tools", "tools.listChanged"))
        cost = (tracemalloc.get_traced_memory()[0] - before) / 1000
        tracemalloc.stop()
        assert cost < 4 * 1024

    run(story())


def test_a_caller_has_so_many_sessions_open_and_no_more() -> None:
    sessions = OpenSessions(SEALER, FakeClock(), Terms(limit=2))
    first, other = opened(sessions), Identity("https://issuer", "ada")
    sessions.admit(ANONYMOUS)
    opened(sessions)
    with pytest.raises(Unavailable, match="2 sessions are open") as caught:
        sessions.admit(ANONYMOUS)
    assert (caught.value.reason, caught.value.status) == ("SessionLimit", 429)
    sessions.admit(other)
    sessions.end(first)
    sessions.end(first)
    sessions.admit(ANONYMOUS)
