"""A stream to a client that reads as fast as it likes."""

import asyncio
from collections.abc import Callable
from typing import Any

from mooring.clock import SystemClock
from mooring.transports.http_server import Exchange, Request
from mooring.transports.streams import FULL, Stream

Run = Callable[[Any], Any]


class Slow:
    """A connection whose client reads when it is told to."""

    last = False
    date = b""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.reads = asyncio.Event()
        self.was_cut = False

    def send(self, piece: bytes) -> None:
        self.sent.append(piece)

    async def drained(self) -> None:
        await self.reads.wait()

    def end(self, keep_alive: bool) -> None: ...

    def cut(self) -> None:
        self.was_cut = True

    def duplicate(self) -> Any: ...


def test_several_wait_for_one_slow_client_and_all_go_on_when_it_reads(run: Run) -> None:
    async def story() -> None:
        channel = Slow()
        stream = Stream(Exchange(Request("GET", "/", ()), channel), 0.0)
        serving = asyncio.ensure_future(stream.serve())
        await SystemClock().sleep(0)
        stream.put(b"first")
        await SystemClock().sleep(0)
        stream.put(b"x" * (FULL + 1))
        assert stream.full
        waiting = [asyncio.ensure_future(stream.room(5)) for _ in range(3)]
        await SystemClock().sleep(0)
        channel.reads.set()
        await asyncio.wait_for(asyncio.gather(*waiting), 2)
        assert stream.open
        assert not channel.was_cut
        stream.farewell = b"bye"
        stream.end()
        await serving
        assert b"data: bye\n\n" in b"".join(channel.sent)

    run(story())


def test_a_client_that_reads_too_slowly_is_cut_off(run: Run) -> None:
    async def story() -> None:
        channel = Slow()
        stream = Stream(Exchange(Request("GET", "/", ()), channel), 0.0)
        left = []
        stream.on_leave = lambda: left.append(True)
        stream.put(b"x" * (FULL + 1))
        await stream.room(0.01)
        assert channel.was_cut
        assert not stream.open
        assert left == [True]
        stream.put(b"more")
        assert not stream.full

    run(story())
