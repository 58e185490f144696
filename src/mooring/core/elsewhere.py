"""What a gateway on another machine can reach.

Instances that the daemon's machine runs answer at a loopback address or on the keeper's Unix
socket. There, another machine would find something else, or nothing. So its table has them as
instances that exist and cannot be reached: a session that is there is not lost, and new ones go
to what can be.
"""

from dataclasses import replace
from types import MappingProxyType

from mooring.core.address import Address
from mooring.core.sentence import count
from mooring.core.table import Entry, Table, Upstream


def is_local(address: Address) -> bool:
    """Whether an address means something on its own machine only.

    >>> is_local(Address("127.0.0.1", 80, "/")), is_local(Address("10.0.0.1", 80, "/"))
    (True, False)
    """
    host = address.host
    return bool(address.socket) or host in ("localhost", "::1") or host.startswith("127.")


def from_elsewhere(table: Table) -> Table:
    """The table as a gateway on another machine has it."""
    seen = {entry.ref: _seen(entry) for entry in table.entries}
    virtuals = tuple(
        replace(one, backends=MappingProxyType({n: seen[e.ref] for n, e in one.backends.items()}))
        for one in table.virtuals
    )
    return replace(
        table,
        entries=tuple(seen.values()),
        by_path=MappingProxyType({path: seen[each.ref] for path, each in table.by_path.items()}),
        virtuals=virtuals,
        virtual_by_path=MappingProxyType({path: one for one in virtuals for path in one.paths}),
    )


def _seen(entry: Entry) -> Entry:
    away = frozenset(uid for uid, each in entry.upstreams.items() if is_local(each.address))
    if not away:
        return entry

    def reached(upstreams: tuple[Upstream, ...]) -> tuple[Upstream, ...]:
        return tuple(upstream for upstream in upstreams if upstream.uid not in away)

    there = {uid: each for uid, each in entry.upstreams.items() if uid not in away}
    return replace(
        entry,
        upstreams=MappingProxyType(there),
        preferred=reached(entry.preferred),
        last_resort=reached(entry.last_resort),
        elsewhere=away,
        sentence=f"{entry.sentence}; {count(len(away))} can be reached on its own machine only",
    )
