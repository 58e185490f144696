"""How a server ends."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.wire import GET, POST, Gate, echo, serving, until

from mooring.transports.http_server import Exchange, HttpServer

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_draining_closes_idle_connections_and_lets_busy_ones_finish(on_loop: Run) -> None:
    async def story() -> None:
        gate = Gate()
        async with serving(gate) as site:
            idle, busy, half = [await site.connect() for _ in range(3)]
            await busy.send(GET % b"1", GET % b"2")
            await gate.arrived.wait()
            await half.send((POST % 2)[:-2] + b"Expect: 100-continue\r\n\r\n")
            await half.piece()
            await until(lambda: site.server.connections_open == 3)
            drained = asyncio.ensure_future(site.server.drain(5))
            assert await idle.end() == b""
            with pytest.raises(ConnectionRefusedError):
                await site.connect()
            await half.send(b"{}")
            gate.let_through.set()
            for wire in (busy, half):
                assert (await wire.answer()).headers[b"connection"] == b"close"
                assert await wire.end() == b""
            assert await drained
            assert gate.seen == ["/1", "/"]

    on_loop(story())


def test_a_connection_that_was_just_made_has_a_moment_for_its_request(on_loop: Run) -> None:
    async def story() -> None:
        async with serving(echo) as site:
            fresh, kept = [await site.connect() for _ in range(2)]
            await kept.send(GET % b"1")
            await kept.answer()
            await until(lambda: site.server.connections_open == 2)
            drained = asyncio.ensure_future(site.server.drain(5))
            await until(lambda: site.server.draining)
            for wire in (fresh, kept):
                await wire.send(GET % b"2")
                answer = await wire.answer()
                assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
                assert await wire.end() == b""
            assert await drained

    on_loop(story())


def test_a_stream_that_began_before_a_drain_ends_its_connection_too(on_loop: Run) -> None:
    async def story() -> None:
        started, go_on = asyncio.Event(), asyncio.Event()

        async def stepping(exchange: Exchange) -> None:
            exchange.start(200)
            await exchange.write(b"x")
            started.set()
            await go_on.wait()
            exchange.finish()

        async with serving(stepping) as site:
            wire = await site.connect()
            await wire.send(GET % b"")
            await started.wait()
            drained = asyncio.ensure_future(site.server.drain(5))
            go_on.set()
            assert (await wire.answer()).body == b"x"
            assert await wire.end() == b""
            assert await drained

    on_loop(story())


def test_draining_gives_up_in_time(on_loop: Run) -> None:
    async def story() -> None:
        gate = Gate()
        async with serving(gate) as site:
            wire = await site.connect()
            await wire.send(GET % b"")
            await gate.arrived.wait()
            assert not await site.server.drain(0.01)
            assert site.server.requests_open == 1

    on_loop(story())


def test_closing_cancels_handlers_and_waits_for_them(on_loop: Run) -> None:
    async def story() -> None:
        arrived = asyncio.Event()
        ends: list[str] = []

        async def waiting(exchange: Exchange) -> None:
            arrived.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ends.append("cancelled")

        async with serving(waiting) as site:
            wire = await site.connect()
            await wire.send(GET % b"")
            await arrived.wait()
            await site.server.close()
            assert ends == ["cancelled"]
            assert await wire.end() == b""
            assert (site.server.connections_open, site.server.requests_open) == (0, 0)
            await site.server.close()

    on_loop(story())


def test_a_server_that_never_listened_can_be_closed(run: Run) -> None:
    async def story() -> None:
        server = HttpServer(echo)
        assert await server.drain(0)
        await server.close()

    run(story())
