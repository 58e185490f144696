"""Reads the logs of instances, which the keeper writes (`core/logline`).

One file tells of all starts of an instance; a reader is shown one of them, the last or the one
before. Files are rotated while they are read: the open one is read to its end, then the new one
is begun. Reading happens in threads, in batches, so that a long log holds nobody up.
"""

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from mooring.clock import Clock
from mooring.core.logline import ENDED, KEPT, STAMP_WIDTH, STARTED, stamp
from mooring.errors import NotFound

POLL = 0.25
"""Seconds between two looks for new lines."""
BATCH = 500
"""Lines that are read at once."""
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

_STARTED = b"#" + STARTED.encode() + b" "
_ENDED = re.compile(rb"#" + ENDED.encode() + rb" \S+ ?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a log."""

    tail: int | None = None
    """The last so many lines."""
    since: float | None = None
    """Only lines of the last so many seconds."""
    previous: bool = False
    """The start before the last one."""
    follow: bool = False
    """Go on with what is written from now on, for ever; not for a previous start."""


class LogReader:
    """The logs under one directory."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    async def read(self, namespace: str, instance: str, part: Part) -> AsyncIterator[bytes]:
        """The lines of one instance, without their timestamps; remarks of the keeper in brackets.

        Raises NotFound where nothing was ever written, or no start came before.
        """
        log = await asyncio.to_thread(_Log, self._path(namespace, instance))
        try:
            lines = log.lines(part, self._oldest(part))
            while batch := await asyncio.to_thread(lambda: list(islice(lines, BATCH))):
                for line in batch:
                    yield line
            while part.follow and not part.previous:
                fresh = await asyncio.to_thread(log.fresh)
                for line in fresh:
                    yield line
                if not fresh:
                    await self._clock.sleep(POLL)
        finally:
            log.close()

    def _path(self, namespace: str, instance: str) -> Path:
        if not (NAME.fullmatch(namespace) and NAME.fullmatch(instance)):
            raise NotFound("NotFound", f"no instance is named {namespace}/{instance}")
        return self._directory / namespace / f"{instance}.log"

    def _oldest(self, part: Part) -> bytes:
        if part.since is None:
            return b""
        return stamp(self._clock.now() - timedelta(seconds=part.since))


class _Log:
    """The files of one log, oldest first, held open: rotation does not change what is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[BinaryIO] = []
        older = [path.with_name(f"{path.name}.{n}") for n in range(1, KEPT)]
        for name in (path, *older):  # the newest first: a rotation meanwhile hides none
            self._open(name)
        self._files.reverse()
        if not self._files:
            raise NotFound("NotFound", f"{path.stem} has not written anything yet")

    def close(self) -> None:
        for file in self._files:
            file.close()

    def lines(self, part: Part, oldest: bytes) -> Iterator[bytes]:
        """What is there now, of the start that is meant."""
        first, last = self._start(part.previous)
        chosen = (
            shown
            for line in islice(self._all(), first, last)
            if line[:STAMP_WIDTH] >= oldest and (shown := _shown(line)) is not None
        )
        return chosen if part.tail is None else iter(deque(chosen, maxlen=part.tail))

    def fresh(self) -> list[bytes]:
        """Whole lines that were written since; moves on to the next file at a rotation."""
        rotated = self._rotated()
        raw = list(islice(_whole(self._files[-1]), BATCH))
        if not raw and rotated and self._open(self._path):
            self._files.pop(-2).close()
            raw = list(islice(_whole(self._files[-1]), BATCH))
        return [shown for line in raw if (shown := _shown(line)) is not None]

    def _start(self, previous: bool) -> tuple[int, int | None]:
        """The numbers of the first line of a start, and of the first that is not of it."""
        starts = [n for n, line in enumerate(self._all()) if _begins(line)]
        if not previous:
            return (starts[-1] if starts else 0), None
        if not starts:
            raise NotFound("NotFound", f"{self._path.stem}: no earlier start is in its log")
        before = starts[-2] if len(starts) > 1 else 0
        if before == starts[-1]:
            raise NotFound("NotFound", f"{self._path.stem} was started only once")
        return before, starts[-1]

    def _all(self) -> Iterator[bytes]:
        for file in self._files:
            file.seek(0)
            yield from _whole(file)

    def _open(self, path: Path) -> bool:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return False
        known = {_identity(os.fstat(held.fileno())) for held in self._files}
        if _identity(os.fstat(file.fileno())) in known:
            file.close()
            return False
        self._files.append(file)
        return True

    def _rotated(self) -> bool:
        """Whether the newest file is not the one that is open; a cut one is read from its end."""
        held = os.fstat(self._files[-1].fileno())
        if held.st_size < self._files[-1].tell():
            self._files[-1].seek(held.st_size)
        try:
            return _identity(self._path.stat()) != _identity(held)
        except FileNotFoundError:
            return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _whole(file: BinaryIO) -> Iterator[bytes]:
    """Lines to the end of the file; of one that is not whole yet nothing is taken."""
    while line := file.readline():
        if not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield line


def _begins(line: bytes) -> bool:
    return line[STAMP_WIDTH:].startswith(_STARTED)


def _shown(line: bytes) -> bytes | None:
    """A line as it is shown; None for the mark of a start, which says nothing to a reader."""
    rest = line[STAMP_WIDTH:]
    if rest[:1] == b"#":
        if _begins(line):
            return None
        ended = _ENDED.fullmatch(rest)
        return b"[ended: " + ended[1].rstrip() + b"]\n" if ended else b"[" + rest[1:-1] + b"]\n"
    return rest[1:] if rest[:1] == b" " else line
