"""How far a rollout has come, and since when it has come no further.

A rollout begins when another workload is wanted, and is complete once every wanted instance is of
it and serves, and none of another workload is left. One that makes no step for as long as the
server's progressDeadlineSeconds has stalled: that is told, what served before goes on serving,
and the new workload is still tried, so that it goes on by itself when what was wrong is mended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mooring.core.conditions import Claim
from mooring.core.events import Happening
from mooring.core.health import standing
from mooring.core.rollout import outdated
from mooring.core.rows import FAILING
from mooring.kinds.server import InstanceStatus, Revision, Rollout

TYPE = "Progressing"
DEADLINE = "ProgressDeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Advance:
    """A rollout after a look, what happened to it, and when it is late."""

    rollout: Rollout
    happenings: tuple[Happening, ...] = ()
    late_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A rollout as the status tells it."""

    rollout: Rollout
    revisions: tuple[Revision, ...]
    claim: Claim


@dataclass(frozen=True, slots=True)
class Course:
    """What a rollout is about."""

    checksum: str
    """Of the workload that is wanted."""
    wanted: int
    revision: int
    deadline: int
    """Seconds without a step."""
    what: str
    """What instances are replaced for: `revision 3`."""


def advance(
    before: Rollout | None, rows: Sequence[InstanceStatus], course: Course, now: datetime
) -> Advance:
    """The rollout, brought up to what is true of the instances that stay."""
    updated = sum(row.checksum == course.checksum and _serves(row) for row in rows)
    old = any(outdated(row, course.checksum) for row in rows)
    told: tuple[Happening, ...] = ()
    if before is None or before.checksum != course.checksum:
        before = Rollout(
            state="Progressing",
            checksum=course.checksum,
            replacing=old,
            began_at=now,
            stepped_at=now,
        )
        told = _begun(course) if old else ()
    if before.state == "Complete":
        return Advance(before.model_copy(update={"updated": updated}), told)
    if updated >= course.wanted and not old:
        done = before.model_copy(
            update={"state": "Complete", "updated": updated, "stepped_at": now}
        )
        return Advance(done, (*told, *(_completed(course) if before.replacing else ())))
    return _under_way(before, updated, course, now, told)


def claim(rollout: Rollout, rows: Sequence[InstanceStatus], course: Course) -> Claim:
    """Whether the rollout gets anywhere."""
    done = f"{rollout.updated} of {course.wanted} updated"
    if rollout.state == "Complete":
        return Claim(TYPE, True, "RolloutComplete", f"revision {course.revision} is rolled out")
    if rollout.state == "Progressing":
        said = f"revision {course.revision}: {done}{_why(rows, course)}"
        return Claim(TYPE, True, "RolloutInProgress", said)
    return Claim(TYPE, False, DEADLINE, f"{_late(rollout, course)}: {done}{_why(rows, course)}")


def _under_way(
    before: Rollout,
    updated: int,
    course: Course,
    now: datetime,
    told: tuple[Happening, ...],
) -> Advance:
    if updated > before.updated:
        changes = {"state": "Progressing", "stepped_at": now}
        before = before.model_copy(update=changes)
    rollout = before.model_copy(update={"updated": updated})
    late_at = rollout.stepped_at + timedelta(seconds=course.deadline)
    if now < late_at:
        return Advance(rollout.model_copy(update={"state": "Progressing"}), told, late_at)
    if rollout.state != "Stalled":
        told = (*told, Happening(DEADLINE, _late(rollout, course), warning=True))
    return Advance(rollout.model_copy(update={"state": "Stalled"}), told)


def _begun(course: Course) -> tuple[Happening, ...]:
    words = f"{course.what}: instances are replaced one by one"
    return (Happening("RolloutStarted", words),)


def _completed(course: Course) -> tuple[Happening, ...]:
    return (Happening("RolloutComplete", f"revision {course.revision} is rolled out"),)


def _late(rollout: Rollout, course: Course) -> str:
    kept = "; the instances before it go on serving" if rollout.replacing else ""
    return f"revision {course.revision} made no step within {course.deadline} s{kept}"


def _why(rows: Sequence[InstanceStatus], course: Course) -> str:
    """What is wrong with the first instance that fails."""
    new = [row for row in rows if row.checksum == course.checksum and not _serves(row)]
    failing = [row for row in new if row.state in FAILING or row.state == "Ready"]
    said = next((row.message for row in failing if row.message), "")
    return f"; {said}" if said else ""


def _serves(row: InstanceStatus) -> bool:
    return standing(row) == "preferred"
