"""How a workload becomes a slot of the keeper, and what a slot says of its instance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mooring.core.keeping import Exit, SlotSpec, SlotState
from mooring.core.workload import Ended, Observed, Workload
from mooring.kinds.ref import Ref
from mooring.kinds.server import Resolved

FAILURES = {
    "command not found": ("CommandNotFound", "install it, or give its whole path", True),
    "not executable": ("CommandNotFound", "make it executable, or name its interpreter", True),
    "working directory not found": ("CannotStart", "make it, or change workingDirectory", True),
    "port ": ("PortInUse", "free it, or declare another port", False),
}
"""Beginnings of the keeper's reasons: our word for each, its remedy, and whether it is permanent,
so that no retry mends it."""

_AGES = ("running", "stopping", "exited")


@dataclass(frozen=True, slots=True)
class Birth:
    """One start of an instance: what the workload leaves open."""

    uid: str
    name: str
    argv: tuple[str, ...]
    """The program and its first arguments; those of the workload follow."""
    base: Mapping[str, str]
    """Variables that every server sees."""
    directory: str
    """Where it runs, unless the workload says so."""
    log: str


def slot(workload: Workload, birth: Birth) -> SlotSpec:
    """The slot of one instance; declared variables hide those that every server sees."""
    ref = workload.ref
    return SlotSpec(
        uid=birth.uid,
        instance=f"{ref.namespace}/{birth.name}",
        server=f"{ref.namespace}/{ref.name}",
        checksum=workload.checksum,
        argv=(*birth.argv, *workload.args),
        env={**birth.base, **workload.env},
        hidden=workload.hidden,
        cwd=_inside(birth.directory, workload.working_directory),
        transport=workload.transport,
        port=workload.port or 0,
        path=workload.path,
        isolation=workload.isolation,
        max_children=workload.max_children,
        idle_seconds=workload.idle_seconds,
        spares=workload.spares,
        eras=workload.eras,
        log=birth.log,
    )


def owner(state: SlotState) -> Ref:
    """The server that a slot belongs to."""
    namespace, _, name = state.server.partition("/")
    return Ref("MCPServer", namespace, name)


def name(state: SlotState) -> str:
    """The instance's name."""
    return state.instance.partition("/")[2]


def observed(state: SlotState, socket: str, resolved: Resolved | None = None) -> Observed:
    """The instance that a slot is; `socket` is the keeper's."""
    exited = state.exit if state.state == "exited" else None
    if exited is not None and exited.reason:
        word, message, permanent = failure(exited.reason)
        return Observed(
            name(state), state.uid, state.checksum, "failed",
            message=message, reason=word, permanent=permanent, resolved=resolved,
        )  # fmt: skip
    return Observed(
        name(state),
        state.uid,
        state.checksum,
        state.state,
        address=address(state, socket),
        started_at=_moment(state.started_at),
        ended=_ended(exited) if exited is not None else None,
        resolved=resolved,
    )


def newer(known: SlotState | None, told: SlotState) -> SlotState:
    """Which of two accounts of a slot holds: lives go one way, and a port comes with a start."""
    if known is None or _AGES.index(told.state) > _AGES.index(known.state):
        return told
    if told.state != known.state or (known.port and not told.port):
        return known
    return told


def address(state: SlotState, socket: str) -> str:
    """Where the instance answers."""
    if state.transport == "stdio":
        return f"unix://{socket}#/i/{state.uid}"
    return f"http://127.0.0.1:{state.port}{state.path}"


def failure(reason: str) -> tuple[str, str, bool]:
    """The word, the sentence, and whether no retry mends it, for why a start failed."""
    for beginning, (word, remedy, permanent) in FAILURES.items():
        if reason.startswith(beginning):
            return word, f"{reason}. Fix: {remedy}", permanent
    return "CannotStart", reason, False


def left_behind(states: Sequence[SlotState], at: float) -> tuple[SlotState, ...]:
    """The slots of a keeper that is gone: whatever ran in them has ended."""
    told = Exit(signal=9, at=at, last_line="the keeper ended")
    return tuple(state if state.state == "exited" else _over(state, told) for state in states)


def _over(state: SlotState, told: Exit) -> SlotState:
    return SlotState(
        uid=state.uid,
        instance=state.instance,
        server=state.server,
        checksum=state.checksum,
        state="exited",
        transport=state.transport,
        path=state.path,
        started_at=state.started_at,
        exit=told,
    )


def _inside(directory: str, wanted: str) -> str:
    if not wanted:
        return directory
    return wanted if wanted.startswith("/") else f"{directory.rstrip('/')}/{wanted}"


def _ended(known: Exit) -> Ended:
    return Ended(_moment(known.at), known.code, known.signal, known.last_line)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
