"""Logs of children: what they write to stderr, in files that cannot grow without end.

Nobody waits for a disk here. What children say is read as fast as it comes, kept in a bounded
buffer, and written by one thread, so that neither a flood nor a full or hanging disk holds up
a child or the loop; what does not fit is counted, and the count is written once that works
again. The form of a line is `core/logline`.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import WeakValueDictionary

from mooring import telemetry
from mooring.clock import Clock
from mooring.core import logline
from mooring.core.veil import CLEAR, Veil

SIZE = 10 * 1024 * 1024
"""Bytes of one file; then a new one is begun."""
BUFFER = 1024 * 1024
"""Bytes of one log that wait to be written; what comes on top is dropped."""
LINE = 64 * 1024
"""Bytes of a line without end that are waited for; then it is cut there."""
LAST_LINE = 2048
"""Bytes of the last line that are kept."""
_TAIL = 2 * LAST_LINE
_CHUNK = 64 * 1024
_COMPLAINTS = 60.0
"""Seconds between two complaints about one file that cannot be written."""


class Logs:
    """All log files, each open to as many writers as like, and the thread that writes them."""

    def __init__(self, clock: Clock, size: int = SIZE) -> None:
        self._clock = clock
        self._size = size
        self._thread = ThreadPoolExecutor(1, "logs")
        self._files: WeakValueDictionary[str, LogFile] = WeakValueDictionary()

    def file(self, path: str, hidden: Iterable[str] = ()) -> "LogFile":
        """The log of that path, where these values are covered, and those given before.

        An empty path is a log that keeps nothing.
        """
        found = self._files.get(path)
        if found is None:
            found = LogFile(path, self._clock, self._thread, self._size)
            self._files[path] = found
        found.hide(hidden)
        return found

    async def close(self, seconds: float = 5.0) -> None:
        """Writes what still waits, for at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for file in list(self._files.values()):
                    await file.written()
        self._thread.shutdown(wait=False, cancel_futures=True)


class LogFile:
    """One log, rotated: FILE, FILE.1, FILE.2."""

    def __init__(self, path: str, clock: Clock, thread: ThreadPoolExecutor, size: int) -> None:
        self._path = path
        self._clock = clock
        self._thread = thread
        self._size = size
        self._hidden: frozenset[str] = frozenset()
        self._veil = CLEAR
        self._waiting = bytearray()
        self._dropped = 0
        self._writing: asyncio.Future[int] | None = None
        self._complained = -_COMPLAINTS

    def hide(self, values: Iterable[str]) -> None:
        """From now on these are covered, too."""
        more = self._hidden.union(values)
        if more != self._hidden:
            self._hidden, self._veil = more, Veil(more)

    def covered(self, text: bytes) -> bytes:
        """The text, without what is hidden."""
        return self._veil.octets(text)

    def line(self, text: bytes) -> None:
        """Something said in one piece: each of its lines, with the time."""
        if text:
            self.write(self._stamped(self.covered(text).removesuffix(b"\n") + b"\n"))

    def mark(self, *words: object) -> None:
        """A remark of the keeper's own."""
        self.write(logline.mark(self._clock.now(), *words))

    def stream(self) -> "LogStream":
        """A writer for what comes in pieces."""
        return LogStream(self)

    def write(self, lines: bytes) -> None:
        """Whole lines in their form; never waits."""
        if not self._path:
            return
        if len(self._waiting) + len(lines) > BUFFER:
            self._dropped += lines.count(b"\n")
            return
        self._waiting += lines
        self._next()

    async def written(self) -> None:
        """Returns once everything given so far was written or given up."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    def _stamped(self, lines: bytes) -> bytes:
        """Each line of a text that ends with a line break, with the time before it."""
        prefix = logline.stamp(self._clock.now()) + b" "
        body = lines.replace(b"\r\n", b"\n")[:-1]
        return prefix + body.replace(b"\n", b"\n" + prefix) + b"\n"

    def _next(self) -> None:
        """Hands what waits to the thread, unless it is busy with this file."""
        if self._writing is not None or not self._waiting:
            return
        batch, self._waiting = bytes(self._waiting), bytearray()
        at_stake = batch.count(b"\n") + self._dropped
        if self._dropped:
            batch += logline.mark(self._clock.now(), logline.DROPPED, self._dropped, "lines")
            self._dropped = 0
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(self._thread, _append, self._path, batch, self._size)
        self._writing.add_done_callback(lambda done: self._done(done, at_stake))

    def _done(self, written: asyncio.Future[int], at_stake: int) -> None:
        self._writing = None
        if written.cancelled():
            return
        error = written.exception()
        if error is not None:
            self._dropped += at_stake
            self._complain(error)
        self._next()

    def _complain(self, error: BaseException) -> None:
        now = self._clock.monotonic()
        if now - self._complained >= _COMPLAINTS:
            self._complained = now
            telemetry.event("log.lost", logging.WARNING, file=self._path, error=error)


class LogStream:
    """What one child writes, cut into lines; remembers the last one."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._partial = b""
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Some more bytes."""
        self._tail = (self._tail + chunk)[-_TAIL:]
        lines, newline, rest = (self._partial + chunk).rpartition(b"\n")
        self._partial = rest
        if newline:
            self._file.line(lines + newline)
        if len(self._partial) > LINE:
            self.flush()

    def flush(self) -> None:
        """The end: what has no line break gets one."""
        self._file.line(self._partial)
        self._partial = b""

    @property
    def last_line(self) -> str:
        """The last line that is not blank, cut."""
        lines = [line for line in self._tail.splitlines() if line.strip()]
        last = self._file.covered(lines[-1].strip()) if lines else b""
        return last[:LAST_LINE].decode(errors="replace")


class Drain:
    """Reads a child's pipe into a stream until everybody has closed the other end."""

    def __init__(self, descriptor: int, stream: LogStream) -> None:
        """The non-blocking read end belongs to the drain from now on."""
        self._descriptor = descriptor
        self._stream = stream
        self.ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(descriptor, self._readable)

    @property
    def last_line(self) -> str:
        """The last line that came and is not blank, cut."""
        return self._stream.last_line

    def close(self) -> None:
        """Stops reading, whoever still writes."""
        if self.ended.done():
            return
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._stream.flush()
        self.ended.set_result(None)

    def _readable(self) -> None:
        """One piece per turn of the loop, so that a flood leaves turns to others."""
        try:
            chunk = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if chunk:
            self._stream.feed(chunk)
            return
        self.close()


def _append(path: str, batch: bytes, size: int) -> int:
    """Appends all or nothing; begins a new file where this one would grow past `size`."""
    target = Path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        if before and before + len(batch) > size:
            _rotate(target)
            os.close(descriptor)
            descriptor = os.open(
                target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            before = 0
        try:
            rest = memoryview(batch)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
    return len(batch)


def _rotate(target: Path) -> None:
    """FILE becomes FILE.1, that one FILE.2; the oldest is gone."""
    for number in range(logline.KEPT - 1, 0, -1):
        older = target.with_name(f"{target.name}.{number}")
        newer = target.with_name(f"{target.name}.{number - 1}") if number > 1 else target
        if newer.exists():
            newer.replace(older)
