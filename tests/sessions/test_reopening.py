"""What an instance is sent that takes a session over."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from msgspec.structs import replace
from support.fronting import eventually
from support.standin import JSON, Standin, failure, result

from mooring.clock import SystemClock
from mooring.core.identity import ANONYMOUS
from mooring.core.recovery import AT_ONCE
from mooring.core.session_record import SessionRecord
from mooring.core.table import Entry, Upstream
from mooring.kinds.ref import Ref
from mooring.sessions import reopening
from mooring.sessions.asking import in_the_name_of
from mooring.sessions.courier import Courier
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.reopening import Passed, Reopener, Taken, Untaken, initialize, replayed
from mooring.sessions.seal import UPSTREAM_ID_LIMIT, Sealer
from mooring.transports.http_upstream import Pool

NOTES = Ref("MCPServer", "default", "notes")
RECORD = SessionRecord(
    server=NOTES,
    uid="u1",
    upstream_id=b"s1",
    version="2025-11-25",
    identity=ANONYMOUS,
    expires=2_000_000_000,
    initialize=b'{"protocolVersion":"2099-01-01","capabilities":{},"clientInfo":{"name":"c"}}',
    capabilities=("tools",),
)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            b'{"protocolVersion":"2099-01-01", "x":1}',
            b'{"protocolVersion":"2025-11-25", "x":1}',
        ),
        (b'{"n":10000000000000000000000}',
         b'{"protocolVersion":"2025-11-25","n":10000000000000000000000}'),
        (b"{}", b'{"protocolVersion":"2025-11-25"}'),
        (b"", b'{"protocolVersion":"2025-11-25"}'),
        (b"[1]", b'{"protocolVersion":"2025-11-25"}'),
    ],
)  # fmt: skip
def test_only_the_version_is_another_one(given: bytes, sent: bytes) -> None:
    body = initialize(replace(RECORD, initialize=given))
    assert sent in body
    assert json.loads(body)["method"] == "initialize"


def test_what_was_set_is_set_again() -> None:
    record = replace(RECORD, log_level="info", subscriptions=("b:1", "a:1"))
    told = [json.loads(body) for body in replayed(record)]
    assert [(m["method"], m["params"]) for m in told] == [
        ("logging/setLevel", {"level": "info"}),
        ("resources/subscribe", {"uri": "b:1"}),
        ("resources/subscribe", {"uri": "a:1"}),
    ]
    assert len({m["id"] for m in told}) == 3
    assert replayed(RECORD) == []


def test_credentials_go_along_and_nothing_of_the_request() -> None:
    headers = (
        (b"content-type", b"text/plain"), (b"mcp-session-id", b"old"), (b"traceparent", b"t"),
        (b"mcp-method", b"tools/call"), (b"mcp-param-x", b"1"), (b"last-event-id", b"7"),
        (b"mcp-protocol-version", b"2025-11-25"), (b"x-api-key", b"k"),
    )  # fmt: skip
    sent = dict(in_the_name_of(headers))
    assert set(sent) == {b"accept", b"content-type", b"traceparent", b"x-api-key"}
    assert sent[b"content-type"] == b"application/json"
    later = dict(in_the_name_of(headers, b"new", "2025-06-18"))
    assert later[b"mcp-session-id"] == b"new"
    assert later[b"mcp-protocol-version"] == b"2025-06-18"


class Place:
    """Real small servers, and a reopener before them."""

    def __init__(self, *standins: Standin) -> None:
        self.pool = Pool()
        upstreams = tuple(Upstream(s.name, s.uid, s.address) for s in standins)
        known = {upstream.uid: upstream for upstream in upstreams}
        count = len(upstreams)
        entry = Entry(NOTES, ("/x",), known, upstreams, (), "Ready", "Ready", count, count)
        clock = SystemClock()
        courier = Courier(self.pool, OpenSessions(Sealer(bytes(32)), clock), clock)
        self.reopener = Reopener(courier, lambda _: entry, clock, b"1.1 us")


def with_standins(run: Any, count: int, story: Any) -> None:
    async def staged() -> None:
        async with AsyncExitStack() as stack:
            standins = [Standin(f"notes-{n}") for n in range(count)]
            for standin in standins:
                await stack.enter_async_context(standin)
            place = Place(*standins)
            stack.push_async_callback(place.pool.close)
            await story(place, standins)

    run(staged())


def test_no_instance_is_asked_for_too_many_at_once(run: Any) -> None:
    async def story(place: Place, standins: list[Standin]) -> None:
        (standin,) = standins

        async def hanging(exchange: Any) -> None:
            if b'"initialize"' in exchange.request.body:
                await standin.proceed.wait()
            await standin.serve(exchange)

        standin.behaviour = hanging
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(place.reopener.reopen(RECORD, ())) for _ in range(80)]
            await eventually(lambda: len(standin.seen) >= 32)
            await SystemClock().sleep(0.2)  # the others would be here by now
            assert len(standin.seen) == 32
            standin.proceed.set()
        assert all(isinstance(each.result(), Taken) for each in work)
        assert standin.opened == 80

    with_standins(run, 1, story)


def test_who_waits_for_an_instance_that_hangs_does_not_wait_for_ever(
    run: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(reopening, "TURN_SECONDS", 0.1)

    async def story(place: Place, standins: list[Standin]) -> None:
        (standin,) = standins

        async def hanging(exchange: Any) -> None:
            if b'"initialize"' in exchange.request.body:
                await standin.proceed.wait()
            await standin.serve(exchange)

        standin.behaviour = hanging
        async with asyncio.TaskGroup() as tasks:
            first = [tasks.create_task(place.reopener.reopen(RECORD, ())) for _ in range(AT_ONCE)]
            await eventually(lambda: len(standin.seen) == AT_ONCE)
            async with asyncio.timeout(5):
                late = await place.reopener.reopen(RECORD, ())
            assert isinstance(late, Untaken)
            assert not late.over
            standin.proceed.set()
        assert all(isinstance(each.result(), Taken) for each in first)
        assert standin.opened == AT_ONCE
        assert isinstance(await place.reopener.reopen(RECORD, ()), Taken)

    with_standins(run, 1, story)


def test_at_most_three_instances_are_asked(run: Any) -> None:
    async def story(place: Place, standins: list[Standin]) -> None:
        async def failing(exchange: Any) -> None:
            exchange.respond(500)

        for standin in standins:
            standin.behaviour = failing
        found = await place.reopener.reopen(RECORD, ())
        assert isinstance(found, Untaken)
        assert not found.over
        assert "HTTP 500" in found.message
        assert sorted(len(s.seen) for s in standins) == [0, 1, 1, 1]

    with_standins(run, 4, story)


@pytest.mark.parametrize(("status", "patient"), [(404, True), (503, True), (500, False)])
def test_what_knows_no_initialize_may_be_about_to_be_replaced(
    run: Any, monkeypatch: Any, status: int, patient: bool
) -> None:
    monkeypatch.setattr(reopening, "PATIENCE", 0.3)

    async def story(place: Place, standins: list[Standin]) -> None:
        clock = SystemClock()

        async def refusing(exchange: Any) -> None:
            exchange.respond(status)

        standins[0].behaviour = refusing
        began = clock.monotonic()
        assert isinstance(await place.reopener.reopen(RECORD, ()), Untaken)
        assert (clock.monotonic() - began >= 0.3) == patient

    with_standins(run, 1, story)


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (500, (), Untaken),
        (0, (), Untaken),
        (401, ((b"www-authenticate", b"Bearer"),), Passed),
        (403, ((b"www-authenticate", b"Bearer"),), Passed),
    ],
)
def test_an_instance_that_cannot_be_greeted_keeps_no_session(
    run: Any, status: int, headers: Any, kind: type
) -> None:
    async def story(place: Place, standins: list[Standin]) -> None:
        async def unfriendly(exchange: Any) -> None:
            if b"notifications/initialized" not in exchange.request.body:
                await standins[0].serve(exchange)
            elif status:
                exchange.respond(status, headers)
            else:
                exchange.abort()

        standins[0].behaviour = unfriendly
        assert isinstance(await place.reopener.reopen(RECORD, ()), kind)
        assert standins[0].opened == 1
        assert standins[0].sessions == set()

    with_standins(run, 1, story)


@pytest.mark.parametrize("id", [b"x" * (UPSTREAM_ID_LIMIT + 1), b"id"])
def test_a_session_that_cannot_be_taken_is_ended(run: Any, id: bytes) -> None:
    """Its id is too long, or an error came with it."""
    ended = []

    async def story(place: Place, standins: list[Standin]) -> None:
        async def odd(exchange: Any) -> None:
            if exchange.request.method == "DELETE":
                ended.append(exchange.request.header(b"mcp-session-id"))
                exchange.respond(200)
                return
            said = result("x", protocolVersion="2025-11-25", capabilities={"tools": {}})
            answer = said if len(id) > 2 else failure("x", -32603)
            exchange.respond(200, (JSON, (b"mcp-session-id", id)), answer)

        standins[0].behaviour = odd
        assert isinstance(await place.reopener.reopen(RECORD, ()), Untaken)

    with_standins(run, 1, story)
    assert ended == [id]


def test_a_server_that_is_gone_ends_its_sessions(run: Any) -> None:
    async def story() -> None:
        place = Place()
        reopener = Reopener(place.reopener._courier, lambda _: None, SystemClock(), b"1.1 us")
        found = await reopener.reopen(RECORD, ())
        assert isinstance(found, Untaken)
        assert found.over
        await place.pool.close()

    run(story())
