"""Work without a client is bounded, and belongs to the gateway."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from support.standin import Standin

from mooring.clock import SystemClock
from mooring.core.table import Upstream
from mooring.gateway import afterwork
from mooring.gateway.afterwork import Afterwork
from mooring.sessions.courier import Courier
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.seal import Sealer
from mooring.transports.http_upstream import Pool


class Sent:
    """A call whose answer goes on and on."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.read = 0
        self.chunks: Any = self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            self.read += 10
            yield b"0123456789"

    def close(self) -> None:
        self.closed.set()


def test_an_endless_answer_is_given_up(run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(afterwork, "DISCARD_BYTES", 1000)

    async def story() -> None:
        courier: Any = None
        work, sent = Afterwork(courier), Sent()
        async with asyncio.TaskGroup() as group:
            work.begin(group)
            work.discard(sent, sent)  # type: ignore[arg-type]
        assert sent.closed.is_set()
        assert sent.read == 1010

    run(story())


def test_a_quiet_answer_is_given_up_in_time(run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(afterwork, "DISCARD_SECONDS", 0.01)

    async def quiet() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def story() -> None:
        courier: Any = None
        work, sent = Afterwork(courier), Sent()
        sent.chunks = quiet()
        async with asyncio.TaskGroup() as group:
            work.begin(group)
            work.discard(sent, sent)  # type: ignore[arg-type]
        assert sent.closed.is_set()

    run(story())


def test_where_no_more_can_be_done_a_call_is_closed_at_once(run: Any, monkeypatch: Any) -> None:
    async def story() -> None:
        courier: Any = None
        work, sent = Afterwork(courier), Sent()
        work.discard(sent, sent)  # type: ignore[arg-type]
        assert sent.closed.is_set()
        monkeypatch.setattr(afterwork, "TASKS", 0)
        async with asyncio.TaskGroup() as group:
            other = Sent()
            work.begin(group)
            work.discard(other, other)  # type: ignore[arg-type]
            assert other.closed.is_set()

    run(story())


def test_a_session_is_ended_upstream_whatever_comes_of_it(run: Any) -> None:
    async def story() -> None:
        pool, clock = Pool(), SystemClock()
        sessions = OpenSessions(Sealer(bytes(32)), clock)
        work = Afterwork(Courier(pool, sessions, clock))
        async with Standin() as standin, asyncio.TaskGroup() as group:
            upstream = Upstream("x", "u", standin.address)
            work.begin(group)
            work.end_upstream(upstream, ((b"mcp-session-id", b"theirs"),))
            await standin.arrived.wait()
            assert standin.seen[0].method == "DELETE"
            await standin.__aexit__()
            work.end_upstream(upstream, ())
        assert sessions.load("u").calls == 0
        await pool.close()

    run(story())
