"""The keeper's end of the forker: asking for a process, and the line to its init.

`Forker` runs `forker.py` and hands it requests; `InitLine` is the control socket of one child,
on the loop. Nothing here waits for a process by its pid: init tells how its child ended, and a
line that breaks without a word means that init itself was killed.
"""

import asyncio
import contextlib
import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Literal

import msgspec

from mooring.keeper import forker
from mooring.keeper.child import Blow

Rung = Literal["pid-namespace", "cgroup", "process-group"]
"""How surely a child ends; see `ladder`."""

LOST = "lost"
"""The stage of a child whose forker or init was killed before it was born."""

_CREDENTIALS = struct.Struct("3i")
_LEAVING = 2.0
_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": os.defpath}


class Unborn(Exception):
    """A child that never became its command: at which stage it failed, and the errno."""

    def __init__(self, stage: str, number: int) -> None:
        super().__init__(f"{stage}: {os.strerror(number)}")
        self.stage = stage
        self.number = number


class ForkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the forker is asked for."""

    rung: Rung
    argv: tuple[str, ...] = ()
    """Empty: a trial that does nothing but wait for its end."""
    env: dict[str, str] = msgspec.field(default_factory=dict)
    cwd: str = ""
    user: int = 0
    group: int = 0
    leaf: str = ""
    """Directory of the child's cgroup; empty on the other rungs."""


class Forker:
    """The forker's process: started at first use, and again should somebody kill it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._turn = asyncio.Lock()
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    async def fork(
        self,
        request: ForkRequest,
        stdio: tuple[int, int, int],
        over: Callable[[tuple[int, int] | None], None],
    ) -> "InitLine":
        """Asks for a child with these three descriptors, which stay the caller's.

        `over` is called once when the child has ended: with exit code and signal, or None where
        its init was killed. Raises OSError where there is no forker to ask.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # before anybody sends
        memory = os.memfd_create("request", os.MFD_CLOEXEC)
        try:
            os.write(memory, msgspec.json.encode(request))
            async with self._turn:
                await self._send([memory, theirs.fileno(), *stdio])
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(memory)
            theirs.close()
        return InitLine(ours, over)

    def close(self) -> None:
        """Ends the forker, which first waits a little for inits that are about to end."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LEAVING)
            self._process.kill()
            self._process.wait()
            self._process = None

    async def _send(self, descriptors: list[int]) -> None:
        """One packet; a forker that is gone is replaced once."""
        for last in (False, True):
            channel = self._channel or self._start()
            try:
                while not _sent(channel, descriptors):
                    await _writable(channel)
                return
            except ConnectionError:
                self.close()
                if last:
                    raise

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        options = ("-I", "-S", "-X", "utf8")
        number = str(theirs.fileno())
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *options, forker.__file__, number, str(self._limit)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        self._channel = ours
        return ours


class InitLine:
    """The line to the init of one child. `born` gets the child's pid, or fails with Unborn."""

    def __init__(self, sock: socket.socket, over: Callable[[tuple[int, int] | None], None]) -> None:
        loop = asyncio.get_running_loop()
        self.born: asyncio.Future[int] = loop.create_future()
        self._over = over
        self._socket = sock
        self._pid = 0
        self._open = True
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._readable)

    def strike(self, blow: Blow) -> None:
        """SIGTERM to the child's group, or the end of all that is left of it."""
        if self._open:
            with contextlib.suppress(OSError):
                self._socket.send(b"T" if blow == "term" else b"K")

    def cut(self) -> None:
        """Lets go of the line; init then ends everything."""
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()

    def _readable(self) -> None:
        try:
            packet, ancillary, _, _ = self._socket.recvmsg(
                forker.PACKET, socket.CMSG_SPACE(_CREDENTIALS.size)
            )
        except BlockingIOError:
            return
        except OSError:
            packet, ancillary = b"", []
        match packet.decode().split():
            case ["pid"]:
                self._pid = _sender(ancillary)
            case ["running"]:
                self._settle(None)
            case ["failed", stage, number]:
                self._settle(Unborn(stage, int(number)))
                self.cut()
            case ["exit", code, sign]:
                self._end((int(code), int(sign)))
            case _:
                self._end(None)

    def _end(self, outcome: tuple[int, int] | None) -> None:
        born = self.born.done()
        self._settle(Unborn(LOST, 0))
        self.cut()
        if born:
            self._over(outcome)

    def _settle(self, failure: Unborn | None) -> None:
        if self.born.done():
            return
        if failure is None:
            self.born.set_result(self._pid)
        else:
            self.born.set_exception(failure)


def _sent(channel: socket.socket, descriptors: list[int]) -> bool:
    """Whether the forker had room for the packet."""
    try:
        socket.send_fds(channel, [b"fork"], descriptors)
    except BlockingIOError:
        return False
    return True


async def _writable(channel: socket.socket) -> None:
    """Waits until the forker has read something, within a bound."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(channel.fileno(), _wake, ready)
    try:
        async with asyncio.timeout(10):
            await ready
    finally:
        loop.remove_writer(channel.fileno())


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The pid of whoever sent the packet, as the kernel vouches for it."""
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(_CREDENTIALS.unpack(content)[0])
    return 0
