"""A server's status, made of its rows: phase, conditions, counts and the sentence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mooring.core.conditions import Claim, settle
from mooring.core.environment import Complaint
from mooring.core.health import best, standing
from mooring.core.progress import Change
from mooring.core.rollout import outdated
from mooring.core.rows import FAILING
from mooring.core.sentence import count, sentence
from mooring.core.table import paths_of
from mooring.core.workload import Workload, restarted
from mooring.kinds.base import Condition
from mooring.kinds.server import (
    InstanceStatus,
    MCPServer,
    Phase,
    Resolved,
    ServerStatus,
    State,
)

_PROGRESS: tuple[tuple[State, Phase], ...] = (
    ("Installing", "Installing"),
    ("Starting", "Starting"),
    ("Restarting", "Starting"),
    ("Pending", "Pending"),
)
STORE = "SessionStoreAvailable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision came to, as far as the status tells it."""

    rows: tuple[InstanceStatus, ...]
    wanted: int
    target: Workload | Complaint
    resolved: Resolved | None
    base: str
    change: Change | None = None
    """How the present workload takes the place of the one before."""
    store_trouble: str = ""
    """Why gateways cannot use the store of session records; empty: they can."""


def summarize(server: MCPServer, outcome: Outcome, now: datetime) -> ServerStatus:
    """The status of a server; times in it move only where something changed."""
    staying = tuple(row for row in outcome.rows if row.state != "Draining")
    ready = sum(standing(row) == "preferred" for row in staying)
    status = ServerStatus(
        phase=_phase(server, staying, ready, outcome.wanted),
        instances=tuple(sorted(outcome.rows, key=lambda row: row.name)),
        ready_instances=ready,
        replicas=outcome.wanted,
        url=outcome.base + paths_of(server.ref)[0],
        checksum=outcome.target.checksum,
        resolved=outcome.resolved,
        rollout=outcome.change.rollout if outcome.change else None,
        revisions=outcome.change.revisions if outcome.change else (),
        restarted_at=restarted(server),
        observed_generation=server.metadata.generation,
    )
    said = sentence(status, every=server.spec.health_check.interval_seconds)
    currency = _currency(staying, outcome.target.checksum)
    claims = [_readiness(status, outcome, said), currency]
    claims += [outcome.change.claim] if outcome.change else []
    claims += _records(server.status.conditions, outcome.store_trouble)
    generation = server.metadata.generation
    conditions = settle(server.status.conditions, claims, now, generation)
    return status.model_copy(update={"message": said, "conditions": conditions})


def _phase(server: MCPServer, rows: Sequence[InstanceStatus], ready: int, wanted: int) -> Phase:
    if server.metadata.deletion_timestamp is not None:
        return "Terminating"
    if wanted == 0:
        return "Stopped"
    if ready >= wanted:
        return "Ready"
    states = {row.state for row in rows}
    unwell = any(row.state == "Ready" and standing(row) != "preferred" for row in rows)
    if best(rows) != "out" and (states & set(FAILING) or unwell):
        return "Degraded"
    return next((phase for state, phase in _PROGRESS if state in states), "Failed")


def _readiness(status: ServerStatus, outcome: Outcome, said: str) -> Claim:
    """Whether as many instances serve as are wanted."""
    holds = status.phase == "Ready"
    if holds:
        reason = "AllInstancesReady"
    elif status.phase in ("Stopped", "Terminating"):
        reason = status.phase
    elif best(status.instances) != "out":
        reason = "SomeInstancesReady"
    elif isinstance(outcome.target, Complaint):
        reason = outcome.target.reason
    else:
        reason = _shared_reason(status.instances) or "NoInstancesReady"
    return Claim("Ready", holds, reason, said)


def _shared_reason(rows: Sequence[InstanceStatus]) -> str:
    """Why none serves, where that is one reason for all of them: `CommandNotFound`."""
    staying = [row for row in rows if row.state != "Draining"]
    looping: State = "CrashLoopBackOff"
    reasons = {looping if row.state == looping else row.reason for row in staying}
    failing = all(row.state in FAILING for row in staying)
    return reasons.pop() if failing and len(reasons) == 1 else ""


def _records(before: Iterable[Condition], trouble: str) -> list[Claim]:
    """Whether sessions could be recovered; said from the first time on that they could not."""
    if trouble:
        return [Claim(STORE, False, "SessionStoreUnavailable", trouble)]
    known = any(condition.type == STORE for condition in before)
    return [Claim(STORE, True, "SessionStoreReachable")] if known else []


def _currency(rows: Sequence[InstanceStatus], checksum: str) -> Claim:
    """Whether every instance is of the workload that is wanted."""
    old = sum(outdated(row, checksum) for row in rows)
    if not old:
        return Claim("Updated", True, "AllInstancesUpdated")
    left = f"{count(old)} to be updated"
    stuck = [row for row in rows if row.state in ("ERROR", "CrashLoopBackOff")]
    if stuck:
        return Claim("Updated", False, "UpdateFailing", f"{left}; {stuck[0].message}")
    return Claim("Updated", False, "UpdateInProgress", left)
