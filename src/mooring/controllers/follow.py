"""Staying up to date with all objects of one kind.

A list, then a watch from its version, for ever. A watch that fell too far behind begins again
with a list, and a store that is away is asked again until it is back.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from mooring import telemetry
from mooring.clock import Clock
from mooring.core import backoff
from mooring.core.ports import Change, ObjectStore
from mooring.errors import Conflict, MooringError
from mooring.kinds.base import Object


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told."""

    listed: Callable[[tuple[Object, ...]], None]
    """All there is; what is not in it is gone."""
    changed: Callable[[Change], None]


async def follow(
    store: ObjectStore, kind: str, listener: Listener, clock: Clock, chance: Callable[[], float]
) -> None:
    """Tells of every change of a kind, for ever."""
    failures = 0
    while True:
        try:
            listing = await store.list(kind)
            listener.listed(listing.items)
            failures = 0
            async for change in store.watch(kind, listing.version):
                listener.changed(change)
        except Conflict:
            telemetry.event("watch.expired", kind=kind)
        except MooringError as error:
            telemetry.event("watch.failed", logging.WARNING, kind=kind, error=error.message)
        failures += 1
        await clock.sleep(backoff.look_again(failures, chance()))
