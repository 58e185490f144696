"""Who calls, as backends get to know it, and which backends a caller has.

Most backends are told nothing of a caller: what they offer is asked for once, and is the same
for all. One that is sent credentials is asked anew for each caller who has some; for a caller
without, it is not there.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from mooring.core.headers import Headers
from mooring.core.table import Entry, Virtual


class Caller(NamedTuple):
    """What backends are told of one caller."""

    headers: Mapping[str, Headers] = {}
    """By backend; one that is told nothing is not in it."""
    credentials: bytes = b""
    """Fingerprint of all that; empty where nobody is told anything."""

    def told(self, backend: str) -> Headers:
        """What one backend is told."""
        return self.headers.get(backend, ())


NOBODY: Final = Caller()


class Declared:
    """One virtual server of the table, and who its backends are."""

    __slots__ = ("_stateful", "backends", "forwarding", "virtual")

    def __init__(self, virtual: Virtual) -> None:
        self.virtual = virtual
        judged = virtual.judgement.backends
        self.backends: dict[str, Entry] = {
            each.name: virtual.backends[each.name] for each in judged if each.listed != "no"
        }
        """Those that clients may see something of, by name, sorted."""
        self.forwarding = tuple(each.name for each in judged if each.listed == "per-caller")
        """Those of them that are told who calls."""
        self._stateful = {name: entry.stateful for name, entry in self.backends.items()}

    def same(self, other: "Declared") -> bool:
        """Whether clients see the same, as long as backends offer the same."""
        return (
            self.virtual.aggregation == other.virtual.aggregation
            and self.virtual.relayed == other.virtual.relayed
            and self.forwarding == other.forwarding
            and self._stateful == other._stateful
        )

    def caller(self, headers: Mapping[bytes, bytes]) -> Caller:
        """What backends are told of whoever sent these headers."""
        if not self.forwarding:
            return NOBODY
        told: dict[str, Headers] = {}
        for backend in self.forwarding:
            wanted = self.backends[backend].forward
            given = tuple((name, headers[name]) for name in wanted if name in headers)
            if given:
                told[backend] = given
        if not told:
            return NOBODY
        text = repr(sorted(told.items())).encode()
        return Caller(told, hashlib.blake2b(text, digest_size=16).digest())

    def visible(self, caller: Caller) -> Iterator[Entry]:
        """The backends that this caller has."""
        for name, entry in self.backends.items():
            if name not in self.forwarding or name in caller.headers:
                yield entry
