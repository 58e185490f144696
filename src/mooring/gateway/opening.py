"""Opening a session: what an upstream's answer to `initialize` says.

The client gets a session id of ours only when the upstream gave one with a successful answer.
The negotiated version stands in that answer, so its first message is read before it is passed
on; a server that says something else first (a ping, a log message) is not kept waiting.
"""

from collections.abc import AsyncIterator

import msgspec

from mooring.gateway.relay import JSON, SSE, Answer
from mooring.transports.sse import EventSplitter, SseEvent

LONGEST = 4 * 1024 * 1024
"""Bytes of an answer to `initialize`."""


class _Result(msgspec.Struct):
    protocolVersion: str = ""


class _Message(msgspec.Struct):
    result: _Result | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_DECODE = msgspec.json.Decoder(_Message).decode


async def negotiated(answer: Answer, asked: str) -> str | None:
    """The protocol version of the session that was opened; None where none was.

    `asked` is what the client asked for; it stands in where the server says something else first.
    """
    if not 200 <= answer.status < 300:
        return None
    if answer.type == JSON:
        await _gather(answer, None)
        return _version(answer.whole or b"", asked)
    if answer.type != SSE:
        return None
    events = await _gather(answer, EventSplitter(LONGEST))
    first = next((event.data for event in events if event.data), None)
    return None if first is None else _version(first, asked)


async def _gather(answer: Answer, splitter: EventSplitter | None) -> list[SseEvent]:
    """Reads the first message of a stream, or a whole document, and puts it back."""
    if answer.whole is not None:
        return splitter.feed(answer.whole) if splitter else []
    assert answer.chunks is not None
    taken: list[bytes] = []
    events: list[SseEvent] = []
    size = 0
    async for chunk in answer.chunks:
        taken.append(chunk)
        size += len(chunk)
        if splitter is not None:
            events += splitter.feed(chunk)
        if size > LONGEST or any(event.data for event in events):
            answer.chunks = _after(taken, answer.chunks)
            return events
    answer.whole, answer.chunks = b"".join(taken), None
    return events


async def _after(taken: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in taken:
        yield chunk
    async for chunk in rest:
        yield chunk


def _version(message: bytes, asked: str) -> str | None:
    try:
        told = _DECODE(message)
    except (msgspec.DecodeError, RecursionError):
        return asked
    if bytes(told.error) != b"null":
        return None
    return asked if told.result is None else told.result.protocolVersion
