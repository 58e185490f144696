"""Getting a connected socket to an address.

A host name is resolved once per connection, each address is looked at before it is connected
to, and the connection goes to the address that was looked at. Link-local addresses are
never connected to (`core/remote`): on a cloud machine they lead to its credentials.
"""

import asyncio
import socket
from ipaddress import ip_address
from typing import Final

from mooring.core.address import Address
from mooring.core.remote import refusal

_PER_ADDRESS: Final = 5.0
"""Seconds after which the next of several addresses is tried."""
_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
"""Seconds between two tries at a Unix socket whose backlog is full."""


async def reach(address: Address) -> socket.socket:
    """A connected, non-blocking socket. Raises OSError; the caller bounds the time."""
    if address.socket:
        return await _reach_unix(address.socket)
    return await _reach_tcp(address)


async def _reach_unix(path: str) -> socket.socket:
    """Connects; a full backlog (EAGAIN) is waited for, since it does not queue."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    pause = _FIRST_PAUSE
    try:
        while True:
            try:
                sock.connect(path)
            except BlockingIOError:
                await _rest(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                return sock
    except BaseException:
        sock.close()
        raise


async def _rest(seconds: float) -> None:
    """Waits on the loop's own clock, as the connection does."""
    loop = asyncio.get_running_loop()
    rested: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(seconds, rested.set_result, None)
    try:
        await rested
    finally:
        timer.cancel()


async def _reach_tcp(address: Address) -> socket.socket:
    """Tries the host's addresses in turn; the last one's failure counts."""
    failure = OSError("the name has no address")
    places = await _resolve(address)
    for number, (family, place) in enumerate(places, 1):
        why = refusal(place[0])
        if why is not None:
            failure = OSError(why)
            continue
        try:
            async with asyncio.timeout(None if number == len(places) else _PER_ADDRESS):
                return await _connect(family, place)
        except OSError as error:
            failure = error
    raise failure


async def _connect(family: int, place: tuple[str, int]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


async def _resolve(address: Address) -> list[tuple[int, tuple[str, int]]]:
    """Where the host is: family and place to connect to, best first."""
    try:
        version = ip_address(address.host).version
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        return [(family, (str(place[0]), int(place[1]))) for family, _, _, _, place in found]
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return [(family, (address.host, address.port))]
