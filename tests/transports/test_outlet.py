"""What is written goes out at once, in order, and nowhere else."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, cast

import pytest

from mooring.transports.outlet import Outlet

Run = Callable[[Coroutine[Any, Any, None]], None]


class Queue:
    """A transport over a socket that keeps what is written to it."""

    def __init__(self, sock: socket.socket, *, tls: bool = False) -> None:
        self.closing = False
        self.queued = b""
        self._told = {"socket": sock, "sslcontext": object() if tls else None}

    def get_extra_info(self, name: str) -> Any:
        return self._told[name]

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return len(self.queued)

    def write(self, piece: bytes) -> None:
        self.queued += piece


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def outlet(transport: Queue) -> Outlet:
    return Outlet(cast(asyncio.Transport, transport))


def test_what_fits_goes_out_at_once(pair: Pair) -> None:
    transport = Queue(pair[0])
    outlet(transport).write(b"abc")
    assert (pair[1].recv(10), transport.queued) == (b"abc", b"")


def test_what_does_not_fit_is_the_transport_s_and_what_follows_queues_behind(pair: Pair) -> None:
    transport = Queue(pair[0])
    way = outlet(transport)
    long = bytes(range(256)) * 40_000
    way.write(long)
    taken = len(long) - len(transport.queued)
    assert 0 < taken < len(long)
    got = pair[1].recv(1 << 24)
    way.write(b"after")
    while len(got) < taken:
        got += pair[1].recv(1 << 24)
    assert got + transport.queued == long + b"after"


def test_a_connection_that_is_closing_or_broken_is_the_transport_s(pair: Pair) -> None:
    transport = Queue(pair[0])
    way = outlet(transport)
    transport.closing = True
    way.write(b"late")
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pair[1].recv(10)
    transport.closing, transport.queued = False, b""
    pair[1].close()
    way.write(b"lost")
    assert transport.queued == b"lost"


def test_what_is_encrypted_goes_through_the_transport(pair: Pair) -> None:
    transport = Queue(pair[0], tls=True)
    outlet(transport).write(b"secret")
    assert transport.queued == b"secret"


def test_no_byte_goes_to_a_connection_that_has_the_descriptor_of_a_closed_one(
    on_loop: Run,
) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        transport, _ = await loop.create_unix_connection(asyncio.Protocol, sock=ours)
        way = Outlet(transport)
        way.write(b"a")
        assert await loop.sock_recv(_nonblocking(theirs), 10) == b"a"
        transport.abort()
        for _ in range(3):
            with suppress(RuntimeError):  # as a loop's own transport has it
                way.write(b"b")
            await asyncio.wait([loop.create_future()], timeout=0.001)
        heirs = [socket.socketpair() for _ in range(8)]
        with suppress(RuntimeError):
            way.write(b"c")
        ends = [_nonblocking(end) for each in heirs for end in each]
        for end in ends:
            with pytest.raises(BlockingIOError):
                end.recv(10)
        for end in ends:
            end.close()
        theirs.close()

    on_loop(story())


def _nonblocking(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    return sock
