"""A server's spec made ready to run, nothing left to choose.

A workload is what an instance is started from. Its checksum covers all that the instance
would see, and nothing else: changing `replicas` or a label restarts nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter
from typing import Any, Literal

from mooring.core.checksum import checksum
from mooring.core.environment import Complaint, Resolution
from mooring.kinds.ref import Ref
from mooring.kinds.server import (
    Eras,
    Isolation,
    MCPServer,
    Resolved,
    Source,
    Transport,
)

RESTARTED = "mooring.dev/restartedAt"
"""The annotation that asks for a restart of all instances, one by one: any new text does."""
RESTARTED_LENGTH = 64
ABSENT: Mapping[str, str] = {"image": "no container runtime is configured"}
"""Sources that some homes have no runtime for, and what is said where one is asked for."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What one instance is started from."""

    ref: Ref
    checksum: str
    source: Source
    args: tuple[str, ...] = ()
    working_directory: str = ""
    transport: Transport = "stdio"
    path: str = "/mcp"
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Declared variables with their values, some of them secret: never shown."""
    hidden: tuple[str, ...] = ()
    """Those of them whose values come from elsewhere: they are covered where they are said."""
    isolation: Isolation = "shared"
    max_children: int = 50
    idle_seconds: int = 900
    spares: int = 0
    eras: Eras = "auto"
    install_timeout_seconds: int = 300
    resolved: Resolved | None = None
    """What an unpinned package was resolved to before; it is kept."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an instance ended."""

    at: datetime
    code: int = 0
    signal: int = 0
    last_line: str = ""
    """The last line of its stderr, cut at 2 KiB."""


@dataclass(frozen=True, slots=True)
class Observed:
    """An instance as its runtime sees it now."""

    name: str
    uid: str
    """New at every start."""
    checksum: str
    state: Literal["installing", "running", "stopping", "exited", "failed"]
    """`failed`: it could not be installed or started; `message` and `reason` say why."""
    address: str = ""
    message: str = ""
    """Progress of an installation, or why it failed."""
    reason: str = ""
    """A CamelCase word for why it failed: `CannotInstall`, `CommandNotFound`."""
    permanent: bool = False
    """The failure cannot mend itself: a command or a package that does not exist."""
    started_at: datetime | None = None
    ended: Ended | None = None
    resolved: Resolved | None = None


def prepare(
    server: MCPServer, environment: Resolution | Complaint, sources: Collection[str]
) -> Workload | Complaint:
    """What to start instances of a server from, or why there is nothing to start.

    `sources` are those that the runtime here can run. A complaint has a checksum, too: where
    the spec changes, or what is wrong with it, it changes.
    """
    source = server.spec.source.type
    if source not in sources:
        missing = ABSENT.get(source, f"no runtime here runs {source}")
        wrong = f'server "{server.metadata.name}" source.{source}: {missing}'
        return _complaint(server, Complaint("RuntimeAbsent", wrong))
    if isinstance(environment, Complaint):
        return _complaint(server, environment)
    return make(server, environment, recorded(server))


def restarted(server: MCPServer) -> str:
    """Which restart of all instances was asked for last; empty where none ever was.

    An annotation that is taken away restarts nothing: the status remembers it.
    """
    asked_for = server.metadata.annotations.get(RESTARTED, "")
    return asked_for[:RESTARTED_LENGTH] or server.status.restarted_at


def recorded(server: MCPServer) -> Resolved | None:
    """What the package was resolved to before, as long as the same is asked for."""
    wanted = asked(server.spec.source, restarted(server))
    status = server.status
    known = (status.resolved, *(revision.resolved for revision in reversed(status.revisions)))
    return next((resolved for resolved in known if resolved and resolved.source == wanted), None)


def asked(source: Source, restart: str = "") -> str:
    """Checksum of all that decides what a package is resolved to; every restart asks anew."""
    declared = _declared(source, {"entry_point"})
    return checksum([declared, restart] if restart else declared)


def _declared(source: Source, exclude: set[str]) -> dict[str, Any]:
    """The source, JSON-ready; without defaults, so that a field that is new changes nothing."""
    return source.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=exclude)


def make(server: MCPServer, environment: Resolution, resolved: Resolved | None) -> Workload:
    """The workload of a server whose environment was resolved."""
    spec = server.spec
    return Workload(
        ref=server.ref,
        checksum=checksum(_seen(server, environment.marks)),
        source=spec.source,
        args=spec.args,
        working_directory=spec.working_directory or "",
        transport=spec.transport,
        path=spec.path,
        port=spec.port,
        env=environment.values,
        hidden=tuple(sorted(v.name for v in spec.env if v.value_from is not None)),
        isolation=spec.isolation,
        max_children=spec.max_children,
        idle_seconds=spec.idle_seconds,
        spares=spec.spares,
        eras=spec.eras,
        install_timeout_seconds=spec.install_timeout_seconds,
        resolved=resolved,
    )


def _complaint(server: MCPServer, complaint: Complaint) -> Complaint:
    declared = sorted((v.model_dump(mode="json") for v in server.spec.env), key=itemgetter("name"))
    wanted = [_seen(server, {}), declared, complaint.message]
    return replace(complaint, checksum=checksum(wanted))


def _seen(server: MCPServer, marks: Mapping[str, Any]) -> dict[str, Any]:
    """All that an instance would see of its spec, JSON-ready; and which restart it is of."""
    spec, restart = server.spec, restarted(server)
    seen: dict[str, Any] = {"source": _declared(spec.source, set())}
    if restart:
        seen["restartedAt"] = restart
    if spec.source.url is not None:
        return seen | {"env": dict(marks), "eras": spec.eras}
    seen |= {
        "args": list(spec.args),
        "workingDirectory": spec.working_directory or "",
        "transport": spec.transport,
        "env": dict(marks),
        "eras": spec.eras,
    }
    if spec.transport == "stdio":
        children = {"maxChildren": spec.max_children, "idleSeconds": spec.idle_seconds}
        return seen | children | {"isolation": spec.isolation, "spares": spec.spares}
    return seen | {"path": spec.path, "port": spec.port}
