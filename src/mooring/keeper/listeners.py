"""Listening sockets that outlive the daemon.

The keeper binds a socket once, listens, and lends it to each daemon that asks for it by name,
so that connections wait in the kernel's queue while one daemon follows another, and none is
refused. A descriptor travels with the first byte of the HTTP answer (SCM_RIGHTS); the answer
has `connection: close`, and the connection ends after it.
"""

import asyncio
import errno
import os
import socket

from mooring.core.keeping import ListenerSpec, ListenerState
from mooring.errors import Conflict, Invalid

_BACKLOG = 2048
_RESOLVING = 5.0


class Listeners:
    """The sockets, by name."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[ListenerSpec, socket.socket]] = {}
        self._turn = asyncio.Lock()

    def adopt(self, spec: ListenerSpec, sock: socket.socket) -> None:
        """A socket that listens already; held from now on under its name."""
        self._held[spec.name] = (spec, sock)

    async def get(self, spec: ListenerSpec) -> socket.socket:
        """The socket of that name, which stays ours; bound now unless it is already.

        Another host or port than before replaces it. Raises Conflict "PortInUse", and Invalid
        for an address that nobody could listen on.
        """
        async with self._turn:
            held = self._held.get(spec.name)
            if held is not None and held[0] == spec:
                return held[1]
            sock = await _bind(spec.host, spec.port)
            self._held[spec.name] = (spec, sock)
            if held is not None:
                held[1].close()
            return sock

    def close(self) -> None:
        """Stops listening."""
        for _, sock in self._held.values():
            sock.close()
        self._held.clear()


def state(spec: ListenerSpec, sock: socket.socket) -> ListenerState:
    """What is listened on really: a port of 0 has become one."""
    host, port = sock.getsockname()[:2]
    return ListenerState(name=spec.name, host=host, port=port)


async def _bind(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        async with asyncio.timeout(_RESOLVING):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Invalid("Invalid", f"cannot listen on {place}: {error}") from error
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise _refusal(place, error) from error
    return sock


def _refusal(place: str, error: OSError) -> Conflict | Invalid:
    if isinstance(error, PermissionError):
        return Invalid("Invalid", f"cannot listen on {place}: only root may use this port")
    words = os.strerror(error.errno or 0)
    if error.errno == errno.EADDRINUSE:
        words = "the port is in use by another program"
        return Conflict("PortInUse", f"cannot listen on {place}: {words}. Fix: choose another")
    return Invalid("Invalid", f"cannot listen on {place}: {words}")
