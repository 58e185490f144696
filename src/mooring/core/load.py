"""How busy instances are: as one gateway sees it, and over several."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Load:
    """Open sessions, and calls that were sent and are not answered yet."""

    sessions: int = 0
    calls: int = 0


Loads = Mapping[str, Load]
"""Load by instance uid; an instance that is not in it has none."""
_NONE = Load()


def total(parts: Iterable[Loads]) -> dict[str, Load]:
    """The sum over gateways.

    >>> total([{"a": Load(1, 2)}, {"a": Load(3, 0), "b": Load(0, 1)}])
    {'a': Load(sessions=4, calls=2), 'b': Load(sessions=0, calls=1)}
    """
    found: dict[str, Load] = {}
    for part in parts:
        for uid, load in part.items():
            whole = found.setdefault(uid, Load())
            whole.sessions += load.sessions
            whole.calls += load.calls
    return found


class Joint(Mapping[str, Load]):
    """A gateway's own loads, which change, together with what the others told last.

    Added up where they are looked at: a request looks at few of many.
    """

    def __init__(self, own: Loads) -> None:
        self.others: Loads = {}
        self._own = own

    def __getitem__(self, uid: str) -> Load:
        if uid not in self._own and uid not in self.others:
            raise KeyError(uid)
        own, others = self._own.get(uid, _NONE), self.others.get(uid, _NONE)
        return Load(own.sessions + others.sessions, own.calls + others.calls)

    def get(self, uid: str, default: Any = None) -> Any:
        """Quick where nobody else has told anything of it."""
        if uid not in self.others:
            return self._own.get(uid, default)
        return self[uid]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._own, **self.others})

    def __len__(self) -> int:
        return len({**self._own, **self.others})
