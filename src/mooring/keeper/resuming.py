"""Calls that a client can come back for.

From MCP 2025-11-25 on, the stream that answers a call begins with an event that has an id and no
data. A client that loses the stream comes back with the last id that it saw (GET with
`Last-Event-ID`) and is told what came since, up to the answer; the call goes on meanwhile. An
id names the call, within its session, and counts what it was told. Source: Transports,
Resumability and Redelivery.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

SINCE = b"2025-11-25"
"""The first version whose clients understand an event without data."""
RETRY = 1000
"""Milliseconds until a client shall come back."""
KEPT_BYTES = 1024 * 1024
"""Of what one call was told, and of what all ended calls of a session were."""
KEPT_SECONDS = 60.0
"""How long an ended call can be come back for."""
KEPT_CALLS = 100
"""Ended calls of a session that can be come back for."""


class Reader(Protocol):
    """A stream to a client, as a trail sees it."""

    name: bytes
    position: int

    @property
    def open(self) -> bool: ...
    def put(self, message: bytes) -> None: ...
    def end(self) -> None: ...
    def cut(self) -> None: ...


class Trail:
    """What one call was told; the oldest is forgotten when it is much, the answer never."""

    __slots__ = ("_dropped", "_messages", "ended", "name", "over", "reader", "size")

    def __init__(self, name: bytes, reader: Reader, told: Sequence[bytes]) -> None:
        """`reader` is being told this, and all else, without our doing."""
        self.name = name
        self.reader = reader
        """Who reads now; at first the answer to the call itself."""
        self.over = False
        self.ended: float | None = None
        """When it was first seen to be over, on the monotonic clock."""
        self.size = 0
        self._messages: deque[bytes] = deque()
        self._dropped = 0
        reader.name = name
        for message in told:
            self.add(message)

    @property
    def beginning(self) -> bytes:
        """The event that every stream of the call begins with."""
        return b"id: %b-0\nretry: %d\ndata: \n\n" % (self.name, RETRY)

    def add(self, message: bytes) -> None:
        """Keeps one more message."""
        self._messages.append(message)
        self.size += len(message)
        while self.size > KEPT_BYTES and len(self._messages) > 1:
            self.size -= len(self._messages.popleft())
            self._dropped += 1

    def follow(self, reader: Reader, position: int) -> None:
        """Tells a client that came back what came after a position, and all that will come."""
        if self.reader.open:
            self.reader.cut()  # its client has left, though nobody noticed
        self.reader = reader
        reader.name = self.name
        reader.position = max(position, self._dropped)
        for message in list(self._messages)[reader.position - self._dropped :]:
            reader.put(message)
        if self.over:
            reader.end()


class Trails:
    """The calls of one session that can be come back for."""

    __slots__ = ("_begun", "_trails")

    def __init__(self) -> None:
        self._begun = 0
        self._trails: dict[bytes, Trail] = {}

    def begin(self, reader: Reader, told: Sequence[bytes]) -> Trail:
        """A call whose answer becomes a stream."""
        self._begun += 1
        name = b"%d" % self._begun
        self._trails[name] = trail = Trail(name, reader, told)
        self._make_room()
        return trail

    def find(self, id: bytes) -> tuple[Trail, int] | None:
        """What is kept of the call of an event, and how many messages it had had by then."""
        name, _, position = id.rpartition(b"-")
        trail = self._trails.get(name)
        if trail is None or not position.isdigit() or len(position) > 9:
            return None
        return trail, int(position)

    def sweep(self, now: float) -> None:
        """Forgets calls that ended long ago."""
        for trail in list(self._trails.values()):
            if trail.over and trail.ended is None:
                trail.ended = now
            elif trail.ended is not None and now - trail.ended > KEPT_SECONDS:
                del self._trails[trail.name]

    def _make_room(self) -> None:
        """Forgets the oldest calls that ended, while they take too much; the latest stays."""
        ended = deque(trail for trail in self._trails.values() if trail.over)
        size = sum(trail.size for trail in ended)
        while (size > KEPT_BYTES or len(ended) > KEPT_CALLS) and len(ended) > 1:
            oldest = ended.popleft()
            size -= oldest.size
            del self._trails[oldest.name]
