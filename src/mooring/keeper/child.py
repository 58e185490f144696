"""One child: an operating-system process with everything that it started.

A child is more than its process: it ends when nothing of it is left, descendants that left
its group or session included. How surely that works depends on the rung (`ladder`). `Child`
is what the rest of the keeper holds; it is made of a pid, two pipe ends and a way to strike,
so that a test can build one over plain pipes. `Spawner` makes real ones.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Literal, Protocol

from mooring.core.keeping import Exit, SlotSpec

VOLUNTARY = 2.0
"""Seconds that a child has to leave by itself once its stdin is closed."""
AFTER_KILL = 5.0
"""Seconds after SIGKILL until a child counts as ended whatever the kernel says."""
AFTER_EXIT = 1.0
"""Seconds after the exit in which stdout may still be read to its end."""

Blow = Literal["term", "kill"]
"""`term`: SIGTERM to the process group. `kill`: SIGKILL to all that is left of the child."""


class Child:
    """A running child.

    `pid` is that of the real process, as the keeper (and `ps`) sees it. `exited` is set once,
    never fails, and must not be cancelled: wait for it with `wait()`, or behind
    `asyncio.shield`. It is set within 100 ms of the end, when nothing of the child is left.
    What it wrote to stdout before may still wait in the pipe then: the reader gets it, and its
    end of file, in its own time (at most `AFTER_EXIT` seconds).
    """

    def __init__(
        self, pid: int, strike: Callable[[Blow], None], stdin: int = -1, stdout: int = -1
    ) -> None:
        """`stdin` and `stdout` are our non-blocking pipe ends; the child owns them from now on."""
        self.pid = pid
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._strike = strike
        self._stdin, self._stdout = stdin, stdout
        self._writer: asyncio.WriteTransport | None = None
        self._reader: asyncio.ReadTransport | None = None
        self.exited.add_done_callback(self._release)

    async def connect(
        self, stdout: asyncio.Protocol, stdin: asyncio.BaseProtocol
    ) -> asyncio.WriteTransport:
        """Puts both pipes on the loop; once per child, and only where it has pipes (stdio).

        `stdout` gets `connection_made` with the read transport (pause_reading and
        resume_reading work), `data_received` for raw chunks, `eof_received` and
        `connection_lost`: lines and their limit are the caller's. `stdin` gets
        `pause_writing`, `resume_writing` and `connection_lost` of the returned transport, whose
        buffer limits the caller may set.
        """
        loop = asyncio.get_running_loop()
        read_end, self._stdout = os.fdopen(self._stdout, "rb", buffering=0), -1
        write_end, self._stdin = os.fdopen(self._stdin, "wb", buffering=0), -1
        self._reader, _ = await loop.connect_read_pipe(lambda: stdout, read_end)
        self._writer, _ = await loop.connect_write_pipe(lambda: stdin, write_end)
        if self.exited.done():
            self._release(self.exited)
        return self._writer

    async def wait(self) -> Exit:
        """How it ended; waits for that, and may be cancelled."""
        return await asyncio.shield(self.exited)

    async def end(self, grace: float) -> None:
        """Ends it and everything that it started; returns when it is over.

        stdin closed, 2 s to leave by itself, SIGTERM to its group, `grace` seconds, SIGKILL to
        all of it. A child without stdin gets SIGTERM at once. May be called again, at any time.
        """
        if self._close_stdin() and await self._over_within(VOLUNTARY):
            return
        if not self.exited.done():
            self._strike("term")
        if await self._over_within(grace):
            return
        self._strike("kill")
        if not await self._over_within(AFTER_KILL) and not self.exited.done():
            self.exited.set_result(Exit(signal=9))

    async def _over_within(self, seconds: float) -> bool:
        """Whether it ended in time."""
        done, _ = await asyncio.wait([self.exited], timeout=seconds)
        return bool(done)

    def _close_stdin(self) -> bool:
        """Whether there was a stdin that the child may take as its sign to leave."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
            return True
        if self._writer is not None:
            self._writer.close()
            return True
        return False

    def _release(self, _: asyncio.Future[Exit]) -> None:
        """Gives back descriptors; the reader may first finish what is in the pipe."""
        for descriptor in (self._stdin, self._stdout):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._stdin = self._stdout = -1
        if self._writer is not None and not self._writer.is_closing():
            self._writer.abort()
        if self._reader is not None:
            asyncio.get_running_loop().call_later(AFTER_EXIT, self._reader.close)


class Spawner(Protocol):
    """Makes children."""

    async def spawn(self, spec: SlotSpec, *, stdio: bool, port: int = 0) -> Child:
        """Starts the slot's command and returns once it runs.

        `stdio`: stdin and stdout are pipes, and stderr goes to the slot's log. Otherwise stdin
        is empty, both outputs go to the log, and PORT, HOST and `$(PORT)` are filled in from
        `port`. Raises Unavailable("CannotStart") with the sentence for the user:
        `command not found: foo`.
        """
        ...
