"""Talking in lines with a process: one JSON-RPC message per line, in both directions.

`StdioChannel` is what the keeper's bridge needs of such a conversation; `PipeChannel` is the
one over two pipes. What comes is cut into lines here and nowhere else: a line is bounded, of one
that is longer only the ends are kept, and reading stops while nobody takes what was read. What goes
is written once per turn of the loop, however many messages there are, and a writer waits, for a
bounded time, while the other side does not read. (MCP 2025-11-25, Transports, stdio.)
"""

import asyncio
from collections import deque
from typing import Protocol, cast

from mooring.errors import Unavailable

LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of one message."""
END = 512
"""Bytes at either end of a longer message that are kept, to tell whose answer it was."""
CUT = b"\x00(cut)\x00"
"""Stands for what was between them; no JSON holds a NUL."""
BACKLOG = 256 * 1024
"""Bytes read and not yet taken at which reading pauses."""
UNSENT = 1024 * 1024
"""Bytes written and not yet read by the other side at which senders wait."""
PATIENCE = 30.0
"""Seconds that a sender waits for the other side to read."""

_BOM = b"\xef\xbb\xbf"


class StdioChannel(Protocol):
    """Lines to and from one process."""

    async def send(self, line: bytes) -> None:
        """Sends one message; line breaks within it become spaces.

        Waits while the process does not read. Raises Unavailable "ChildSilent" if that lasts
        too long, "ChildExited" once nothing can be sent any more.
        """
        ...

    def offer(self, line: bytes) -> bool:
        """Sends one message if that takes no waiting; else False, and it is not sent."""
        ...

    async def receive(self) -> list[bytes]:
        """The lines that came, at least one, without line breaks; empty at the end for ever.

        A line that is too long comes as its two ends around `CUT`, and so as no JSON.
        """
        ...

    def close(self) -> None:
        """Ends `receive` after what has come already."""
        ...


def one_line(message: bytes) -> bytes:
    """The message with its line breaks, which JSON allows between tokens only, made spaces.

    >>> one_line(b'{"a":\\r\\n1}')
    b'{"a":  1}'
    """
    if b"\n" in message or b"\r" in message:
        return message.replace(b"\n", b" ").replace(b"\r", b" ")
    return message


class LineSplitter:
    """Cuts a stream of bytes into lines: LF or CRLF, without a byte order mark or empty lines."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._fresh = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes."""
        if self._fresh:
            chunk = self._without_mark(chunk)
        head, newline, rest = chunk.partition(b"\n")
        self._keep(head)
        if not newline:
            return []
        complete = [self._join(), *rest.split(b"\n")]
        self._keep(complete.pop())
        if len(chunk) > self._limit:
            complete = [line if len(line) <= self._limit else _cut(line) for line in complete]
        return [one_line(line.removesuffix(b"\r")) for line in complete if line and line != b"\r"]

    def rest(self) -> list[bytes]:
        """What came after the last line break, once nothing more comes."""
        line = self._join()
        return [one_line(line)] if line else []

    def _without_mark(self, chunk: bytes) -> bytes:
        """Waits for three bytes, as a mark may come in pieces."""
        chunk = self._join() + chunk
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            return chunk
        self._fresh = False
        return chunk.removeprefix(_BOM)

    def _keep(self, part: bytes) -> None:
        """Adds to the unfinished line; past the limit only its ends are kept."""
        if not part:
            return
        self._size += len(part)
        self._parts.append(part)
        if self._size > self._limit:
            self._parts = [_cut(b"".join(self._parts))]

    def _join(self) -> bytes:
        """The unfinished line, which ends here."""
        parts, self._parts, self._size = self._parts, [], 0
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _cut(line: bytes) -> bytes:
    """The ends of a line that is too long; of one that was cut before, too."""
    head, _, tail = line.partition(CUT)
    return head[:END] + CUT + (tail or head[END:])[-END:]


class _Reading(asyncio.Protocol):
    """The end that hears."""

    def __init__(self, channel: "PipeChannel") -> None:
        self._channel = channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._channel.opened(cast(asyncio.ReadTransport, transport))

    def data_received(self, data: bytes) -> None:
        self._channel.heard(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel.close()


class _Writing(asyncio.BaseProtocol):
    """The end that speaks."""

    def __init__(self, channel: "PipeChannel") -> None:
        self._channel = channel

    def resume_writing(self) -> None:
        self._channel.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel.muted()


class PipeChannel:
    """A conversation over two pipes, whose ends `reading` and `writing` are the protocols of."""

    def __init__(self, limit: int = LINE_LIMIT, patience: float = PATIENCE) -> None:
        """`limit` in bytes of one line, `patience` in seconds for one that must wait."""
        self.reading: asyncio.Protocol = _Reading(self)
        self.writing: asyncio.BaseProtocol = _Writing(self)
        self._splitter = LineSplitter(limit)
        self._patience = patience
        self._lines: deque[bytes] = deque()
        self._backlog = 0
        self._reader: asyncio.ReadTransport | None = None
        self._paused = False
        self._ended = False
        self._awaited: asyncio.Future[None] | None = None
        self._writer: asyncio.WriteTransport | None = None
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self._room: asyncio.Future[None] | None = None
        self._mute = False

    def attach(self, writer: asyncio.WriteTransport) -> None:
        """Gives the transport that `writing` belongs to; before the first `send`."""
        writer.set_write_buffer_limits(high=UNSENT, low=UNSENT // 4)
        self._writer = writer

    # -- what the process says --------------------------------------------------------------

    async def receive(self) -> list[bytes]:
        while not self._lines:
            if self._ended:
                return self._splitter.rest()
            self._awaited = asyncio.get_running_loop().create_future()
            await self._awaited
        lines = list(self._lines)
        self._lines.clear()
        self._backlog = 0
        if self._paused and self._reader is not None:
            self._paused = False
            self._reader.resume_reading()
        return lines

    def opened(self, reader: asyncio.ReadTransport) -> None:
        """The pipe is on the loop."""
        self._reader = reader

    def heard(self, chunk: bytes) -> None:
        """Some bytes came; reading pauses if too many wait to be taken."""
        lines = [] if self._ended else self._splitter.feed(chunk)
        if not lines:
            return
        self._lines.extend(lines)
        self._backlog += len(chunk)
        if self._backlog > BACKLOG and not self._paused and self._reader is not None:
            self._paused = True
            self._reader.pause_reading()
        self._wake()

    def close(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        """Lets the one who waits in `receive` look again."""
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    # -- what is said to the process --------------------------------------------------------

    async def send(self, line: bytes) -> None:
        if not self.offer(line):
            await self._wait_for_room()
            self._put(line)

    def offer(self, line: bytes) -> bool:
        if self._mute:
            raise Unavailable("ChildExited", "the server's process no longer reads its input")
        if self._full():
            return False
        self._put(line)
        return True

    def drained(self) -> None:
        """The other side has read most of what was written."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def muted(self) -> None:
        """Nothing can be written any more."""
        self._mute = True
        self.drained()

    def _full(self) -> bool:
        """Whether so much waits to be read by the process that senders should wait."""
        writer = self._writer
        return writer is not None and (
            self._unsent_size > UNSENT or writer.get_write_buffer_size() > UNSENT
        )

    async def _wait_for_room(self) -> None:
        """Until the process reads again."""
        try:
            async with asyncio.timeout(self._patience):
                while self._full() and not self._mute:
                    if self._room is None or self._room.done():
                        self._room = asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._room)
        except TimeoutError:
            words = f"the server's process has not read its input for {self._patience:g} s"
            raise Unavailable("ChildSilent", words) from None

    def _put(self, line: bytes) -> None:
        """Writes at the end of this turn of the loop, with what else is said in it."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += (one_line(line), b"\n")
        self._unsent_size += len(line)

    def _flush(self) -> None:
        writer = self._writer
        if writer is not None and not writer.is_closing():
            writer.write(b"".join(self._unsent))
        self._unsent.clear()
        self._unsent_size = 0
        if not self._full():
            self.drained()
