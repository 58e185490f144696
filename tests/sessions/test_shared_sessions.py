"""Sessions that several gateways know of, with the daemon's part played by the real one."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.core.identity import ANONYMOUS
from mooring.core.load import Load
from mooring.core.reporting import Reports
from mooring.kinds.ref import Ref
from mooring.sessions.open_sessions import IDLE_SECONDS, Session
from mooring.sessions.seal import Sealer
from mooring.sessions.shared_sessions import SharedSessions
from mooring.testing.clock import FakeClock

Run = Callable[[Coroutine[Any, Any, None]], None]
NOTES = Ref("MCPServer", "default", "notes")
SEALER = Sealer(bytes(32))


class Company:
    """Two gateways, and the daemon between them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reports = Reports()
        self.one, self.two = (SharedSessions(SEALER, self.clock, name) for name in "12")
        self.talk()

    def talk(self, rounds: int = 3) -> None:
        """Both report so often; what one hears shows in its next report."""
        for _ in range(rounds):
            for sessions in (self.one, self.two):
                report = sessions.report()
                now = self.clock.monotonic()
                sessions.exchanged(report, self.reports.hear(sessions.gateway, report, now))

    async def live(self, seconds: float) -> list[str]:
        """Time passes, with reports and sweeps; the ids of sessions that were ended."""
        ended: list[str] = []
        for step in range(int(seconds) // 10):
            await self.clock.advance(10)
            self.talk(1)
            if step % 3 == 0:
                ended += [s.id for s in (*self.one.sweep(), *self.two.sweep())]
        return ended

    @property
    def counted(self) -> tuple[int, int, int]:
        """Sessions as counted by the one, by the other, and in all."""
        whole = self.reports.loads(self.clock.monotonic()).get("u1", Load())
        return self.one.load("u1").sessions, self.two.load("u1").sessions, whole.sessions


def opened(sessions: SharedSessions) -> Session:
    return sessions.open(NOTES, "u1", b"theirs", "2025-11-25", ANONYMOUS)


def met(sessions: SharedSessions, session: Session) -> Session:
    found = sessions.find(session.id)
    assert found is not None
    return found


def test_a_session_counts_once_wherever_it_is_used() -> None:
    company = Company()
    session = opened(company.one)
    company.talk()
    assert company.counted == (1, 0, 1)
    met(company.two, session)
    company.talk()
    assert company.counted == (0, 1, 1)
    met(company.one, session)
    company.talk()
    assert company.counted == (1, 0, 1)


def test_of_two_that_use_it_at_once_one_counts_it() -> None:
    company = Company()
    session = opened(company.one)
    for _ in range(3):
        met(company.two, session)
        met(company.one, session)
        company.talk()
        assert company.counted[2] == 1


def test_a_use_that_was_not_told_yet_is_not_overruled_by_an_older_one() -> None:
    company = Company()
    session = opened(company.two)
    met(company.one, session)
    asked = company.one.report()
    answer = company.reports.hear("1", asked, 0.0)
    met(company.two, session)
    company.two.exchanged(company.two.report(), company.reports.hear("2", answer, 0.0))
    company.one.exchanged(asked, answer)
    company.talk()
    assert company.counted[2] == 1


def test_a_session_with_a_stream_stays_where_the_stream_is() -> None:
    company = Company()
    session = opened(company.one)
    session.streams += 1
    met(company.two, session)
    company.talk()
    assert company.counted == (0, 1, 1)
    assert met(company.one, session) is session
    company.talk()
    assert company.counted == (1, 0, 1)


def test_a_session_that_others_use_is_not_idle(run: Run) -> None:
    async def story() -> None:
        company = Company()
        session = opened(company.one)
        for _ in range(3):
            assert await company.live(IDLE_SECONDS / 2 + 30) == []
            met(company.two, session)
        assert await company.live(IDLE_SECONDS + 60) == [session.id]

    run(story())


def test_a_session_with_a_stream_at_another_gateway_is_not_idle(run: Run) -> None:
    async def story() -> None:
        company = Company()
        session = opened(company.one)
        session.streams += 1
        met(company.two, session)
        assert await company.live(2 * IDLE_SECONDS) == []
        session.streams -= 1
        assert await company.live(IDLE_SECONDS + 60) == [session.id]

    run(story())


def test_what_others_use_and_end_is_heard() -> None:
    company = Company()
    session = opened(company.one)
    met(company.two, session)
    company.talk()
    assert company.one.used_elsewhere == {session.key}
    company.two.end(met(company.two, session))
    company.talk()
    assert company.one.ended_elsewhere == {session.key}
    assert company.two.ended_elsewhere == set()


def test_what_is_left_of_a_session_that_moved_on_goes_with_its_stream() -> None:
    company = Company()
    session = opened(company.one)
    session.streams += 1
    met(company.two, session)
    company.talk()
    session.streams -= 1
    assert company.one.sweep() == []
    assert (len(company.one), len(company.two)) == (0, 1)
    assert company.counted == (0, 1, 1)


def test_a_session_that_ended_has_ended_everywhere() -> None:
    company = Company()
    session, seen_by_both = opened(company.one), opened(company.one)
    met(company.two, seen_by_both)
    company.one.end(session)
    company.two.end(company.two.find(seen_by_both.id) or seen_by_both)
    company.talk()
    for sessions in (company.one, company.two):
        assert sessions.find(session.id) is None
        assert sessions.find(seen_by_both.id) is None
    assert company.counted == (0, 0, 0)


def test_what_did_not_arrive_is_told_again() -> None:
    company = Company()
    session = opened(company.one)
    met(company.two, session)
    assert company.two.report() == company.two.report()
    company.two.end(met(company.two, session))
    lost = company.two.report()
    assert lost.ended
    company.talk()
    assert company.two.report().ended == ()
    assert company.one.find(session.id) is None


def test_each_knows_the_load_of_all() -> None:
    company = Company()
    for _ in range(3):
        opened(company.one)
    opened(company.two)
    company.two.load("u2").calls += 1
    company.talk()
    for sessions in (company.one, company.two):
        assert dict(sessions.everywhere) == {"u1": Load(4, 0), "u2": Load(0, 1)}


def test_very_much_is_told_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mooring.sessions.shared_sessions.AT_ONCE", 3)
    company = Company()
    opened = [
        company.one.open(NOTES, "u1", b"%d" % number, "2025-11-25", ANONYMOUS)
        for number in range(7)
    ]
    for session in opened:
        assert company.two.find(session.id) is not None
        company.one.end(session)
    assert len(company.one.report().ended) == 3
    company.talk(4)
    assert company.one.report().ended == ()
    assert [company.two.find(session.id) for session in opened] == [None] * 7
