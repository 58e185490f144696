"""A day of one session: Mooring restarts, its instance dies, nobody can take over, somebody can."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from support.fronting import Said, World, eventually, world
from support.standin import message

from mooring.core.recovery import WAIT
from mooring.testing.clock import FakeClock

Run = Callable[[Coroutine[Any, Any, None]], None]
GONE = {"uid": "started-again", "state": "Starting"}


class Day:
    """Two servers, the records, and time, which outlive the gateways."""

    def __init__(self, outside: World, clock: FakeClock) -> None:
        self.clock = clock
        self.outside = outside
        self.standins = outside.standins["notes"]

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[World]:
        """A Mooring, until it is stopped."""
        async with world({}, clock=self.clock, records=self.outside.records) as w:
            w.standins = self.outside.standins
            w.table()
            yield w

    async def said(self, asked: "asyncio.Future[Said]") -> Said:
        """An answer that takes its time."""
        for _ in range(10 * int(WAIT)):
            if asked.done():
                break
            await self.clock.advance(1)
            await asyncio.wait([asked], timeout=0.01)
        return await asked

    def told(self, number: int) -> list[str]:
        """The methods that a server was sent."""
        bodies = [json.loads(r.body) for r in self.standins[number].seen if r.body]
        return [body["method"] for body in bodies]


@asynccontextmanager
async def day() -> AsyncIterator[Day]:
    clock = FakeClock()
    async with world({"notes": 2}, clock=clock) as outside:
        yield Day(outside, clock)


def call(w: World, session: str) -> "asyncio.Future[Said]":
    return asyncio.ensure_future(w.call(session=session))


def test_a_session_outlives_mooring_and_its_instance(run: Run) -> None:
    async def story() -> None:
        async with day() as d:
            async with d.gateway() as w:
                w.table(**{"notes-1": GONE})
                session = await w.open()
                set_level = message("logging/setLevel", 2, level="error")
                assert (await w.ask(set_level, mcp_session_id=session)).status == 200
            await d.clock.advance(60)
            async with d.gateway() as w:  # Mooring was restarted
                assert (await w.call(session=session)).json["result"]["who"] == "notes-0"
                assert d.told(0).count("initialize") == 1
                w.table(**{"notes-0": GONE})  # the instance dies, and the other one is up by now
                assert (await w.call(session=session)).json["result"]["who"] == "notes-1"
            await d.clock.advance(60)
            async with d.gateway() as w:  # and once more: the new owner is known by the record
                w.table(**{"notes-0": GONE})
                assert (await w.call(session=session)).json["result"]["who"] == "notes-1"
            assert d.told(1) == [
                "initialize", "notifications/initialized", "logging/setLevel", "tools/call",
                "tools/call",
            ]  # fmt: skip

    run(story())


def test_where_nobody_can_take_over_it_is_tried_again_more_and_more_slowly(run: Run) -> None:
    async def story() -> None:
        async with day() as d, d.gateway() as w:
            session = await w.open()
            w.table(**{"notes-0": GONE, "notes-1": GONE})
            for pause in (1, 2, 4):
                began = d.clock.monotonic()
                said = await d.said(call(w, session))
                assert (said.status, said.reason) == (200, "RecoveryFailed")
                assert WAIT <= d.clock.monotonic() - began <= WAIT + 2
                said = await w.call(session=session)
                assert f"again in {pause} s" in said.json["error"]["message"]
                await d.clock.advance(pause)
            waits = call(w, session)
            await asyncio.wait([waits], timeout=0.05)
            w.table()
            assert (await d.said(waits)).status == 200

    run(story())


def test_a_session_that_nobody_uses_ends_and_stays_ended(run: Run) -> None:
    async def story() -> None:
        async with day() as d:
            async with d.gateway() as w:
                session = await w.open()
                for _ in range(3):
                    await d.clock.advance(1500)
                    assert (await w.call(session=session)).status == 200
                await d.clock.advance(2600)
                await eventually(lambda: not any(s.sessions for s in d.standins))
                assert (await w.call(session=session)).status == 404
            async with d.gateway() as w:
                assert (await w.call(session=session)).status == 404
                assert sum(each.opened for each in d.standins) == 1

    run(story())
