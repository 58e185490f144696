"""What binds a request of the stateless era, and its answer, to one instance.

The values are wrapped and unwrapped by `sessions/affinity`; where they stand in a message is known
by `sessions/belongings`. Here they meet one request at one server.
"""

import json
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from mooring.core.era import decoded
from mooring.core.headers import Headers
from mooring.core.identity import Identity
from mooring.core.mirroring import encoded
from mooring.gateway.relay import JSON, SSE, Answer
from mooring.kinds.ref import Ref
from mooring.sessions.affinity import Affinity, Circumstances, Found, fingerprint
from mooring.sessions.belongings import (
    Belonging,
    Replace,
    in_request,
    parameters,
    replaced,
    replaced_in_event,
    spliced,
    suspected,
)
from mooring.transports.sse import EventSplitter

CONTINUED: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Requests that may be answered with a question, and are then sent again."""
TASKS: Final = "tasks/"
GATHERED: Final = 1024 * 1024
"""Bytes of an answer, or of one event, that are looked through; what is longer passes as it is."""
NAME: Final = b"mcp-name"


class Claim(NamedTuple):
    """A request that must go to one instance."""

    uid: str
    headers: Headers
    body: bytes
    """As that instance knows it."""


class Foreign(ValueError):
    """What was brought back was not given to this caller for this request, or is over."""


class Bond:
    """One request of a caller at a server that we run."""

    def __init__(self, affinity: Affinity, server: Ref, caller: Identity, body: bytes) -> None:
        self._affinity = affinity
        self._tasks = Circumstances(server, caller)
        self._body = body

    def claim(self, method: str, headers: Headers) -> Claim | None:
        """To which instance the request must go; None: to any. Raises Foreign."""
        body = self._body
        if not suspected(body) or not (method in CONTINUED or method.startswith(TASKS)):
            return None
        wanted: Belonging = "requestState" if method in CONTINUED else "taskId"
        named = [each for each in in_request(body) if each.type == wanted]
        if not named:
            return None
        raw = body[named[0].start : named[0].end]
        found = self._unwrapped(wanted, method, raw) if len(named) == 1 else None
        if found is None:
            raise Foreign(wanted)
        if wanted == "taskId":
            headers = _renamed(headers, raw, found.raw)
        return Claim(found.uid, headers, spliced(body, named[0], found.raw))

    def task(self, raw: bytes) -> Found | None:
        """The task that a client names; None where it is none of this server's."""
        return self._affinity.unwrap_task(self._tasks, raw)

    def wrapping(self, uid: str, method: str) -> Replace:
        """Wraps what an answer of that instance gives out."""

        def replace(what: Belonging, raw: bytes) -> bytes:
            if what == "taskId":
                return self._affinity.wrap_task(self._tasks, uid, raw)
            return self._affinity.wrap_state(self._states(method), uid, raw)

        return replace

    def _unwrapped(self, what: Belonging, method: str, raw: bytes) -> Found | None:
        if what == "taskId":
            return self.task(raw)
        return self._affinity.unwrap_state(self._states(method), raw)

    def _states(self, method: str) -> Circumstances:
        """Of a state: it goes with the same request only."""
        asked = fingerprint(parameters(self._body))
        return self._tasks._replace(method=method, parameters=asked)


async def wrapped(answer: Answer, replace: Replace) -> None:
    """Has the answer give out wrapped values only, where it gives out any."""
    if answer.type == SSE:
        if answer.whole is not None:
            if suspected(answer.whole):
                answer.whole = b"".join([c async for c in _events(_one(answer.whole), replace)])
        elif answer.chunks is not None:
            answer.chunks = _events(answer.chunks, replace)
        return
    if answer.type != JSON:
        return
    if answer.chunks is not None:
        await _gather(answer)
    if answer.whole is not None:
        answer.whole = replaced(answer.whole, replace)


async def _gather(answer: Answer) -> None:
    """Reads a document whole, unless it is long."""
    assert answer.chunks is not None
    taken: list[bytes] = []
    size = 0
    async for chunk in answer.chunks:
        taken.append(chunk)
        size += len(chunk)
        if size > GATHERED:
            answer.chunks = _after(b"".join(taken), answer.chunks)
            return
    answer.whole, answer.chunks = b"".join(taken), None


async def _after(taken: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield taken
    async for chunk in rest:
        yield chunk


async def _one(whole: bytes) -> AsyncIterator[bytes]:
    yield whole


async def _events(chunks: AsyncIterator[bytes], replace: Replace) -> AsyncIterator[bytes]:
    """The same stream, event by event."""
    splitter = EventSplitter(GATHERED)
    async for chunk in chunks:
        before = splitter.pending
        try:
            events = splitter.feed(chunk)
        except ValueError:  # an event that is too long: from here on as it comes
            yield before + chunk
            async for more in chunks:
                yield more
            return
        if events:
            yield b"".join([replaced_in_event(event, replace) for event in events])
    if splitter.pending:
        yield splitter.pending


def _renamed(headers: Headers, raw: bytes, own: bytes) -> Headers:
    """With the instance's name for a task in the header that repeats the client's."""
    ours, theirs = json.loads(raw), json.loads(own)
    return tuple(
        (name, encoded(theirs)) if name == NAME and decoded(value) == ours else (name, value)
        for name, value in headers
    )
