"""What happened to an object, and which of it is kept.

Repeats of one happening are one Event with a count, so that a server which fails every
minute does not push out the line that says how it began. For that, a message must say the
same whenever the same happens: no counts and no times in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mooring.core.checksum import checksum
from mooring.core.printable import printable
from mooring.kinds.base import Object, ObjectMeta
from mooring.kinds.event import Event, Involved

KEPT = 50
"""Events of one object; the oldest beyond it go first."""
TOTAL = 10_000
"""Events of all objects together: those of many that are gone do not pile up either."""
AGE = timedelta(days=1)
"""Events that were last repeated longer ago are dropped."""
QUIET = timedelta(minutes=5)
"""Repeats are counted at once, and written no more often than this."""
HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened, in words."""

    reason: str
    message: str
    warning: bool = False


def name(about: Object, happening: Happening) -> str:
    """What the Event is called: the same for every repeat."""
    told = [about.kind, about.metadata.uid, happening.reason, happening.message, happening.warning]
    return f"{about.metadata.name}.{checksum(told)[:HASH_DIGITS]}"


def first(about: Object, happening: Happening, now: datetime) -> Event:
    """The Event of something that had not happened before."""
    meta = about.metadata
    return Event(
        metadata=ObjectMeta(name=name(about, happening), namespace=meta.namespace),
        involved_object=Involved(
            api_version=str(about.document()["apiVersion"]),
            kind=about.kind,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
        ),
        type="Warning" if happening.warning else "Normal",
        reason=happening.reason,
        message=printable(happening.message),
        first_timestamp=now,
        last_timestamp=now,
    )


def again(event: Event, now: datetime) -> Event:
    """The Event, counted once more."""
    return event.model_copy(update={"count": event.count + 1, "last_timestamp": now})


def surplus(events: Iterable[Event], now: datetime) -> tuple[Event, ...]:
    """Which Events of one object are dropped: those that are old, and what is too many.

    Of the reason that has most Events the oldest go, but for its very first one: what happens all
    the time, in other words each time, pushes out neither anything else nor how it began.
    """
    ordered = sorted(events, key=lambda e: (_last(e, now), e.metadata.name))
    old = [event for event in ordered if now - _last(event, now) > AGE]
    left: dict[str, list[Event]] = {}
    for event in ordered[len(old) :]:
        left.setdefault(event.reason, []).append(event)
    crowded = []
    for _ in range(len(ordered) - len(old) - KEPT):
        most = max(left.values(), key=len)
        crowded.append(most.pop(min(1, len(most) - 1)))
    return (*old, *crowded)


def beyond(events: Iterable[Event], now: datetime) -> tuple[Event, ...]:
    """Which Events of all objects are too many together, oldest first."""
    ordered = sorted(events, key=lambda e: (_last(e, now), e.metadata.name))
    return tuple(ordered[: max(0, len(ordered) - TOTAL)])


def _last(event: Event, now: datetime) -> datetime:
    return event.last_timestamp or event.first_timestamp or now
