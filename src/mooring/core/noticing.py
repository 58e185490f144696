"""What a look at an instance does to its row.

Pure bookkeeping of facts: an instance appeared under a new uid, is being installed, answered,
failed, exited or is gone. Nothing is started here.

An attempt lasts until the handshake or, where the health check names a tool, until that tool
succeeds. What fails before is an attempt that failed, and is tried again after half a minute;
what exits after it is a crash, and is restarted at once.
An instance that is simply gone (the machine was restarted, the keeper was stopped) is neither:
it is started again as if nothing had been.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mooring.core import backoff
from mooring.core.events import Happening
from mooring.core.printable import printable
from mooring.core.rows import LIVE, UPCOMING, WAITING, enter
from mooring.core.sentence import ending
from mooring.core.workload import Ended, Observed
from mooring.core.world import Belief
from mooring.kinds.server import Health, InstanceStatus

STEADY = timedelta(minutes=10)
"""So long ready, and earlier crashes are forgotten."""
EARLY = timedelta(minutes=1)
LOOPING = 3
"""Early crashes that make a loop."""
LOST = timedelta(seconds=5)
"""An instance that keeps getting lost is started no more often than this."""

_TOLD: Mapping[Health, tuple[str, str, bool]] = {
    "healthy": ("Healthy", "healthy again", False),
    "degraded": ("Degraded", "degraded", True),
    "unhealthy": ("Unhealthy", "unhealthy", True),
    "unauthenticated": ("Unauthenticated", "requires authentication", False),
}
"""What is told of a belief: reason, words, and whether it is a warning."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a decision is made, and the chance that it is given (0 up to 1)."""

    now: datetime
    chance: float


@dataclass(frozen=True, slots=True)
class Noticed:
    """A row after a look, what happened to it, and whether its instance has to end."""

    row: InstanceStatus
    happenings: tuple[Happening, ...] = ()
    stop: bool = False


def notice(
    row: InstanceStatus, seen: Observed | None, belief: Belief | None, moment: Moment
) -> Noticed:
    """The row, brought up to what is seen of its instance and believed of it."""
    if seen is None:
        return _lost(row, moment.now)
    if seen.state == "stopping":
        return _stopping(row, belief, moment)
    fresh = _is_attempt(row, seen)
    if fresh:
        row = _adopted(row, seen, moment.now)
    if seen.state == "installing":
        return _installing(row, seen, fresh, moment.now)
    if seen.state == "running":
        return _running(row, seen, belief, moment, fresh)
    return _ended(row, seen, moment)


def failed(row: InstanceStatus, reason: str, message: str, now: datetime) -> Noticed:
    """An attempt, counted already, that failed: the row waits for the next one."""
    text = printable(message)
    waiting = enter(
        row,
        "ERROR",
        now,
        health="unhealthy",
        reason=reason,
        message=text,
        address="",
        next_retry_at=now + timedelta(seconds=backoff.retry(row.attempt_count)),
    )
    return Noticed(waiting, (Happening(reason, f"{row.name}: {text}", warning=True),))


def _is_attempt(row: InstanceStatus, seen: Observed) -> bool:
    """Whether this instance was started since the row was last looked at.

    Remote servers have the same uid at every start.
    """
    began = row.state in WAITING and seen.state in ("installing", "running")
    return began or seen.uid != row.uid


def _adopted(row: InstanceStatus, seen: Observed, now: datetime) -> InstanceStatus:
    """The row, for an instance of this name that was not seen before."""
    again = row.state in ("Ready", "Restarting", "CrashLoopBackOff")
    return row.model_copy(
        update={
            "uid": seen.uid,
            "checksum": seen.checksum,
            "address": "",
            "era": "",
            "state": "Starting",
            "since": now,
            "health": "unknown",
            "health_since": now,
            "failed_probes": 0,
            "safe_tools": (),
            "reason": "",
            "message": "",
            "restarts": row.restarts + again,
            "attempt_count": row.attempt_count + 1,
            "last_attempt_at": seen.started_at or now,
            "next_retry_at": None,
        }
    )


def _lost(row: InstanceStatus, now: datetime) -> Noticed:
    if row.state not in LIVE:
        return Noticed(row)
    earliest = (row.last_attempt_at or now) + LOST
    waiting = enter(
        row,
        "Pending",
        now,
        health="unknown",
        reason="Lost",
        message="it was gone, and is started again",
        next_retry_at=earliest if earliest > now else None,
    )
    return Noticed(waiting, (Happening("Lost", f"{row.name}: {waiting.message}"),))


def _stopping(row: InstanceStatus, belief: Belief | None, moment: Moment) -> Noticed:
    if row.state not in LIVE:
        return Noticed(row)
    if belief is not None and belief.settled and not belief.shaken:
        return failed(row, _failure(belief), belief.message, moment.now)
    message = "its predecessor is ending"
    return Noticed(enter(row, "Pending", moment.now, address="", health="unknown", message=message))


def _installing(row: InstanceStatus, seen: Observed, fresh: bool, now: datetime) -> Noticed:
    begins = fresh or row.state != "Installing"
    found = enter(row, "Installing", now, message=printable(seen.message))
    return Noticed(found, (Happening("Installing", f"{row.name}: installing"),) if begins else ())


def _running(
    row: InstanceStatus, seen: Observed, belief: Belief | None, moment: Moment, fresh: bool
) -> Noticed:
    if row.state == "ERROR":
        return Noticed(row, stop=True)
    if belief is None and row.state == "Ready":
        return Noticed(row.model_copy(update={"address": seen.address}))
    if belief is None or not belief.settled:
        return _starting(row, seen, belief, moment.now, fresh)
    if belief.shaken:
        return _ready(row, seen, belief, moment.now)
    tried = row.model_copy(update={"failed_probes": belief.failures})
    outcome = failed(tried, _failure(belief), belief.message, moment.now)
    return Noticed(outcome.row, outcome.happenings, stop=True)


def _failure(belief: Belief) -> str:
    """Why an instance that was never ready has failed."""
    return "ProbeFailed" if belief.failures else "HandshakeFailed"


def _starting(
    row: InstanceStatus, seen: Observed, belief: Belief | None, now: datetime, fresh: bool
) -> Noticed:
    begins = fresh or row.state != "Starting"
    found = enter(row, "Starting", now, address=seen.address)
    if belief is not None:
        found = _believed(found, belief, now)
    elif begins:
        found = found.model_copy(update={"message": ""})
    told = [Happening("Starting", f"{row.name}: starting")] if begins else []
    return Noticed(found, (*told, *_changed(row, found)))


def _ready(row: InstanceStatus, seen: Observed, belief: Belief, now: datetime) -> Noticed:
    begins = row.state != "Ready"
    found = _believed(enter(row, "Ready", now, address=seen.address), belief, now)
    found = found.model_copy(update={"reason": "", "attempt_count": 0, "next_retry_at": None})
    if begins:
        return Noticed(found, (Happening("Ready", f"{row.name}: ready"),))
    return Noticed(found, _changed(row, found))


def _believed(row: InstanceStatus, belief: Belief, now: datetime) -> InstanceStatus:
    """The row with what is believed of its instance."""
    return enter(
        row,
        row.state,
        now,
        health=belief.health,
        era=belief.era or row.era,
        message=printable(belief.message),
        failed_probes=belief.failures,
        safe_tools=belief.safe_tools,
    )


def _changed(before: InstanceStatus, after: InstanceStatus) -> tuple[Happening, ...]:
    """What is to be told of a belief, where it or its reason has changed."""
    if (before.health, before.message) == (after.health, after.message):
        return ()
    if after.health not in _TOLD:
        return ()
    reason, words, warning = _TOLD[after.health]
    why = f": {after.message}" if after.message else ""
    return (Happening(reason, f"{after.name}: {words}{why}", warning),)


def _ended(row: InstanceStatus, seen: Observed, moment: Moment) -> Noticed:
    """What ended is noticed once: the row leaves the live states with it."""
    if row.state == "Ready":
        return _crashed(row, seen.ended, moment)
    if row.state not in UPCOMING:
        return Noticed(row)
    if seen.state == "failed":
        said = _lasting(seen.message) if seen.permanent else seen.message
        return failed(row, seen.reason or "CannotStart", said, moment.now)
    message = f"it ended before it was ready: {ending(seen.ended)}"
    return failed(row, "Exited", message, moment.now)


def _crashed(row: InstanceStatus, ended: Ended | None, moment: Moment) -> Noticed:
    at = ended.at if ended else moment.now
    steady = row.since is not None and at - row.since >= STEADY
    early = row.last_attempt_at is not None and at - row.last_attempt_at < EARLY
    crashes = 1 if steady else row.crashes + 1
    early_crashes = (0 if steady else row.early_crashes) + early
    loops = early and early_crashes >= LOOPING
    delay = backoff.restart(crashes, moment.chance)
    text = ending(ended)
    waiting = enter(
        row,
        "CrashLoopBackOff" if loops else "Restarting",
        moment.now,
        health="unhealthy",
        reason="Exited",
        message=text,
        address="",
        crashes=crashes,
        early_crashes=early_crashes,
        next_retry_at=moment.now + timedelta(seconds=delay) if delay else None,
    )
    happenings = [Happening("Exited", f"{row.name}: {text}", warning=True)]
    if loops:
        words = f"{row.name}: it keeps ending soon after its start, and is held back"
        happenings.append(Happening("CrashLoopBackOff", words, warning=True))
    return Noticed(waiting, tuple(happenings))


def _lasting(message: str) -> str:
    """What went wrong, for somebody who would wait for the next attempt.

    >>> _lasting("command not found: tiem. Fix: install it")
    'command not found: tiem (no retry mends it). Fix: install it'
    """
    wrong, fix, remedy = message.partition(". Fix: ")
    return f"{wrong} (no retry mends it){fix}{remedy}"
