"""What an event stream has said so far, so that its end can be understood.

A client waits for the answer to its request. If the stream ends without it, the client must
hear so, unless events had ids: then it resumes by itself. Only complete events are passed on,
as the bytes that came, so that a stream that is cut ends between two events.
"""

import re
from collections.abc import Callable

from mooring.core.bridging import answered_id
from mooring.core.ids import same
from mooring.core.questions import shown
from mooring.transports.envelope import Envelope, peek, peek_deep, splice
from mooring.transports.sse import EventSplitter, SseEvent, encode, end_of_event

Mark = Callable[[bytes], bytes]

LONGEST = 1024 * 1024
"""Bytes of an event that is still held until it is complete; a longer one passes as it comes."""
_TAIL = 2
"""Bytes of what has passed that may be the beginning of an event's end."""
_ID = b"id:"

_LONE = re.compile(rb"(?:event: message\r?\n)?data: ([^\r\n]+)\r?\n\r?\n")
"""A stream of one plain event, which is what most calls are answered with."""


def answers_alone(stream: bytes, id: bytes | None) -> bool:
    """Whether a whole stream is one event without an id, and that event is the answer."""
    found = _LONE.fullmatch(stream)
    return found is not None and id is not None and _is_answer(found[1], id)


def _is_answer(text: bytes, id: bytes | None) -> bool:
    message = peek(text)
    if type(message) is not Envelope:
        message = peek_deep(text)
    if type(message) is Envelope:
        return message.type == "response" and same(message.id, id)
    return answered_id(text) == id  # it passes all the same, and the client makes of it what it can


class Following:
    """Follows one stream; give it every chunk, send what it returns."""

    __slots__ = (
        "_generation", "_held", "_id", "_mark", "_splitter", "_tail", "answered", "resumable",
    )  # fmt: skip

    def __init__(self, id: bytes | None, mark: Mark | None = None, generation: int = 0) -> None:
        """`generation`: that of the session's owner, whose questions are to be told apart."""
        self._id = id
        self._mark = mark
        self._generation = generation
        self._splitter = EventSplitter(LONGEST)
        self._tail: bytes | None = None
        """The last bytes of a long event that is passing."""
        self._held = b""
        """What came of its next line, where that may be its id."""
        self.answered = id is None
        """The answer has passed, or none was waited for."""
        self.resumable = False
        """Events had ids."""

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that may be sent now: all events that are complete."""
        if self._tail is not None:
            return self._passing(self._tail, chunk)
        splitter = self._splitter
        before = splitter.pending
        try:
            events = splitter.feed(chunk)
        except ValueError:
            return self._overflowing(before + chunk)
        if len(events) == 1:
            return self._passed(events[0])
        return b"".join([self._passed(event) for event in events])

    def rest(self) -> bytes:
        """What came after the last complete event, at a proper end of the stream."""
        return self._held or self._splitter.pending

    @property
    def abandoned(self) -> bool:
        """Whether a client still waits and could never learn more."""
        return not self.answered and not self.resumable

    def _overflowing(self, text: bytes) -> bytes:
        """Events of which one is long: what is not complete after them may be just that one."""
        self.answered = True  # nothing but a result is that long
        splitter = EventSplitter(len(text))
        passed = b"".join([self._passed(event) for event in splitter.feed(text)])
        self._splitter = EventSplitter(LONGEST)
        rest = splitter.pending
        if len(rest) <= LONGEST:
            self._splitter.feed(rest)
            return passed
        return passed + self._pass_lines(rest, rest)

    def _passing(self, tail: bytes, chunk: bytes) -> bytes:
        """More of a long event; after its end, events are held until complete again."""
        chunk = self._held + chunk
        text = tail + chunk
        end = end_of_event(text)
        if not end:
            return self._pass_lines(chunk, text)
        self._tail = None
        self._held = b""
        return self._marked(tail, text[len(tail) : end]) + self.feed(text[end:])

    def _pass_lines(self, fresh: bytes, text: bytes) -> bytes:
        """What is fresh at the end of the text, but for a last line that may become an id."""
        tail = text[: len(text) - len(fresh)]
        start = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        line = text[start:]
        may_be_id = start and line and len(line) <= LONGEST and _ID.startswith(line[: len(_ID)])
        self._held = line if may_be_id else b""
        self._tail = text[: len(text) - len(self._held)][-_TAIL:]
        return self._marked(tail, fresh[: len(fresh) - len(self._held)])

    def _marked(self, tail: bytes, fresh: bytes) -> bytes:
        """Whole lines, and parts of lines that are no id, which come after the tail."""
        if self._mark is None:
            return fresh
        if not tail:
            return self._mark(fresh)
        before = b":" + tail  # so that only what follows a line's end begins a line
        return self._mark(before + fresh)[len(before) :]

    def _passed(self, event: SseEvent) -> bytes:
        """The event as the client gets it."""
        if not self.answered and event.data and _is_answer(event.data, self._id):
            self.answered = True
        raw = event.raw if not self._generation else _told_apart(event, self._generation)
        if event.id is None:
            return raw
        self.resumable = True
        return raw if self._mark is None else self._mark(raw)


def _told_apart(event: SseEvent, generation: int) -> bytes:
    """The event, where it is a question of the server's, with id and token that say who asks."""
    message = peek(event.data) if event.data else None
    if type(message) is not Envelope:
        return event.raw
    if message.type == "request" and message.id is not None:
        token = message.progress_token
        data = splice(
            event.data,
            id=shown(generation, message.id),
            progress_token=None if token is None else shown(generation, token),
        )
    elif message.request_id is not None:
        data = splice(event.data, request_id=shown(generation, message.request_id))
    else:
        return event.raw
    if event.data in event.raw:
        return event.raw.replace(event.data, data, 1)
    return encode(data, event.event, event.id)
