"""Several gateway processes behind one port.

All of them accept on the one listening socket that the daemon was lent by the keeper and hands
on to them, so no connection waits for a process that is gone; `transports/turns` sees to it
that each gets its share. Each has a pipe to the daemon as its stdin: when that ends, because
the daemon closed it or died, the process lets its requests finish and ends. One that ends
before it is told to is replaced, at once and then more slowly.
"""

import asyncio
import contextlib
import logging
import random
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.backoff import restart
from mooring.core.reporting import Reports
from mooring.errors import Unavailable
from mooring.programs.answering import DRAIN_SECONDS, either
from mooring.transports.turns import Shares, size

BIRTH_SECONDS = 60.0
"""Until all of them must have reported for the first time."""
BIRTHS = 3
"""Times that any of them may fail until then."""
LATER_SECONDS = 5.0
"""How much longer than its requests a process may take to end."""
GOOD_SECONDS = 60.0
"""A process that lived so long is not held to have failed."""
LOOK_SECONDS = 0.02


class Workers:
    """Gateways in `count` processes; `arguments` are those of `mooring.programs.gateway`."""

    def __init__(
        self,
        count: int,
        listener: socket.socket,
        arguments: Sequence[str],
        reports: Reports,
        clock: Clock,
    ) -> None:
        self._names = [str(number) for number in range(1, count + 1)]
        self._listener = listener
        self._argv = [sys.executable, "-m", "mooring.programs.gateway", *arguments]
        self._reports = reports
        self._clock = clock
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._failures = 0
        self._memory = tempfile.TemporaryFile()  # noqa: SIM115 - as long as we are
        self._memory.truncate(size(count))
        self._shares = Shares(self._memory.fileno(), count)
        for number in range(count):
            self._shares.gone(number)
        self._ending = False

    async def run(self) -> None:
        """Starts the processes, and replaces those that end."""
        async with asyncio.TaskGroup() as tasks:
            for name in self._names:
                tasks.create_task(self._keep(name), name=f"worker {name}")

    async def open(self) -> None:
        """Returns once every process has a table."""
        deadline = self._clock.monotonic() + BIRTH_SECONDS
        while not self._reports.heard_of(self._clock.monotonic()) >= set(self._names):
            if self._clock.monotonic() > deadline or self._failures >= BIRTHS:
                what = "the gateway's processes do not come up; the log says why"
                raise Unavailable("CannotStart", what)
            await self._clock.sleep(LOOK_SECONDS)

    async def drain(self, hurry: asyncio.Event) -> None:
        """Has all processes end; those that do not are killed."""
        self._ending = True
        self._listener.close()
        processes = tuple(self._running.values())
        for process in processes:
            if process.stdin is not None:
                process.stdin.close()
        await either(_all_ended(processes, DRAIN_SECONDS + LATER_SECONDS), hurry.wait())
        if hurry.is_set():
            for process in processes:
                _signal(process.terminate)
            await _all_ended(processes, LATER_SECONDS)
        for process in processes:
            _signal(process.kill)
        await _all_ended(processes, LATER_SECONDS)
        self._shares.close()
        self._memory.close()

    async def _keep(self, name: str) -> None:
        failures = 0
        while not self._ending:
            began = self._clock.monotonic()
            code = await self._one(name)
            if self._ending:
                return
            self._reports.forget(name)
            self._shares.gone(int(name) - 1)
            lived = self._clock.monotonic() - began
            self._failures += 1
            failures = 1 if lived >= GOOD_SECONDS else failures + 1
            telemetry.event("worker.ended", logging.ERROR, worker=name, code=code)
            await self._clock.sleep(restart(failures, random.random()))

    async def _one(self, name: str) -> int | str:
        """Runs one process to its end: its exit code, or why there is none."""
        listener, memory = self._listener.fileno(), self._memory.fileno()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                *("--name", name, "--of", str(len(self._names))),
                *("--listener", str(listener), "--shares", str(memory)),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(listener, memory),
                start_new_session=True,  # Ctrl-C is for the daemon alone
            )
        except OSError as error:
            return str(error)
        if self._ending and process.stdin is not None:
            process.stdin.close()
        self._running[name] = process
        telemetry.event("worker.started", worker=name, pid=process.pid)
        try:
            return await process.wait()
        finally:
            del self._running[name]


async def _all_ended(processes: Sequence[asyncio.subprocess.Process], seconds: float) -> None:
    """Returns when they have, or when the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for process in processes:
                await process.wait()


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(ProcessLookupError):
        send()
