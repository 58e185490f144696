"""Speaks to the keeper over its Unix socket.

Every question has a bound, and every one may be asked again without harm. A keeper that is
not there is Unavailable("KeeperGone"); one that is there and does not answer in time is
Unavailable("UpstreamTimeout"): its children may well be alive.
"""

import asyncio
import os
import socket
from pathlib import Path
from typing import TypeVar

import msgspec

from mooring import errors
from mooring.core.address import Address
from mooring.core.keeping import (
    LISTENER,
    Changes,
    Ending,
    KeeperState,
    ListenerSpec,
    Refusal,
    SlotSpec,
    SlotState,
)
from mooring.errors import MooringError, Unavailable
from mooring.transports.http_upstream import Pool

T = TypeVar("T")

SECONDS = 15.0
"""Until any question but the long poll is given up; a start takes at most 10."""
POLL = 20.0
"""Seconds that the keeper waits for something to change."""
LIMIT = 64 * 1024 * 1024
"""Bytes of an answer."""
JSON = ((b"content-type", b"application/json"),)


class KeeperClient:
    """The keeper behind one socket."""

    def __init__(self, pool: Pool, socket_path: Path) -> None:
        self.socket_path = socket_path
        self._pool = pool
        self._address = Address("", 0, "/", socket=str(socket_path))

    async def state(self) -> KeeperState:
        """Who it is."""
        return _decoded(await self._ask("GET", "/v1/keeper"), KeeperState)

    async def slots(self) -> tuple[SlotState, ...]:
        """All slots."""
        return _decoded(await self._ask("GET", "/v1/slots"), tuple[SlotState, ...])

    async def put(self, spec: SlotSpec) -> SlotState:
        """Starts an instance; the same uid again changes nothing."""
        body = msgspec.json.encode(spec)
        return _decoded(await self._ask("PUT", f"/v1/slots/{spec.uid}", body), SlotState)

    async def stop(self, uid: str, grace: float) -> None:
        """Begins the end of an instance; raises NotFound."""
        await self._ask("POST", f"/v1/slots/{uid}/stop", msgspec.json.encode(Ending(grace=grace)))

    async def forget(self, uid: str) -> None:
        """Drops a slot that has exited; raises Conflict where it has not, NotFound."""
        await self._ask("DELETE", f"/v1/slots/{uid}")

    async def changes(self, since: int, wait: float = POLL) -> Changes:
        """What changed after that number; waits for the first change, for at most so long."""
        path = f"/v1/changes?since={since}&wait={wait:g}"
        return _decoded(await self._ask("GET", path, seconds=wait + SECONDS), Changes)

    async def shutdown(self, grace: float) -> None:
        """Begins the end of all children, and of the keeper."""
        await self._ask("POST", "/v1/shutdown", msgspec.json.encode(Ending(grace=grace)))

    async def listener(self, host: str, port: int, name: str = LISTENER) -> socket.socket:
        """The listening socket of that name, which the keeper keeps open across daemons.

        Raises Conflict("PortInUse") and Invalid.
        """
        body = msgspec.json.encode(ListenerSpec(name=name, host=host, port=port))
        return await asyncio.to_thread(_lend, str(self.socket_path), body)

    async def _ask(
        self, method: str, path: str, body: bytes = b"", seconds: float = SECONDS
    ) -> bytes:
        try:
            reply = await self._pool.send(
                self._address, method, JSON if body else (), body, path=path, seconds=seconds
            )
            answer = await reply.read(LIMIT, SECONDS)
        except Unavailable as error:
            if error.reason == "UpstreamRefused":
                raise _gone(self.socket_path, error.message) from error
            raise
        if reply.status >= 400:
            raise _refused(answer, reply.status)
        return answer


def _decoded(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.MsgspecError as error:
        raise Unavailable("KeeperGone", f"the keeper answers what it should not: {error}") from None


def _refused(body: bytes, status: int) -> MooringError:
    """The keeper's error, made one of ours again: its reason tells the family."""
    try:
        told = msgspec.json.decode(body, type=Refusal)
        family = next(name for name, known in errors.FAMILIES.items() if told.reason in known)
    except (msgspec.MsgspecError, StopIteration):
        return Unavailable("KeeperGone", f"the keeper answered {status}")
    made = getattr(errors, family)(told.reason, told.message)
    assert isinstance(made, MooringError)
    return made


def _gone(path: object, why: str) -> Unavailable:
    return Unavailable("KeeperGone", f"the keeper does not answer at {path}: {why}")


def _lend(path: str, body: bytes) -> socket.socket:
    """Asks for a listening socket, and takes it from beside the answer."""
    head = f"POST /v1/listeners HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n"
    head += "content-type: application/json\r\nconnection: close\r\n\r\n"
    received: list[int] = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(SECONDS)
            line.connect(path)
            line.sendall(head.encode() + body)
            answer = _hear(line, received)
    except OSError as error:
        raise _gone(path, str(error)) from error
    finally:
        sockets = [socket.socket(fileno=descriptor) for descriptor in received]
        for extra in sockets[1:]:
            extra.close()
    if sockets:
        sockets[0].setblocking(False)
        return sockets[0]
    status = int(answer[9:12]) if answer[9:12].isdigit() else 0
    raise _refused(answer.partition(b"\r\n\r\n")[2], status)


def _hear(line: socket.socket, received: list[int]) -> bytes:
    answer = b""
    while len(answer) < LIMIT:
        try:
            piece, descriptors, _, _ = socket.recv_fds(line, 65536, 4)
        except ConnectionResetError:
            break
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # programs that we start would hold it open
        received += descriptors
        if not piece:
            break
        answer += piece
    return answer
