"""What a client hears of what a backend says.

Answers, progress and log messages pass as they are. Questions get ids that say whose they are,
and reach only a client that answers such questions, from a backend that may ask them; any other
question is declined at once. A backend's word that its lists have changed is not passed on: the
client's lists are not that backend's, so they are looked at again first.
"""

import re
from collections.abc import Collection
from typing import Final, Protocol

from mooring.transports.envelope import Envelope, peek, splice
from mooring.transports.sse import SseEvent, encode
from mooring.virtual.questions import KINDS, Origin, outward
from mooring.virtual.splicing import completed, named_backend
from mooring.virtual.states import ClientState, Half

CHANGES: Final = {
    "notifications/tools/list_changed": "tools",
    "notifications/prompts/list_changed": "prompts",
    "notifications/resources/list_changed": "resources",
}
NOT_RELAYED: Final = frozenset({"notifications/tasks/status", "notifications/tasks"})
LOOKED_AT: Final = 1024 * 1024
"""Bytes of an answer in which resources are looked for."""
_URI: Final = re.compile(rb'"uri": ?"([^"\\]{1,2000})"')


class Behalf(Protocol):
    """Whoever listens on behalf of a client."""

    def decline(self, state: ClientState, half: Half, id: bytes, method: str) -> None:
        """Answers a question that nobody is asked."""
        ...

    def changed(self, state: ClientState, half: Half) -> None:
        """Has a backend's lists looked at again."""
        ...


class Hearing:
    """Listens to one backend for one client's session; kept as long as its owner stays."""

    __slots__ = ("_behalf", "_half", "_mark", "_relayed", "_state")

    def __init__(
        self, behalf: Behalf, state: ClientState, half: Half, mark: str, relayed: Collection[str]
    ) -> None:
        """`mark` is that of the backend's session and its owner; see `questions`."""
        self._behalf = behalf
        self._state = state
        self._half = half
        self._mark = mark
        self._relayed = relayed

    @property
    def mark(self) -> str:
        return self._mark

    def event(self, event: SseEvent) -> bytes:
        """An event of a stream, as the client gets it; empty where it gets nothing."""
        if not event.data:
            return event.raw
        message = self.message(event.data)
        if message is event.data:
            return event.raw
        return encode(message, id=event.id) if message else b""

    def message(self, text: bytes) -> bytes:
        """A message, as the client gets it; the very same where nothing changes, or nothing."""
        envelope = peek(text)
        if not isinstance(envelope, Envelope):
            return text
        if envelope.type == "response":
            return self.answer(text)
        if envelope.type == "request":
            return self._question(text, envelope)
        elif envelope.method in CHANGES:
            self._behalf.changed(self._state, self._half)
            return b""
        elif envelope.method in NOT_RELAYED:
            return b""
        return text

    def answer(self, text: bytes) -> bytes:
        """An answer, as the client gets it.

        Which resources it names is remembered, so that they are read where they are.
        """
        if b'"uri"' in text and len(text) <= LOOKED_AT:
            for found in _URI.finditer(text):
                self._state.saw(found[1].decode("utf-8", "replace"), self._half.backend)
        return completed(text) if self._state.lent else text

    def _question(self, text: bytes, envelope: Envelope) -> bytes:
        kind = KINDS.get(envelope.method)
        id = envelope.id or b"null"
        if kind is None or kind not in self._relayed or not self._state.promises.answers(kind):
            self._behalf.decline(self._state, self._half, id, envelope.method)
            return b""
        token = envelope.progress_token
        text = splice(
            text,
            id=self._outward(id),
            progress_token=None if token is None else self._outward(token),
        )
        return named_backend(text, self._half.backend)

    def _outward(self, id: bytes) -> bytes:
        return outward(Origin(self._half.backend, self._mark, id))
