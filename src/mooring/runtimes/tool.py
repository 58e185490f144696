"""Runs pip, npm or an interpreter to its end, and keeps what it says.

A tool has a process group of its own, which is killed as one when the wait for it is given
up. What it says goes to a log file and, the last lines of it, to the caller; both are bounded.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
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
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            cwd=job.directory,
            env=dict(job.environment),
            start_new_session=True,
            pass_fds=(job.lock,) if job.lock >= 0 else (),
        )
    except OSError as error:
        raise Unavailable("CannotInstall", f"cannot run {argv[0]}: {error.strerror}") from error
    heard = _Ear(job.log)
    try:
        heard.note("$ " + " ".join(argv))
        await _listen(process, heard)
        code = await process.wait()
    finally:
        await _end(process)
        heard.close()
    return Finished(code, heard.lines())


async def _listen(process: Process, heard: "_Ear") -> None:
    assert process.stdout is not None
    while chunk := await process.stdout.read(CHUNK):
        heard.hear(chunk)


async def _end(process: Process) -> None:
    """Kills what is left of its group; nothing is, where it ended by itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(AFTER_KILL):
            await process.wait()


class _Ear:
    """Cuts output into lines and writes the beginning of it to a file."""

    def __init__(self, log: Path) -> None:
        self._file = log.open("ab", buffering=0)
        self._room = LOG - self._file.tell()
        self._lines: deque[str] = deque(maxlen=LINES)
        self._rest = b""

    def note(self, line: str) -> None:
        self._write(line.encode() + b"\n")

    def hear(self, chunk: bytes) -> None:
        self._write(chunk)
        *whole, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[:LINE]
        self._lines.extend(_text(line) for line in whole)

    def lines(self) -> tuple[str, ...]:
        return (*self._lines, *([_text(self._rest)] if self._rest else []))

    def close(self) -> None:
        self._file.close()

    def _write(self, chunk: bytes) -> None:
        taken = chunk[: max(self._room, 0)]
        self._room -= len(taken)
        with contextlib.suppress(OSError):  # a full disk must not hide what the tool says
            self._file.write(taken)


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").rpartition(b"\r")[2][:LINE].decode(errors="replace")
