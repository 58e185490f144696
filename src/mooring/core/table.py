"""Which paths exist, and who may answer there.

The table is computed from MCPServer objects alone, by every gateway for itself, and swapped
whole. A request reads one table from its beginning to its end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mooring.core.address import Address, parse
from mooring.core.health import standing
from mooring.kinds.ref import Ref
from mooring.kinds.server import Eras, InstanceStatus, MCPServer, Phase


@dataclass(frozen=True, slots=True)
class Upstream:
    """An instance, as a gateway sees it."""

    name: str
    uid: str
    address: Address


@dataclass(frozen=True, slots=True)
class Entry:
    """One server: its paths, and its instances by what they may be asked."""

    ref: Ref
    paths: tuple[str, ...]
    upstreams: Mapping[str, Upstream]
    """Every instance that has an address, by uid: a session may be bound to any of them."""
    preferred: tuple[Upstream, ...]
    """Where new work goes."""
    last_resort: tuple[Upstream, ...]
    """Where it goes when nothing is preferred."""
    phase: Phase
    sentence: str
    """The server's status in words."""
    wanted: int
    ready: int
    eras: Eras = "auto"
    """What its declaration limits it to."""
    ours: bool = True
    """We run it; else it is somebody else's, behind one URL."""

    @property
    def standing(self) -> tuple[Upstream, ...]:
        """Who may be given new work: the preferred, else the last resort."""
        return self.preferred or self.last_resort


@dataclass(frozen=True, slots=True)
class Table:
    """Everything that a gateway serves at one moment."""

    entries: tuple[Entry, ...] = ()
    """Sorted by namespace, then name."""
    by_path: Mapping[str, Entry] = field(default_factory=dict)
    uids: frozenset[str] = frozenset()
    """Of every instance that has an address."""


def paths_of(ref: Ref) -> tuple[str, ...]:
    """Where clients find a server; the first one is shown to them.

    >>> paths_of(Ref("MCPServer", "default", "time"))
    ('/servers/time/mcp', '/ns/default/servers/time/mcp')
    """
    long = f"/ns/{ref.namespace}/servers/{ref.name}/mcp"
    return (f"/servers/{ref.name}/mcp", long) if ref.namespace == "default" else (long,)


def build(servers: Iterable[MCPServer]) -> Table:
    """The table of these servers; their order does not matter."""
    entries = tuple(_entry(server) for server in sorted(servers, key=lambda s: s.ref))
    by_path = {path: entry for entry in entries for path in entry.paths}
    uids = frozenset(uid for entry in entries for uid in entry.upstreams)
    return Table(entries, MappingProxyType(by_path), uids)


def _entry(server: MCPServer) -> Entry:
    status = server.status
    known = [(row, found) for row in status.instances if (found := _upstream(row))]
    return Entry(
        ref=server.ref,
        paths=paths_of(server.ref),
        upstreams=MappingProxyType({found.uid: found for _, found in known}),
        preferred=tuple(found for row, found in known if standing(row) == "preferred"),
        last_resort=tuple(found for row, found in known if standing(row) == "last-resort"),
        phase=status.phase,
        sentence=status.message or status.phase,
        wanted=server.spec.replicas,
        ready=status.ready_instances,
        eras=server.spec.eras,
        ours=server.spec.source.url is None,
    )


def _upstream(row: InstanceStatus) -> Upstream | None:
    if not row.uid or not row.address:
        return None
    try:
        return Upstream(row.name, row.uid, parse(row.address))
    except ValueError:
        return None
