"""Gateways that report to a real API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.fronting import eventually
from support.surface import Served, served

from mooring.core.address import Address
from mooring.core.identity import ANONYMOUS
from mooring.core.load import Load
from mooring.core.reporting import EVERY_SECONDS
from mooring.gateway.reporting import LOOK_SECONDS, PAUSE, Post, Reporter
from mooring.kinds.ref import Ref
from mooring.sessions.open_sessions import Session
from mooring.sessions.seal import Sealer
from mooring.sessions.shared_sessions import SharedSessions
from mooring.sessions.tally import Tally
from mooring.stores.served import nobody
from mooring.testing.clock import FakeClock
from mooring.transports.http_upstream import Pool

Run = Callable[[Coroutine[Any, Any, None]], None]
NOTES = Ref("MCPServer", "default", "notes")


class Teller:
    """One gateway's sessions and its reporter, against a clock held in hand."""

    def __init__(self, pool: Pool, path: Path, name: str) -> None:
        self.clock = FakeClock()
        self.sessions = SharedSessions(Sealer(bytes(32)), self.clock, name)
        self.exchanges = 0
        told = self.sessions.exchanged

        def exchanged(*both: Any) -> None:
            told(*both)
            self.exchanges += 1

        self.sessions.exchanged = exchanged  # type: ignore[method-assign]
        address = Address("", 0, "/", socket=str(path))
        post = Post(pool, address, name, nobody)
        self.tally = Tally()
        self.reporter = Reporter(post.bring, self.sessions, self.tally, self.clock)

    def open(self) -> Session:
        return self.sessions.open(NOTES, "u1", b"theirs", "2025-11-25", ANONYMOUS)

    async def look(self, reports: int, seconds: float = LOOK_SECONDS) -> None:
        """Lets it look once more, which must bring it to so many reports in all."""
        await eventually(lambda: self.clock.sleepers)
        await self.clock.advance(seconds)
        await eventually(lambda: self.clock.sleepers)
        assert self.exchanges == reports


@asynccontextmanager
async def tellers(path: Path) -> AsyncIterator[tuple[Teller, Teller]]:
    pool = Pool()
    one, two = Teller(pool, path, "1"), Teller(pool, path, "2")
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.reporter.run()) for each in (one, two)]
            yield one, two
            for task in running:
                task.cancel()
    finally:
        await pool.close()


def test_a_change_is_told_soon_and_silence_not_for_long(tmp_path: Path, run: Run) -> None:
    async def story(api: Served) -> None:
        async with tellers(api.path) as (one, two):
            await eventually(lambda: one.exchanges == two.exchanges == 1)
            await one.look(1)
            session = one.open()
            await one.look(2)
            await one.look(2)
            assert api.reports.loads(0.0) == {"u1": Load(1, 0)}
            await two.look(2, EVERY_SECONDS)
            assert dict(two.sessions.everywhere) == {"u1": Load(1, 0)}
            assert two.sessions.find(session.id) is not None
            await two.look(3)
            await two.look(3)
            await one.clock.advance(EVERY_SECONDS)
            await eventually(lambda: len(one.sessions) == 0)
            assert len(two.sessions) == 1

    with served(tmp_path / "a.sock") as api:
        run(story(api))


def test_while_the_daemon_is_away_nothing_is_lost(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        path = tmp_path / "a.sock"
        async with tellers(path) as (one, _):
            session = one.open()
            one.sessions.end(session)
            await one.look(0, PAUSE)
            one.open()
            await one.look(0, PAUSE)
            with served(path) as api:
                await one.look(1, PAUSE)
                assert api.reports.loads(0.0) == {"u1": Load(1, 0)}
                assert one.sessions.report().ended == ()
            path.unlink(missing_ok=True)

    run(story())
