"""When a gateway asks the store of session records, and what becomes of sessions without it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.fickle import FickleSessions
from support.fronting import World, eventually, world
from support.standin import JSON, Standin, failure

from mooring.clock import SystemClock
from mooring.core.reporting import Reports
from mooring.core.session_record import SessionRecord
from mooring.sessions.open_sessions import USUAL, digest
from mooring.sessions.records import Records
from mooring.sessions.seal import Sealer
from mooring.sessions.shared_sessions import SharedSessions
from mooring.sessions.sweeper import PAY_SECONDS
from mooring.testing.clock import FakeClock


@asynccontextmanager
async def company(records: FickleSessions, clock: Any) -> AsyncIterator[tuple[World, World]]:
    """Two gateways with one store, in front of one server of two instances."""
    async with (
        world({"notes": 2}, clock=clock, records=records) as one,
        world({"notes": 0}, clock=clock, records=records) as other,
    ):
        other.standins = one.standins
        other.table()
        records.asked.clear()
        yield one, other


def record(w: World, records: FickleSessions, session: str) -> SessionRecord | None:
    held = records.kept.get(digest(session))
    return held and Records(w.sessions.sealer.ring).open(held.key, held.value)


def deletes(w: World) -> int:
    return sum(r.method == "DELETE" for s in w.standins["notes"] for r in s.seen)


def owner_of(w: World) -> Standin:
    return next(s for s in w.standins["notes"] if s.sessions)


def gone(standin: Standin) -> dict[str, Any]:
    return {standin.name: {"uid": f"{standin.uid}-again", "state": "Starting"}}


async def lose_everything(records: FickleSessions, clock: FakeClock, *worlds: World) -> None:
    """The store goes away and comes back empty, and all have noticed."""
    records.go_away()
    await eventually(lambda: all(w.gateway.tally.store for w in worlds))
    records.come_back(empty=True)
    await eventually(lambda: clock.sleepers >= 3 * len(worlds))
    await clock.advance(10)
    await eventually(lambda: not any(w.gateway.tally.store for w in worlds))


def test_an_ordinary_request_asks_the_store_nothing(run: Any) -> None:
    async def story() -> None:
        records = FickleSessions(SystemClock())
        async with company(records, None) as (one, other):
            session = await one.open()
            assert records.asked == Counter(create=1)
            for id in range(2, 30):
                assert (await one.call(id, session)).status == 200
            assert records.asked == Counter(create=1)
            for id in range(2, 30):
                assert (await other.call(id, session)).status == 200
            assert records.asked == Counter(create=1, read=1)
            assert (await other.call(session="nonsense")).status == 404
            assert records.asked == Counter(create=1, read=1)

    run(story())


def test_a_session_is_looked_up_beside_its_first_request(run: Any) -> None:
    async def story() -> None:
        records = FickleSessions(SystemClock())
        async with company(records, None) as (one, other):
            session = await one.open()
            standin = owner_of(one)
            standin.arrived.clear()
            records.open.clear()
            async with asyncio.TaskGroup() as tasks:
                calling = tasks.create_task(other.call(session=session))
                await standin.arrived.wait()  # while the store has not answered yet
                assert not calling.done()
                records.open.set()
            assert calling.result().status == 200

    run(story())


def test_while_the_store_is_away_sessions_open_and_go_on(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, other):
            before = await one.open()
            records.go_away()
            await eventually(lambda: one.gateway.tally.store)
            during = await one.open()
            for session in (before, during):
                assert (await one.call(session=session)).status == 200
                assert (await other.call(session=session)).status == 200
            assert record(one, records, during) is None
            said = await one.ask(method="DELETE", mcp_session_id=before)
            assert (said.status, said.reason) == (503, "SessionStoreUnavailable")
            assert (await one.call(session=before)).status == 200
            records.come_back()
            await clock.advance(10)
            await eventually(lambda: record(one, records, during))
            assert one.gateway.tally.store == ""
            standin = owner_of(one)
            one.table(**gone(standin))
            for session in (before, during):
                assert (await one.call(session=session)).status == 200

    run(story())


def test_what_is_owed_is_written_soon_though_nobody_hears_that_the_store_is_back(
    run: Any,
) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, _):
            records.hush = True
            session = await one.open()
            assert record(one, records, session) is None
            records.hush = False
            await clock.advance(PAY_SECONDS)
            await eventually(lambda: record(one, records, session))

    run(story())


def test_a_store_that_comes_back_empty_is_given_what_is_in_use_again(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, other):
            used, unused, deleted = [await one.open() for _ in range(3)]
            assert (await one.ask(method="DELETE", mcp_session_id=deleted)).status == 200
            await lose_everything(records, clock, one, other)
            assert records.kept == {}
            for id in (2, 3):
                assert (await one.call(id, used)).status == 200
            await eventually(lambda: record(one, records, used))
            assert record(one, records, unused) is None
            assert (await one.call(session=deleted)).status == 404
            assert (await other.call(session=deleted)).status == 404
            assert (await other.call(session=used)).status == 200
            # as before: what was put back can be recovered, what was not cannot
            for w in (one, other):
                w.table(**{s.name: {"uid": f"{s.uid}-2"} for s in w.standins["notes"]})
            assert (await other.call(session=used)).status == 200
            assert (await one.call(session=used)).status == 200
            assert (await one.call(session=unused)).status == 404

    run(story())


def test_a_record_is_put_back_with_the_first_answer_that_is_one(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, _):
            session = await one.open()
            await lose_everything(records, clock, one)
            owner = owner_of(one)

            async def busy(exchange: Any) -> None:
                exchange.respond(429, (JSON,), failure(2, -32000))

            owner.behaviour = busy
            assert b"error" in (await one.call(session=session)).body
            assert records.kept == {}
            owner.behaviour = None
            assert (await one.call(session=session)).status == 200
            await eventually(lambda: record(one, records, session))

    run(story())


def test_what_ended_elsewhere_is_known_without_asking(run: Any) -> None:
    async def story() -> None:
        records = FickleSessions(SystemClock())
        async with company(records, None) as (one, other):
            session = await one.open()
            assert (await one.ask(method="DELETE", mcp_session_id=session)).status == 200
            await eventually(lambda: other.sessions.find(session) is None)
            records.asked.clear()
            assert (await other.call(session=session)).status == 404
            assert not records.asked

    run(story())


def test_an_owner_that_does_not_know_the_session_puts_nothing_back(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, _):
            session = await one.open()
            await lose_everything(records, clock, one)
            owner_of(one).sessions.clear()
            assert (await one.call(session=session)).status == 404
            assert records.kept.get(digest(session)) is None

    run(story())


def test_a_session_that_is_used_anywhere_is_not_idle(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, other):
            session = await one.open()
            for _ in range(4):
                assert (await other.call(session=session)).status == 200
                await clock.advance(USUAL.idle * 0.8)
            assert deletes(one) == 0
            assert (await one.call(session=session)).status == 200
            for w in (one, other):
                assert len(w.sessions) <= 1
            await clock.advance(USUAL.patience + USUAL.round)
            await eventually(lambda: deletes(one) == 1)
            await clock.advance(USUAL.patience)
            assert deletes(one) == 1
            for w in (one, other):
                assert (await w.call(session=session)).status == 404
                assert len(w.sessions) == 0

    run(story())


def test_a_session_with_an_open_stream_is_not_idle(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        async with company(FickleSessions(clock), clock) as (one, _):
            session = await one.open()
            text = f"GET {one.path} HTTP/1.1\r\nhost: HOST\r\naccept: text/event-stream\r\n"
            _, writer = await one.raw(f"{text}mcp-session-id: {session}\r\n\r\n".encode())
            known = one.sessions.find(session)
            assert known is not None
            await eventually(lambda: known.streams)
            await clock.advance(USUAL.patience * 2)
            assert deletes(one) == 0
            writer.transport.abort()
            await eventually(lambda: not known.streams)
            await clock.advance(USUAL.patience + 2 * USUAL.round)
            await eventually(lambda: deletes(one) == 1)

    run(story())


def test_many_abandoned_sessions_are_swept_once_by_whoever_has_the_lease(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, other):
            await asyncio.gather(*(one.open() for _ in range(100)))
            assert len(one.sessions) == 100
            await clock.advance(USUAL.patience + USUAL.round)
            await eventually(lambda: deletes(one) == 100)
            assert not any(standin.sessions for standin in one.standins["notes"])
            await eventually(lambda: len(one.sessions) == 0)
            await clock.advance(USUAL.lifetime)
            await eventually(lambda: records.kept == {})
            assert (deletes(one), len(other.sessions)) == (100, 0)

    run(story())


def test_who_reaches_fewer_owners_leaves_sweeping_to_others_for_a_while(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, other):
            one.gateway.sweeper.rounds_late = other.gateway.sweeper.rounds_late = 3
            await one.open()
            await clock.advance(USUAL.patience + 2 * USUAL.round)
            assert (deletes(one), records.asked["sweep"]) == (0, 0)
            await clock.advance(2 * USUAL.round)
            await eventually(lambda: deletes(one) == 1)

    run(story())


def test_a_session_that_has_no_record_is_ended_by_the_gateway_that_opened_it(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, _):
            records.go_away()
            await one.open()
            await clock.advance(USUAL.patience)
            await eventually(lambda: deletes(one) == 1)
            assert len(one.sessions) == 0

    run(story())


def test_an_unchanged_world_is_looked_at_and_nothing_else(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records = FickleSessions(clock)
        async with company(records, clock) as (one, _):
            await one.open()
            await clock.advance(USUAL.round)
            records.asked.clear()
            await clock.advance(USUAL.round * 20)
            assert set(records.asked) == {"due"}

    run(story())


def test_gateways_without_a_common_store_keep_each_others_sessions(run: Any) -> None:
    async def story() -> None:
        clock = FakeClock()
        records, reports = FickleSessions(clock), Reports()
        shared = [SharedSessions(Sealer(bytes(32)), clock, name) for name in ("east", "west")]

        def talk() -> None:
            for sessions in shared * 2:
                report = sessions.report()
                answer = reports.hear(sessions.gateway, report, clock.monotonic())
                sessions.exchanged(report, answer)

        async with (
            world({"notes": 2}, clock=clock, records=records, sessions=shared[0]) as east,
            world({"notes": 0}, clock=clock, sessions=shared[1]) as west,
        ):
            west.standins = east.standins
            west.table()
            session = await east.open()
            for id in range(2, 12):
                assert (await west.call(id, session)).status == 200
                await clock.advance(USUAL.idle / 2)
                talk()
            assert deletes(east) == 0
            assert (await east.call(session=session)).status == 200
            assert (await west.ask(method="DELETE", mcp_session_id=session)).status == 200
            talk()
            assert (await east.call(session=session)).status == 404
            await clock.advance(USUAL.round)
            await eventually(lambda: records.kept[digest(session)].ended)

    run(story())
