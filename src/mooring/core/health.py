"""Whether an instance is fit for new work.

One function decides, and everybody uses it: phase and counts, conditions, tables, routing
and the command line.
"""

from collections.abc import Iterable
from typing import Literal

from mooring.kinds.server import Health, InstanceStatus

Standing = Literal["preferred", "last-resort", "out"]

_STANDING: dict[Health, Standing] = {
    "healthy": "preferred",
    "unauthenticated": "preferred",
    "degraded": "last-resort",
    "unhealthy": "out",
    "unknown": "out",
}
_ORDER: tuple[Standing, ...] = ("preferred", "last-resort", "out")


def standing(row: InstanceStatus) -> Standing:
    """Where new work goes: to preferred instances, else to last resorts, never to the others.

    An instance that leaves, or is not ready, is out whatever is believed of it.
    """
    return _STANDING[row.health] if row.state == "Ready" else "out"


def best(rows: Iterable[InstanceStatus]) -> Standing:
    """The standing of a server: that of its best instance."""
    return min((standing(row) for row in rows), key=_ORDER.index, default="out")
