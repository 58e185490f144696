"""Which instances come and which go.

There are as many as are wanted, whatever state they are in: one that fails is retried in its
place and counts. A changed workload surges: one new instance more than wanted, and when it is
ready, one old instance less. While new ones fail, the old ones serve.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mooring.core.health import standing
from mooring.core.rows import number
from mooring.kinds.server import InstanceStatus


@dataclass(frozen=True, slots=True)
class Balance:
    """Who leaves, and how many come."""

    leaving: tuple[InstanceStatus, ...] = ()
    coming: int = 0


def balance(
    rows: Sequence[InstanceStatus],
    wanted: int,
    checksum: str,
    *,
    exclusive: bool,
    kept: Collection[str] = (),
) -> Balance:
    """The next step towards so many instances of this workload.

    `rows` are those that are not leaving yet. `exclusive`: an old instance has to go before a
    new one can start (they would fight for one port). `kept`: names of old ones that come back
    as they were.
    """
    old = tuple(row for row in rows if outdated(row, checksum) or row.name in kept)
    if wanted == 0:
        return Balance(tuple(rows))
    if exclusive and old:
        return Balance(old, max(0, wanted - (len(rows) - len(old))))
    settled = all(standing(row) == "preferred" for row in rows if row not in old)
    allowed = wanted + (1 if old and not settled else 0)
    surplus = len(rows) - allowed
    if surplus > 0:
        return Balance(_first_to_go(rows, old, wanted)[:surplus])
    surges = bool(old) and settled and len(rows) == wanted
    return Balance(coming=1 if surges else max(0, wanted - len(rows)))


def outdated(row: InstanceStatus, checksum: str) -> bool:
    """Whether an instance serves with another workload than is wanted now."""
    return row.state == "Ready" and row.checksum != checksum


def _first_to_go(
    rows: Sequence[InstanceStatus], old: Sequence[InstanceStatus], wanted: int
) -> tuple[InstanceStatus, ...]:
    """Outdated ones first, then those that do not serve, then the highest numbers.

    As long as others can go, none goes that is needed for as many to serve as are wanted.
    """
    ranked = sorted(rows, key=lambda row: (row not in old, _serves(row), -_number(row.name)))
    spare = max(0, sum(map(_serves, rows)) - wanted)
    serving = [row for row in ranked if _serves(row)]
    needed = serving[spare:]
    return (*(row for row in ranked if row not in needed), *needed)


def _serves(row: InstanceStatus) -> bool:
    return standing(row) != "out"


def _number(name: str) -> int:
    found = number(name.rpartition("-")[0], name)
    return -1 if found is None else found
