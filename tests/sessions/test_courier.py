"""Which failures lead to another try, and where."""

from dataclasses import replace
from typing import Any

import pytest

from mooring.core.address import Address
from mooring.core.identity import ANONYMOUS
from mooring.core.routing import Alone, Opening, Pinned, Reject
from mooring.core.table import Entry, Upstream
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.sessions.courier import PATIENCE, Courier, Parcel, Sent
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.seal import Sealer

NOTES = Ref("MCPServer", "default", "notes")
UPSTREAMS = tuple(Upstream(f"notes-{i}", f"u{i}", Address("h", i, "/")) for i in range(5))
PINNED = Pinned(NOTES, "u0", ANONYMOUS, ANONYMOUS)


class Hasty:
    """A clock on which every sleep is over at once."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> Any:
        raise NotImplementedError

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Reply:
    status = 200

    def abort(self) -> None:
        pass


class Ports:
    """A pool that fails at some ports, in some way; keeps who was asked."""

    def __init__(self, **reasons: str) -> None:
        self.reasons = reasons
        self.asked: list[int] = []

    async def send(self, address: Address, *_: Any, **__: Any) -> Reply:
        self.asked.append(address.port)
        reason = self.reasons.get(f"p{address.port}") or self.reasons.get("all")
        if reason:
            raise Unavailable(reason, "words")
        return Reply()


def entry(count: int) -> Entry:
    able = UPSTREAMS[:count]
    known = {upstream.uid: upstream for upstream in able}
    return Entry(NOTES, ("/x",), known, able, (), "Ready", "Ready", count, count)


async def deliver(ports: Ports, ask: Any, count: int, *, repeatable: bool = False) -> Any:
    clock = Hasty()
    sessions = OpenSessions(Sealer(bytes(32)), clock)
    pool: Any = ports
    parcel = Parcel("POST", (), b"", repeatable, 1.0)
    try:
        return await Courier(pool, sessions, clock).deliver(entry(count), ask, parcel)
    finally:
        open_calls = sum(load.calls for load in sessions.loads.values())
        assert open_calls in (0, 1)


def test_a_refused_owner_is_tried_for_two_seconds_and_nobody_else(run: Any) -> None:
    async def story() -> None:
        ports = Ports(all="UpstreamRefused")
        with pytest.raises(Unavailable):
            await deliver(ports, PINNED, 3)
        assert set(ports.asked) == {0}
        assert 4 <= len(ports.asked) <= PATIENCE / 0.05

    run(story())


def test_what_is_bound_to_nobody_goes_to_at_most_three_at_a_time(run: Any) -> None:
    async def story() -> None:
        ports = Ports(all="UpstreamRefused")
        with pytest.raises(Unavailable):
            await deliver(ports, Opening(), 5)
        assert len(set(ports.asked[:3])) == 3
        assert isinstance(await deliver(Ports(p0="UpstreamRefused"), Alone(), 2), Sent)

    run(story())


@pytest.mark.parametrize("ask", [PINNED, Opening(), Alone()])
@pytest.mark.parametrize("reason", ["UpstreamReset", "UpstreamTimeout"])
def test_what_may_have_run_is_not_sent_again(run: Any, ask: Any, reason: str) -> None:
    async def story() -> None:
        ports = Ports(all=reason)
        with pytest.raises(Unavailable):
            await deliver(ports, ask, 3)
        assert len(ports.asked) == 1

    run(story())


def test_unless_it_cannot_matter_and_then_once(run: Any) -> None:
    async def story() -> None:
        ports = Ports(all="UpstreamReset")
        with pytest.raises(Unavailable):
            await deliver(ports, Alone(), 3, repeatable=True)
        assert len(ports.asked) == len(set(ports.asked)) == 2
        owner = Ports(all="UpstreamReset")
        with pytest.raises(Unavailable):
            await deliver(owner, PINNED, 3, repeatable=True)
        assert owner.asked == [0]

    run(story())


def test_an_owner_that_leaves_the_table_is_not_waited_for(run: Any) -> None:
    async def story() -> None:
        ports = Ports(all="UpstreamRefused")
        pool: Any = ports
        clock = Hasty()
        sessions = OpenSessions(Sealer(bytes(32)), clock)
        emptied = replace(entry(1), upstreams={})
        courier = Courier(pool, sessions, clock, lambda _: emptied)
        parcel = Parcel("POST", (), b"", False, 1.0)
        assert isinstance(await courier.deliver(entry(1), PINNED, parcel), Reject)
        assert ports.asked == [0]

    run(story())


@pytest.mark.parametrize(("tool", "tries"), [("read", 2), ("write", 1), (None, 1)])
def test_a_call_may_be_sent_again_where_its_tool_is_safe(
    run: Any, tool: str | None, tries: int
) -> None:
    async def story() -> None:
        told: list[bool] = []

        class Listening(Ports):
            async def send(self, address: Address, *_: Any, **conditions: Any) -> Reply:
                told.append(conditions["repeatable"])
                return await super().send(address)

        pool: Any = Listening()
        sessions = OpenSessions(Sealer(bytes(32)), Hasty())
        upstream = replace(UPSTREAMS[0], safe=frozenset({"read"}))
        parcel = Parcel("POST", (), b"{}", False, 1.0, tool)
        await Courier(pool, sessions, Hasty()).send(upstream, parcel)
        assert told == [tries == 2]

    run(story())


def test_nowhere_to_go_is_said_without_asking(run: Any) -> None:
    async def story() -> None:
        ports = Ports()
        assert isinstance(await deliver(ports, Alone(), 0), Reject)
        assert ports.asked == []

    run(story())


def courier(ports: Ports, clock: Hasty) -> Courier:
    pool: Any = ports
    return Courier(pool, OpenSessions(Sealer(bytes(32)), clock), clock)


async def opened(by: Courier, count: int) -> int:
    """Where a session is opened that goes nowhere else."""
    parcel = Parcel("POST", (), b"", repeatable=False, seconds=1.0)
    sent = await by.deliver(entry(count), Opening(), parcel)
    assert isinstance(sent, Sent)
    sent.close()
    return sent.upstream.address.port


def test_an_instance_that_cannot_be_reached_gets_no_new_sessions_for_a_while(run: Any) -> None:
    async def story() -> None:
        clock, ports = Hasty(), Ports(p0="UpstreamRefused")
        mine = courier(ports, clock)
        for _ in range(40):
            assert await opened(mine, 2) == 1
        assert ports.asked.count(0) == 5
        assert mine.ejections.told(clock.monotonic()) == {"u0": 30.0}
        ports.reasons.clear()
        clock.time += 30
        assert {await opened(mine, 2) for _ in range(4)} == {0, 1}

    run(story())


def test_a_session_goes_to_its_owner_whatever_the_gateway_has_found_out(run: Any) -> None:
    async def story() -> None:
        clock, ports = Hasty(), Ports(p0="UpstreamReset")
        mine = courier(ports, clock)
        parcel = Parcel("POST", (), b"", repeatable=False, seconds=1.0)
        for _ in range(6):
            with pytest.raises(Unavailable):
                await mine.deliver(entry(2), PINNED, parcel)
        assert await opened(mine, 2) == 1
        assert mine.ejections.told(0.0) == {"u0": 30.0}
        ports.reasons.clear()
        sent = await mine.deliver(entry(2), PINNED, parcel)
        assert isinstance(sent, Sent)
        assert sent.upstream.uid == "u0"
        sent.close()

    run(story())


def test_one_instance_alone_is_always_tried(run: Any) -> None:
    async def story() -> None:
        mine = courier(Ports(all="UpstreamRefused"), Hasty())
        for _ in range(3):
            with pytest.raises(Unavailable):
                await opened(mine, 1)
        mine = courier(Ports(p0="UpstreamRefused", p1="UpstreamRefused"), Hasty())
        for _ in range(3):
            with pytest.raises(Unavailable):
                await opened(mine, 2)

    run(story())


def test_what_an_instance_answers_never_counts(run: Any) -> None:
    async def story() -> None:
        ports = Ports()
        mine = courier(ports, Hasty())
        for status in (200, 400, 404, 429, 500, 503) * 3:
            Reply.status = status
            await opened(mine, 1)
        assert mine.ejections.failing == {}

    try:
        run(story())
    finally:
        Reply.status = 200


def test_only_failures_of_transport_count(run: Any) -> None:
    async def story() -> None:
        mine = courier(Ports(p0="UpstreamTooLarge"), Hasty())
        for _ in range(6):
            with pytest.raises(Unavailable):
                await opened(mine, 1)
        assert mine.ejections.failing == {}

    run(story())
