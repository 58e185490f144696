"""How a virtual server is: its backends, and what follows from them.

A backend is a server of the group that is wanted to run. How it is comes from `health.standing`
alone; phase, counts, conditions, pages and lists are all made of the words found here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mooring.core.conditions import Claim
from mooring.core.health import best, standing
from mooring.kinds.server import InstanceStatus, MCPServer
from mooring.kinds.virtual import Listed, Phase, Word

Reason = Literal[
    "AllBackendsRoutable", "SomeBackendsUnhealthy", "NoRoutableBackends", "BackendsPending",
    "GroupNotFound",
]  # fmt: skip

ROUTABLE: frozenset[Word] = frozenset({"ready", "unauthenticated"})
"""Words for backends that new calls go to."""
SERVING: frozenset[Word] = frozenset({"ready", "degraded"})
"""Words for backends that answer whoever asks."""
HEALTHY: frozenset[Phase] = frozenset({"Ready", "Degraded"})
"""Phases in which a virtual server serves."""
NAMED = 5
"""Backends that a sentence names."""
LOGIN = "it wants the caller's own login"


@dataclass(frozen=True, slots=True)
class Backend:
    """A server, as it is seen from within a virtual server."""

    name: str
    word: Word
    message: str = ""
    """Why, where it is not ready."""
    forwards: bool = False
    """It is sent credentials of callers."""

    @property
    def routable(self) -> bool:
        """Whether new calls go to it."""
        return self.word in ROUTABLE

    @property
    def listed(self) -> Listed:
        """How clients get to see what it offers: one list for all of them; one for each, asked
        with the caller's own credentials; not at all."""
        if self.forwards and (self.routable or self.word in SERVING):
            return "per-caller"
        return "shared" if self.word in SERVING else "no"


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a virtual server is."""

    phase: Phase
    reason: Reason
    message: str
    backends: tuple[Backend, ...] = ()
    """Sorted by name."""

    @property
    def healthy(self) -> bool:
        """Whether it serves."""
        return self.phase in HEALTHY

    @property
    def routable(self) -> int:
        """How many backends new calls go to."""
        return sum(backend.routable for backend in self.backends)


def backends_of(namespace: str, group: str, servers: Iterable[MCPServer]) -> tuple[MCPServer, ...]:
    """The servers of a group that are wanted to run, sorted by name."""
    found = [
        server
        for server in servers
        if server.metadata.namespace == namespace
        and server.spec.group == group
        and server.spec.replicas > 0
        and server.metadata.deletion_timestamp is None
    ]
    return tuple(sorted(found, key=lambda server: server.metadata.name))


def backend(server: MCPServer) -> Backend:
    """How one server is, seen from within."""
    rows = [row for row in server.status.instances if row.state != "Draining"]
    word, message = _word(rows, server)
    return Backend(server.metadata.name, word, message, bool(server.spec.auth.forward))


def judge(group: str, servers: Sequence[MCPServer] | None) -> Judgement:
    """How a virtual server with these backends is; None: its group is missing."""
    if servers is None:
        return Judgement("Failed", "GroupNotFound", f"group {group} does not exist")
    backends = tuple(backend(server) for server in servers)
    phase, reason = _phase(backends)
    return Judgement(phase, reason, _sentence(backends), backends)


def claims(judgement: Judgement) -> tuple[Claim, ...]:
    """What is claimed of it."""
    phase, backends = judgement.phase, judgement.backends
    found = phase != "Failed" or judgement.reason != "GroupNotFound"
    count = _several(len(backends), "backend") if backends else "no backends"
    degraded = phase == "Degraded"
    return (
        Claim("Ready", phase == "Ready", judgement.reason, judgement.message),
        Claim(
            "BackendsDiscovered",
            found,
            "GroupFound" if found else "GroupNotFound",
            f"{count} in the group" if found else judgement.message,
        ),
        Claim(
            "Degraded",
            degraded,
            judgement.reason if degraded else "NotDegraded",
            judgement.message if degraded else "",
        ),
    )


def _word(rows: Sequence[InstanceStatus], server: MCPServer) -> tuple[Word, str]:
    rank = best(rows)
    if rank == "preferred":
        known = {row.health for row in rows if standing(row) == "preferred"}
        return ("ready", "") if "healthy" in known else ("unauthenticated", LOGIN)
    if rank == "last-resort":
        return "degraded", _first(row for row in rows if standing(row) == "last-resort")
    if any(_unchecked(row) for row in rows) or not (rows or server.status.phase == "Failed"):
        return "unknown", "it has not been checked yet"
    return "unavailable", _first(rows) or server.status.message


def _unchecked(row: InstanceStatus) -> bool:
    """Whether it is on its way up for the first time; later attempts are no news to wait for."""
    if row.state == "Pending":
        return row.attempt_count == 0
    if row.state in ("Installing", "Starting"):
        return row.attempt_count <= 1
    return row.state == "Ready" and row.health == "unknown"


def _first(rows: Iterable[InstanceStatus]) -> str:
    """What is said of the first of them that something is said of."""
    return next((row.message for row in sorted(rows, key=lambda r: r.name) if row.message), "")


def _phase(backends: Sequence[Backend]) -> tuple[Phase, Reason]:
    words = {backend.word for backend in backends}
    if words <= ROUTABLE:
        return "Ready", "AllBackendsRoutable"
    if words & (ROUTABLE | {"degraded"}):
        return "Degraded", "SomeBackendsUnhealthy"
    if "unknown" in words:
        return "Pending", "BackendsPending"
    return "Failed", "NoRoutableBackends"


def _sentence(backends: Sequence[Backend]) -> str:
    if not backends:
        return "Ready, no backends configured"
    ready, login = _named(backends, "ready"), _named(backends, "unauthenticated")
    if len(ready) == len(backends):
        many = len(ready) > 1
        return f"All {len(ready)} backends are healthy" if many else "1 backend is healthy"
    if len(login) == len(backends):
        return f"{_several(len(login), 'backend')} {_require(len(login))} authentication"
    if len(ready) + len(login) == len(backends):
        healthy = f"{_several(len(ready), 'backend')} healthy"
        return f"{healthy}, {len(login)} {_require(len(login))} authentication"
    parts = [f"{len(ready) + len(login)}/{len(backends)} backends routable"]
    for word, words in _UNROUTABLE:
        if names := _named(backends, word):
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            parts.append(f"{len(names)} {words} ({', '.join(names[:NAMED])}{more})")
    return ", ".join(parts)


_UNROUTABLE: tuple[tuple[Word, str], ...] = (
    ("degraded", "degraded"),
    ("unavailable", "unavailable"),
    ("unknown", "not checked yet"),
)


def _named(backends: Iterable[Backend], word: Word) -> list[str]:
    return [backend.name for backend in backends if backend.word == word]


def _several(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _require(number: int) -> str:
    return "requires" if number == 1 else "require"
