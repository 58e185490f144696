"""Server-sent events: cutting a stream of bytes into events, and writing one.

The gateway passes events on as the bytes that came; so an event keeps its exact text,
and the texts of all events put together are the stream. The cuts do not depend on how the
network sliced it. Source: WHATWG HTML, "Server-sent events", Parsing an event stream.
"""

import re
from typing import Final

import msgspec

LIMIT: Final = 16 * 1024 * 1024
"""Bytes of one event, if nothing else is said."""

_BOM: Final = b"\xef\xbb\xbf"
_END: Final = re.compile(rb"\n\n|\r\r|\n\r(?:\n|(?=[^\n]))")
"""A line's end and the blank line after it. A stream that ends its lines with CR LF is waited
for to send the LF; after a lone CR nothing more is expected."""
_BLANK: Final = re.compile(rb"\n|\r(?:\n|(?=[^\n]))")


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One block of a stream, up to and with its blank line; `data` is empty for comments."""

    raw: bytes
    data: bytes = b""
    event: str = "message"
    id: bytes | None = None
    retry: int | None = None
    """Milliseconds to wait before connecting again."""


class EventSplitter:
    """Takes a stream in any slices and gives its events as soon as they are complete."""

    __slots__ = ("_buffer", "_limit", "_looked", "_owed_lf", "_started")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._looked = 0
        """How far the buffer holds no end of an event."""
        self._owed_lf = False
        """The last event ended with a lone CR; a LF after it belongs to it."""
        self._started = False

    @property
    def pending(self) -> bytes:
        """What came after the last complete event."""
        return bytes(self._buffer)

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that are complete with this chunk; ValueError for one over the limit."""
        buffer = self._buffer
        buffer += chunk
        events: list[SseEvent] = []
        start = 0
        while (end := self._end(start)) > 0:
            skipped = self._skipped(start)
            raw = bytes(buffer[start:end])
            if len(raw) > self._limit:
                raise ValueError(f"an event is over {self._limit} bytes")
            events.append(_parse(raw, skipped))
            self._started = True
            self._owed_lf = raw.endswith(b"\r\r")
            self._looked = 0
            start = end
        del buffer[:start]
        self._looked = max(0, len(buffer) - 2)
        if len(buffer) > self._limit:
            raise ValueError(f"an event is over {self._limit} bytes")
        return events

    def _skipped(self, start: int) -> int:
        """How many bytes at the start of an event are not of its lines."""
        if not self._started:
            return len(_BOM) if self._buffer.startswith(_BOM) else 0
        return 1 if self._owed_lf and self._buffer.startswith(b"\n", start) else 0

    def _end(self, start: int) -> int:
        """Where the event at `start` ends; 0 while it does not."""
        first = start + self._skipped(start)
        found = _BLANK.match(self._buffer, first)
        if found is None:
            found = _END.search(self._buffer, max(first, self._looked))
        return found.end() if found is not None else 0


def end_of_event(text: bytes) -> int:
    """Where the event ends whose middle is at the beginning of `text`; 0 while it does not."""
    found = _END.search(text)
    return found.end() if found is not None else 0


def _parse(raw: bytes, skipped: int) -> SseEvent:
    data: list[bytes] = []
    event = "message"
    ident: bytes | None = None
    retry: int | None = None
    for line in raw[skipped:].splitlines():
        field, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            data.append(value)
        elif field == b"event":
            event = value.decode("utf-8", "replace") or "message"
        elif field == b"id" and b"\0" not in value:
            ident = value
        elif field == b"retry" and value.isdigit():
            retry = int(value[:9])
    return SseEvent(raw, b"\n".join(data), event, ident, retry)


def encode(data: bytes, event: str = "message", id: bytes | None = None) -> bytes:
    """One event as bytes, lines ended by LF; ValueError where `event` or `id` has a line break."""
    head = b""
    if event != "message":
        head += b"event: %b\n" % _line(event.encode())
    if id is not None:
        head += b"id: %b\n" % _line(id)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return b"%bdata: %b\n\n" % (head, data.replace(b"\n", b"\ndata: "))


def _line(value: bytes) -> bytes:
    if b"\n" in value or b"\r" in value or b"\0" in value:
        raise ValueError("a line break in a field of an event")
    return value
