"""Rows of a server's status, and how they change.

A row is one instance by name. It outlives every start of that instance, so that what was
counted (attempts, crashes, restarts) goes on counting over restarts of Mooring too.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from mooring.kinds.server import InstanceStatus, State

LIVE: tuple[State, ...] = ("Installing", "Starting", "Ready")
"""States of an instance that is up, or on its way up."""
UPCOMING: tuple[State, ...] = ("Installing", "Starting")
WAITING: tuple[State, ...] = ("Pending", "Restarting", "CrashLoopBackOff")
"""States of an instance that is down, and not for a failed attempt."""
FAILING: tuple[State, ...] = ("ERROR", "CrashLoopBackOff", "Restarting")
"""States of an instance that is down because something went wrong with it."""


def enter(row: InstanceStatus, state: State, now: datetime, **changes: Any) -> InstanceStatus:
    """The row in this state and health, since now or since it entered them."""
    since = row.since if row.state == state and row.since else now
    if changes.get("health", row.health) != row.health:
        changes["health_since"] = now
    return row.model_copy(update={"since": since, **changes, "state": state})


def new(name: str, now: datetime) -> InstanceStatus:
    """A row for an instance that is wanted and was never started."""
    return InstanceStatus(name=name, state="Pending", since=now)


def number(server: str, name: str) -> int | None:
    """Which of a server's instances a name means; None where it is no such name.

    >>> number("time", "time-7"), number("time", "time-07"), number("time", "tide-7")
    (7, None, None)
    """
    prefix, _, digits = name.rpartition("-")
    plain = digits.isascii() and digits.isdecimal() and str(int(digits)) == digits
    return int(digits) if prefix == server and plain else None


def free_names(server: str, taken: Collection[str], wanted: int) -> list[str]:
    """So many names with the lowest free numbers.

    >>> free_names("time", {"time-0", "time-2"}, 2)
    ['time-1', 'time-3']
    """
    candidates = (f"{server}-{n}" for n in range(len(taken) + wanted))
    return [name for name in candidates if name not in taken][:wanted]
