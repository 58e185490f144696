"""Which paths exist, and who may answer there.

The table is computed from objects alone (servers, groups, virtual servers), by every gateway for
itself, and swapped whole. A request reads one table from its beginning to its end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from types import MappingProxyType

from mooring.core.address import Address, parse
from mooring.core.health import standing
from mooring.core.virtual import Judgement, backends_of, judge
from mooring.kinds.group import MCPGroup
from mooring.kinds.ref import Ref
from mooring.kinds.server import Eras, InstanceStatus, MCPServer, Phase, Recovery
from mooring.kinds.virtual import Aggregation, Questions, RemoteHealth, VirtualMCPServer


@dataclass(frozen=True, slots=True)
class Upstream:
    """An instance, as a gateway sees it."""

    name: str
    uid: str
    address: Address
    safe: frozenset[str] = frozenset()
    """Tools of its own list that may run twice."""


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
    recovery: Recovery = "transparent"
    """What becomes of sessions whose instance is lost."""
    eras: Eras = "auto"
    """What its declaration limits it to."""
    ours: bool = True
    """We run it; else it is somebody else's, behind one URL."""
    elsewhere: frozenset[str] = frozenset()
    """Uids of instances that there are, and that cannot be reached from here."""
    stateful: bool = True
    """It may remember something of a session."""
    forward: tuple[bytes, ...] = ()
    """Headers of a caller that a virtual server sends it, in lower case."""

    @property
    def standing(self) -> tuple[Upstream, ...]:
        """Who may be given new work: the preferred, else the last resort."""
        return self.preferred or self.last_resort


@dataclass(frozen=True, slots=True)
class Virtual:
    """One virtual server: its paths, its backends, and how it is."""

    ref: Ref
    uid: str
    """Of the object: new when it was deleted and declared again."""
    paths: tuple[str, ...]
    backends: Mapping[str, Entry]
    """By name, sorted; every one that is wanted to run, whatever its standing."""
    judgement: Judgement
    """The words for its backends, in the same order, and what they come to."""
    aggregation: Aggregation
    health: RemoteHealth
    relayed: Mapping[str, tuple[str, ...]]
    """What each backend may ask of clients."""


@dataclass(frozen=True, slots=True)
class Table:
    """Everything that a gateway serves at one moment."""

    entries: tuple[Entry, ...] = ()
    """Sorted by namespace, then name."""
    by_path: Mapping[str, Entry] = field(default_factory=dict)
    uids: frozenset[str] = frozenset()
    """Of every instance that has an address."""
    virtuals: tuple[Virtual, ...] = ()
    """Sorted by namespace, then name."""
    virtual_by_path: Mapping[str, Virtual] = field(default_factory=dict)


Made = dict[Ref, tuple[MCPServer, Entry]]
"""Entries, each with the object that it was made of."""


def paths_of(ref: Ref) -> tuple[str, ...]:
    """Where clients find a server, or a virtual one; the first path is shown to them.

    >>> paths_of(Ref("MCPServer", "default", "time"))
    ('/servers/time/mcp', '/ns/default/servers/time/mcp')
    """
    place = "virtual" if ref.kind == "VirtualMCPServer" else "servers"
    long = f"/ns/{ref.namespace}/{place}/{ref.name}/mcp"
    return (f"/{place}/{ref.name}/mcp", long) if ref.namespace == "default" else (long,)


def build(
    servers: Iterable[MCPServer],
    groups: Iterable[MCPGroup] = (),
    virtuals: Iterable[VirtualMCPServer] = (),
    made: Made | None = None,
) -> Table:
    """The table of these objects; their order does not matter.

    `made`: entries of the table before, taken over where the server is the same object; those of
    this table are left in it.
    """
    before = {} if made is None else dict(made)
    known = sorted(((server.ref, server) for server in servers), key=itemgetter(0))
    entries: dict[Ref, Entry] = {}
    for ref, server in known:
        held = before.get(ref)
        entries[ref] = held[1] if held and held[0] is server else _entry(server)
    if made is not None:
        made.clear()
        made.update((ref, (server, entries[ref])) for ref, server in known)
    by_path = {path: entry for entry in entries.values() for path in entry.paths}
    uids = frozenset(uid for entry in entries.values() for uid in entry.upstreams)
    members: dict[Ref, list[MCPServer]] = {group.ref: [] for group in groups}
    for _, server in known:
        group = Ref("MCPGroup", server.ref.namespace, server.spec.group or "")
        if group in members:
            members[group].append(server)
    joined = tuple(_virtual(virtual, members, entries) for virtual in sorted(virtuals, key=_ref))
    return Table(
        entries=tuple(entries.values()),
        by_path=MappingProxyType(by_path),
        uids=uids,
        virtuals=joined,
        virtual_by_path=MappingProxyType({path: one for one in joined for path in one.paths}),
    )


def _ref(virtual: VirtualMCPServer) -> Ref:
    return virtual.ref


def _virtual(
    virtual: VirtualMCPServer,
    members: Mapping[Ref, Iterable[MCPServer]],
    entries: Mapping[Ref, Entry],
) -> Virtual:
    namespace, group = virtual.ref.namespace, virtual.spec.group
    servers = members.get(Ref("MCPGroup", namespace, group))
    backends = None if servers is None else backends_of(namespace, group, servers)
    return Virtual(
        ref=virtual.ref,
        uid=virtual.metadata.uid,
        paths=paths_of(virtual.ref),
        backends=MappingProxyType({each.ref.name: entries[each.ref] for each in backends or ()}),
        judgement=judge(group, backends),
        aggregation=virtual.spec.aggregation,
        health=virtual.spec.health,
        relayed=MappingProxyType({n: _kinds(q) for n, q in virtual.spec.relay.items()}),
    )


def _kinds(questions: Questions) -> tuple[str, ...]:
    return tuple(kind for kind, may in questions if may)


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
        recovery=server.spec.recovery,
        eras=server.spec.eras,
        ours=server.spec.source.url is None,
        stateful=server.spec.stateful,
        forward=tuple(sorted({name.lower().encode() for name in server.spec.auth.forward})),
    )


def _upstream(row: InstanceStatus) -> Upstream | None:
    if not row.uid or not row.address:
        return None
    try:
        return Upstream(row.name, row.uid, parse(row.address), frozenset(row.safe_tools))
    except ValueError:
        return None
