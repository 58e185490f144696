"""Where a message of the stateless era names what belongs to one instance.

`result.requestState` and `result.taskId` in answers, `params.taskId` in notifications about
tasks; `params.requestState`, `params.taskId` and `params.notifications.taskIds` in requests.
They are replaced by offset, the rest of a message stays byte for byte. Sources: MCP 2026-07-28,
Multi Round-Trip Requests; the extension for tasks (SEP-2663).
"""

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from mooring.transports.members import NotAnObject, NotJson, Span, spans
from mooring.transports.sse import SseEvent, encode

Belonging = Literal["requestState", "taskId"]
Replace = Callable[[Belonging, bytes], bytes]
"""Given a raw JSON string, what stands there instead."""

_STATE: Final = b'"requestState"'
_TASK: Final = b'"taskId"'
_TASKS: Final = b'"taskIds"'
_NAMES: Final[tuple[Belonging, ...]] = ("requestState", "taskId")
_ABOUT_TASKS: Final = b'"notifications/tasks'


class Named(NamedTuple):
    """One belonging, and where its raw text is in the message."""

    type: Belonging
    start: int
    end: int


def suspected(message: bytes) -> bool:
    """Whether a look at the members is worth its time."""
    return _STATE in message or _TASK in message or _TASKS in message


def in_request(body: bytes) -> tuple[Named, ...]:
    """What the parameters of a request name; twice, where they do."""
    return tuple(_within(body, "params")) if suspected(body) else ()


def parameters(body: bytes) -> bytes:
    """The raw parameters of a request."""
    return next((body[a:b] for key, a, b in _members(body, 0, len(body)) if key == "params"), b"")


def tasks_of(body: bytes) -> tuple[int, int] | None:
    """Where the list of tasks is that a `subscriptions/listen` names."""
    if _TASKS not in body:
        return None
    for outer, start, end in _members(body, 0, len(body)):
        for inner, a, b in _members(body, start, end) if outer == "params" else ():
            for key, c, d in _members(body, a, b) if inner == "notifications" else ():
                if key == "taskIds" and body[c] == 0x5B:
                    return c, d
    return None


def replaced(message: bytes, replace: Replace) -> bytes:
    """An answer or notification whose belongings are replaced."""
    if not suspected(message):
        return message
    inside = "params" if _ABOUT_TASKS in message else "result"
    for each in sorted(_within(message, inside), key=lambda each: -each.start):
        new = replace(each.type, message[each.start : each.end])
        message = b"".join((message[: each.start], new, message[each.end :]))
    return message


def replaced_in_event(event: SseEvent, replace: Replace) -> bytes:
    """The raw event with the belongings of its message replaced."""
    raw, text = event.raw, event.data
    if not suspected(text):
        return raw
    new = replaced(text, replace)
    if raw.count(text) == 1:
        return raw.replace(text, new)
    return encode(new, event.event, event.id)  # written in several lines


def spliced(body: bytes, named: Named | tuple[int, int], new: bytes) -> bytes:
    """The message with another raw text in that place."""
    start, end = named[-2:]
    return b"".join((body[:start], new, body[end:]))


def _within(message: bytes, part: str) -> Iterator[Named]:
    for outer, start, end in _members(message, 0, len(message)):
        if outer != part:
            continue
        for key, a, b in _members(message, start, end):
            for name in _NAMES:
                if key == name and message[a] == 0x22:
                    yield Named(name, a, b)


def _members(text: bytes, start: int, end: int) -> list[Span]:
    """The members of the object at this place; none where there is no object."""
    if text[start : start + 1] != b"{" and start:
        return []
    try:
        return [(key, start + a, start + b) for key, a, b in spans(text[start:end])]
    except (NotJson, NotAnObject):
        return []
