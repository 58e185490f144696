"""Heads that were read before.

A client says the same head with every request, and a server with every answer; the same bytes
mean the same. So a head that came whole, together with its whole body, is remembered by its
exact bytes, and one that comes again in the same way is not parsed again. Anything else is
the parser's, which alone decides what a head means.
"""

from typing import Final, Generic, TypeVar

_END: Final = b"\r\n\r\n"
_LONGEST: Final = 4096
"""Bytes of a head that is remembered."""
_MANY: Final = 1024
"""Heads that are remembered; past it all are forgotten."""
T = TypeVar("T")


class Recall(Generic[T]):
    """What heads mean, by their bytes."""

    __slots__ = ("_head", "_known", "_length", "_meaning")

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[T, int]] = {}
        self._head = _END
        """The one that was found last, since the next is mostly the same."""
        self._length = -1
        """Of its chunk."""
        self._meaning: T | None = None

    def find(self, chunk: bytes) -> tuple[T, bytes] | None:
        """What the head means and the body, where the chunk is a known head with its body."""
        head = self._head
        if len(chunk) == self._length and chunk.startswith(head) and self._meaning is not None:
            return self._meaning, chunk[len(head) :]
        end = chunk.find(_END) + 4
        head = chunk[:end]
        known = self._known.get(head)
        if known is None or len(chunk) - end != known[1]:
            return None
        self._head = head
        self._length = len(chunk)
        self._meaning = known[0]
        return known[0], chunk[end:]

    def keep(self, chunk: bytes, meaning: T, length: int) -> None:
        """Remembers a head, if the chunk is nothing but it and a body of that length."""
        end = chunk.find(_END) + 4
        if 4 < end <= _LONGEST and len(chunk) - end == length:
            if len(self._known) >= _MANY:
                self._known.clear()
            self._known[chunk[:end]] = (meaning, length)
