"""How an instance leaves: no new sessions, time for the old ones, then it ends.

A row in state Draining is told to every gateway by the status itself. It ends when its
sessions have, at the latest after the server's drainSeconds.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from mooring.core.events import Happening
from mooring.core.load import Load
from mooring.core.reporting import SILENT_SECONDS
from mooring.core.rows import enter
from mooring.core.workload import Observed
from mooring.kinds.server import InstanceStatus

SETTLE = timedelta(seconds=1)
"""Gateways have heard by then that an instance takes no new session."""
LOOK = timedelta(seconds=1)
"""How often open sessions of a leaving instance are counted."""


class Known(NamedTuple):
    """How busy gateways find an instance."""

    load: Load | None
    """What they told; None: nothing."""
    since: datetime | None = None
    """When they began to be listened to: none is asked, and each tells in its own time."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One step of leaving; without a row, it has left."""

    row: InstanceStatus | None
    happenings: tuple[Happening, ...] = ()
    stop: bool = False
    look_at: datetime | None = None


def ask_to_leave(row: InstanceStatus, seen: Observed | None, why: str, now: datetime) -> Departure:
    """The first step: an instance that serves drains; any other has nothing to wait for."""
    if seen is None:
        return Departure(None)
    if row.state == "Ready" and seen.state == "running":
        draining = enter(row, "Draining", now, reason="", message=why, next_retry_at=None)
        told = Happening("Draining", f"{row.name}: draining, {why}")
        return Departure(draining, (told,), look_at=now + SETTLE)
    ending = enter(row, "Draining", now, address="", message=why, next_retry_at=None)
    return Departure(ending, stop=seen.state != "stopping")


def leave(
    row: InstanceStatus, seen: Observed | None, known: Known, drain: int, now: datetime
) -> Departure:
    """Every later step; `drain` is the longest wait, in seconds."""
    if seen is None:
        return Departure(None, (Happening("Stopped", f"{row.name}: stopped"),))
    if seen.state == "stopping":
        return Departure(row)
    since = row.since or now
    deadline = since + timedelta(seconds=drain)
    settled = since + SETTLE
    if known.since is not None and since < known.since:
        settled = known.since + timedelta(seconds=SILENT_SECONDS)
    settled = min(settled, deadline)
    load = known.load
    if seen.state != "running" or not row.address or now >= deadline:
        return Departure(row, stop=True)
    if now < settled:
        return Departure(row, look_at=settled)
    if load is None or not (load.sessions or load.calls):
        return Departure(row, stop=True)
    return Departure(row, look_at=min(deadline, now + LOOK))
