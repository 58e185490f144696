"""Listening to one instance, for a subscription that hears them all."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from mooring.core.headers import Headers
from mooring.core.table import Upstream
from mooring.errors import MooringError
from mooring.gateway.relay import SSE, Answer, settle
from mooring.sessions.courier import Courier, Parcel, Sent
from mooring.transports.sse import EventSplitter, SseEvent

LONGEST = 1024 * 1024
"""Bytes of one event; an instance that sends a longer one is asked anew."""


class Heard(NamedTuple):
    """An instance said something."""

    uid: str
    event: SseEvent
    headers: Headers


class Refused(NamedTuple):
    """An instance answered with something else than a stream; whoever takes this closes it."""

    uid: str
    sent: Sent
    answer: Answer


class Over(NamedTuple):
    """An instance could not be reached, or its stream has ended."""

    uid: str
    error: MooringError | None = None


class Moved(NamedTuple):
    """The table has changed, or it is time to look at it again."""


News = Heard | Refused | Over | Moved
Tell = Callable[[News], Awaitable[None]]


async def hear(courier: Courier, upstream: Upstream, parcel: Parcel, tell: Tell) -> None:
    """Tells what an instance says, and at last that it is over, or that it refused."""
    uid = upstream.uid
    try:
        sent = await courier.send(upstream, parcel)
    except MooringError as error:
        await tell(Over(uid, error))
        return
    kept = True
    try:
        answer = Answer(sent.reply)
        if answer.status != 200 or answer.type != SSE:
            await settle(answer, sent.reply)
            kept = False
            await tell(Refused(uid, sent, answer))
            return
        splitter = EventSplitter(LONGEST)
        async for chunk in _chunks(answer):
            for event in splitter.feed(chunk):
                await tell(Heard(uid, event, answer.headers))
        await tell(Over(uid))
    except MooringError as error:
        await tell(Over(uid, error))
    except ValueError:
        await tell(Over(uid))
    finally:
        if kept:
            sent.close()


async def _chunks(answer: Answer) -> AsyncIterator[bytes]:
    if answer.whole is not None:
        yield answer.whole
    elif answer.chunks is not None:
        async for chunk in answer.chunks:
            yield chunk
