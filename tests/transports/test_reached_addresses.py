"""Where the pool connects to, and where it never does."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.core.address import parse
from mooring.errors import Unavailable
from mooring.transports.http_server import Exchange, HttpServer
from mooring.transports.http_upstream import Pool

Run = Callable[[Coroutine[Any, Any, None]], None]
METADATA = "169.254.169.254"


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every name has these addresses."""

    async def resolved(_: object, host: str, port: int, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)


@pytest.mark.parametrize("host", [METADATA, "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0"])
def test_a_refused_address_is_never_connected_to(run: Run, host: str) -> None:
    async def story() -> None:
        pool = Pool()
        with pytest.raises(Unavailable, match=r"cannot connect to .* is an? ") as caught:
            await pool.send(parse(f"http://{host}/latest/meta-data"), "GET", ())
        assert caught.value.reason == "UpstreamRefused"
        await pool.close()

    run(story())


def test_a_name_that_resolves_to_a_refused_address_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, METADATA)

    async def story() -> None:
        pool = Pool()
        with pytest.raises(Unavailable, match="link-local"):
            await pool.send(parse("http://innocent.example/"), "GET", ())
        await pool.close()

    run(story())


def test_of_several_addresses_only_the_allowed_are_tried_and_redirects_are_answers(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, METADATA, "127.0.0.1")

    async def redirect(exchange: Exchange) -> None:
        exchange.respond(302, ((b"location", b"http://169.254.169.254/"),))

    async def story() -> None:
        pool, server = Pool(), HttpServer(redirect)
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        await server.listen(listening)
        reply = await pool.send(parse(f"http://innocent.example:{port}/"), "GET", ())
        assert (reply.status, reply.header(b"location")) == (302, b"http://169.254.169.254/")
        await reply.read(100, 5)
        await pool.close()
        await server.close()

    run(story())
