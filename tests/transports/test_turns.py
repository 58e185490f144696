"""Servers that accept on one socket, as several processes do, here on one loop."""

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.fronting import eventually

from mooring.transports.http_server import Exchange, HttpServer
from mooring.transports.turns import GONE, Shares, Turns, size

Run = Callable[[Coroutine[Any, Any, None]], None]


async def answer(exchange: Exchange) -> None:
    exchange.respond(200, (), b"ahoy")


class Group:
    """So many servers on one port, and connections to it."""

    def __init__(self, count: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._file.truncate(size(count))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.shares = Shares(self._file.fileno(), count)
        self._others = [Shares(self._file.fileno(), count) for _ in range(count)]
        for number in range(count):
            self.shares.gone(number)
        self.turns = [Turns(share, number) for number, share in enumerate(self._others)]
        self.servers = [HttpServer(answer) for _ in range(count)]
        self.clients: list[socket.socket] = []

    async def serve(self, number: int) -> None:
        await self.servers[number].listen(self.listener.dup(), self.turns[number])

    def connect(self, count: int) -> None:
        """All at once: the kernel takes them before anybody accepts."""
        address = self.listener.getsockname()
        self.clients += [socket.create_connection(address, 5) for _ in range(count)]

    async def settled(self) -> list[int]:
        await eventually(lambda: sum(self.counts) == len(self.clients))
        return self.counts

    @property
    def counts(self) -> list[int]:
        return [server.connections_open for server in self.servers]

    async def close(self) -> None:
        for client in self.clients:
            client.close()
        for server in self.servers:
            await server.close()
        for each in (self.shares, *self._others):
            each.close()
        self._file.close()
        self.listener.close()


@asynccontextmanager
async def group(count: int) -> AsyncIterator[Group]:
    several = Group(count)
    try:
        yield several
    finally:
        await several.close()


@pytest.mark.parametrize("count", [2, 3])
def test_connections_that_come_at_once_are_shared(run: Run, count: int) -> None:
    async def story() -> None:
        async with group(count) as several:
            for number in range(count):
                await several.serve(number)
            several.connect(16 * count)
            counts = await several.settled()
            assert max(counts) - min(counts) <= 3

    run(story())


def test_a_newcomer_gets_what_comes_until_it_has_as_many(run: Run) -> None:
    async def story() -> None:
        async with group(2) as several:
            await several.serve(0)
            several.connect(10)
            assert await several.settled() == [10, 0]
            await several.serve(1)
            several.connect(8)
            counts = await several.settled()
            assert counts[1] >= 6

    run(story())


def test_one_that_has_few_and_takes_none_stops_nobody(run: Run) -> None:
    async def story() -> None:
        async with group(2) as several:
            await several.serve(0)
            several.shares.say(1, 0)  # as if it hung
            several.connect(20)
            assert await several.settled() == [20, 0]

    run(story())


def test_one_that_has_closed_leaves_the_rest_to_the_others(run: Run) -> None:
    async def story() -> None:
        async with group(2) as several:
            await several.serve(0)
            await several.serve(1)
            several.servers[1].stop_accepting()
            await several.turns[1].settled()
            assert several.shares.least() == 0
            several.connect(5)
            assert await several.settled() == [5, 0]
            several.servers[0].stop_accepting()
            assert several.shares.least() == GONE

    run(story())


def test_requests_are_answered_and_sent_without_delay(run: Run) -> None:
    async def story() -> None:
        async with group(2) as several:
            await several.serve(0)
            await several.serve(1)
            reader, writer = await asyncio.open_connection(*several.listener.getsockname())
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"ahoy")
            writer.close()
            await writer.wait_closed()

    run(story())


class Exhausted(socket.socket):
    """Finds no free descriptor the first time."""

    refusals = 1

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(24, "Too many open files")
        return super().accept()


def test_a_client_waits_while_there_is_no_room(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mooring.transports.turns.RETRY_SECONDS", 0.01)

    async def story() -> None:
        async with group(1) as several:
            listener = Exhausted(fileno=os.dup(several.listener.fileno()))
            await several.servers[0].listen(listener, several.turns[0])
            several.connect(1)
            assert await several.settled() == [1]
            assert listener.refusals == 0

    run(story())
