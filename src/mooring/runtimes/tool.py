"""Runs pip, npm or an interpreter to its end, and keeps what it says.

A tool has a process group of its own, which is killed as one when the wait for it is given
up. What it says goes to a log file and, the last lines of it, to the caller; both are bounded.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring.errors import Unavailable

LINES = 4000
LINE = 4096
"""Characters of a line that are kept."""
LOG = 1024 * 1024
"""Bytes of a log file."""
CHUNK = 65536
AFTER_KILL = 5.0
"""Seconds until a killed tool counts as gone whatever the kernel says."""


@dataclass(frozen=True, slots=True)
class Job:
    """In what surroundings the tools of one installation run."""

    environment: Mapping[str, str]
    directory: Path
    """Where they run."""
    log: Path
    lock: int = -1
    """A descriptor that they inherit: a lock on it is held for as long as one of them lives."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a tool ended."""

    code: int
    lines: tuple[str, ...]
    """The last of what it said, stdout and stderr as they came."""


def begin(log: Path) -> None:
    """Makes an empty log."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    log.write_bytes(b"")


async def run(argv: Sequence[str], job: Job) -> Finished:
    """Runs it to its end; a cancelled wait kills it first. Raises Unavailable("CannotInstall")."""
    heard = _Ear(job.log)
    try:
        heard.note("$ " + " ".join(argv))
        process = _start(argv, job, heard.mouth)
        try:
            await heard.all()
            code = await asyncio.to_thread(process.wait)
        finally:
            await _end(process)
        return Finished(code, heard.lines())
    finally:
        heard.close()


def _start(argv: Sequence[str], job: Job, output: int) -> subprocess.Popen[bytes]:
    """The process, in one step.

    With the subprocesses of asyncio a caller can be called off between the start and the moment
    when the process is his to kill.
    """
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=job.directory,
            env=dict(job.environment),
            start_new_session=True,
            pass_fds=(job.lock,) if job.lock >= 0 else (),
        )
    except OSError as error:
        raise Unavailable("CannotInstall", f"cannot run {argv[0]}: {error.strerror}") from error


async def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills what is left of its group; nothing is, where it ended by itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        await asyncio.to_thread(process.wait, AFTER_KILL)


class _Ear:
    """Cuts output into lines and writes the beginning of it to a file."""

    def __init__(self, log: Path) -> None:
        self._file = log.open("ab", buffering=0)
        self._room = LOG - self._file.tell()
        self._lines: deque[str] = deque(maxlen=LINES)
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._pipe, self.mouth = os.pipe()
        os.set_blocking(self._pipe, False)

    async def all(self) -> None:
        """Hears until nobody has the mouth any more."""
        os.close(self.mouth)
        self.mouth = -1
        self._loop.add_reader(self._pipe, self._hear)
        await self._end

    def note(self, line: str) -> None:
        self._write(line.encode() + b"\n")

    def lines(self) -> tuple[str, ...]:
        return (*self._lines, *([_text(self._rest)] if self._rest else []))

    def close(self) -> None:
        self._loop.remove_reader(self._pipe)
        for descriptor in (self._pipe, self.mouth):
            if descriptor >= 0:
                os.close(descriptor)
        self._file.close()

    def _hear(self) -> None:
        try:
            chunk = os.read(self._pipe, CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._loop.remove_reader(self._pipe)
            if not self._end.done():
                self._end.set_result(None)
            return
        self._write(chunk)
        *whole, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[:LINE]
        self._lines.extend(_text(line) for line in whole)

    def _write(self, chunk: bytes) -> None:
        taken = chunk[: max(self._room, 0)]
        self._room -= len(taken)
        with contextlib.suppress(OSError):  # a full disk must not hide what the tool says
            self._file.write(taken)


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").rpartition(b"\r")[2][:LINE].decode(errors="replace")
