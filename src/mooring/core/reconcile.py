"""What to do next about one server, and what is true of it.

One decision for every home: look at the object, at its instances, and at what is believed of
them; answer with actions, a status, what happened, and when to look again at the latest. The
same world gives the same decision, and a world at rest gives no action and the status that
stands already.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mooring.core.actions import Action, Start, Stop
from mooring.core.environment import Complaint
from mooring.core.events import Happening
from mooring.core.health import standing
from mooring.core.leaving import Departure, Known, ask_to_leave, leave
from mooring.core.noticing import Moment, failed, notice
from mooring.core.progress import Change, Course, advance, claim
from mooring.core.revisions import noted, settled
from mooring.core.rollout import balance
from mooring.core.rows import UPCOMING, enter, free_names, new, number
from mooring.core.summary import Outcome, summarize
from mooring.core.workload import Observed, Workload, asked, recorded, restarted
from mooring.core.world import World
from mooring.kinds.server import InstanceStatus, MCPServer, Resolved, Revision, ServerStatus

_BUSY = ("installing", "running", "stopping")
_COMING_BACK = ("Restarting", "CrashLoopBackOff", "Installing", "Starting")


@dataclass(frozen=True, slots=True)
class Decision:
    """Actions in order, the status, what happened, and when time alone changes the answer."""

    actions: tuple[Action, ...]
    status: ServerStatus
    happenings: tuple[Happening, ...]
    wake_at: datetime | None
    release: bool
    """It is being deleted and nothing of it is left: the finalizer can go."""


def decide(server: MCPServer, world: World, now: datetime, chance: float) -> Decision:
    """The next step for one server; `chance` (0 up to 1) spreads what would come at once."""
    step = _Step(server, world, Moment(now, chance))
    step.notice()
    step.depart()
    step.balance()
    step.attempt()
    return step.decision()


class _Step:
    """One decision in the making: rows by name, and what was found necessary so far."""

    def __init__(self, server: MCPServer, world: World, moment: Moment) -> None:
        self.server = server
        self.world = world
        self.moment = moment
        self.now = moment.now
        rollout = server.status.rollout
        same = rollout is not None and rollout.checksum == world.target.checksum
        self.began = rollout.began_at if rollout and same else moment.now
        self.deleted = server.metadata.deletion_timestamp is not None
        self.wanted = _wanted(server)
        self.rows = {row.name: row for row in server.status.instances}
        self.seen: dict[str, Observed] = {}
        self.actions: list[Action] = []
        self.ending: set[str] = set()
        self.happenings: list[Happening] = []
        self.wakes: list[datetime] = []
        for name, found in _by_name(world.observed).items():
            self._meet(name, found)

    def _meet(self, name: str, found: list[Observed]) -> None:
        """Takes one instance per name for a row's; the others, and strangers, have to end."""
        row = self.rows.get(name)
        uid = row.uid if row else ""
        chosen, *others = sorted(found, key=lambda o: (not _up(o), o.uid != uid, o.uid))
        self.seen[name] = chosen
        for other in others:
            self._stop(other, "another instance has its name")
        if row is None and number(self.server.ref.name, name) is None:
            self._stop(chosen, "nothing knows it")
        elif row is None and chosen.state != "stopping":
            self.rows[name] = new(name, self.now)

    def notice(self) -> None:
        """Brings every staying row up to what is seen and believed."""
        for row in self._staying():
            seen = self.seen.get(row.name)
            if seen is None and self._only_remembered(row):
                continue
            belief = self.world.beliefs.get(seen.uid) if seen else None
            noticed = notice(row, seen, belief, self.moment)
            self.rows[row.name] = noticed.row
            self.happenings += noticed.happenings
            if noticed.stop and seen is not None:
                self._stop(seen, noticed.row.reason)
        for row in self._staying():
            self._overtake(row)

    def _only_remembered(self, row: InstanceStatus) -> bool:
        """Whether a remote server is meant, which a restart of Mooring does to nothing.

        What is known of it holds; the runtime is told of it again, under the same uid.
        """
        target = self.world.target
        if isinstance(target, Complaint) or target.source.url is None:
            return False
        if row.state != "Ready" or row.checksum != target.checksum:
            return False
        self.actions.append(Start(self.server.ref, row.name, target))
        return True

    def _overtake(self, row: InstanceStatus) -> None:
        """An instance that never served is not waited for when the workload has changed."""
        if row.state not in UPCOMING or row.checksum == self.world.target.checksum:
            return
        if self._comes_back(row):
            return
        self._stop(self.seen[row.name], "the spec changed while it was starting")
        told = f"{row.name}: the spec changed while it was starting"
        self.happenings.append(Happening("Outdated", told))
        message = "it starts again with the new spec"
        self.rows[row.name] = enter(row, "Pending", self.now, address="", message=message)

    def depart(self) -> None:
        """One step for every instance that is leaving."""
        drain = self.server.spec.drain_seconds
        for row in [row for row in self.rows.values() if row.state == "Draining"]:
            seen = self.seen.get(row.name)
            known = Known(self.world.loads.get(row.uid), self.world.heard_since)
            self._departed(row, leave(row, seen, known, drain, self.now))

    def balance(self) -> None:
        """Lets instances go, and makes room for those that come."""
        checksum = self.world.target.checksum
        staying = self._staying()
        kept = {row.name for row in staying if self._comes_back(row)}
        found = balance(staying, self.wanted, checksum, exclusive=self._exclusive(), kept=kept)
        for row in found.leaving:
            why = _why(row, deleted=self.deleted, checksum=checksum)
            seen = self.seen.get(row.name)
            self._departed(row, ask_to_leave(row, seen, why, self.now))
        taken = self.rows.keys() | self.seen.keys()
        for name in free_names(self.server.ref.name, taken, found.coming):
            self.rows[name] = new(name, self.now)

    def attempt(self) -> None:
        """Starts what is down and due."""
        for row in self._staying():
            seen = self.seen.get(row.name)
            if row.state in (*UPCOMING, "Ready") or (seen and seen.state in _BUSY):
                continue
            if not self._due(row):
                self.wakes.append(row.next_retry_at or self.now)
            elif self._comes_back(row):
                self._start(row, self.world.earlier[row.checksum])
            elif isinstance(self.world.target, Complaint):
                self._complain(row, self.world.target)
            elif holder := self._holder(row.name):
                message = f"waits until {holder} has ended"
                self.rows[row.name] = enter(row, "Pending", self.now, message=message)
            else:
                self._start(row, self.world.target)

    def decision(self) -> Decision:
        """All of it together."""
        rows = tuple(self.rows.values())
        return Decision(
            actions=tuple(self.actions),
            status=summarize(self.server, self._outcome(), self.now),
            happenings=tuple(self.happenings),
            wake_at=min(self.wakes, default=None),
            release=self.deleted and not rows and not self.world.observed,
        )

    def _outcome(self) -> Outcome:
        """What it came to, with how far the rollout is now."""
        server, target = self.server, self.world.target
        revisions = noted(server, self.now)
        course = Course(
            target.checksum,
            self.wanted,
            revisions[-1].number,
            server.spec.progress_deadline_seconds,
            _changed(server, revisions),
        )
        staying = self._staying()
        found = advance(server.status.rollout, staying, course, self.now)
        self.happenings += found.happenings
        if found.late_at is not None:
            self.wakes.append(found.late_at)
        resolved = self._resolved()
        if found.rollout.state == "Complete":
            revisions = settled(revisions, restarted(server), resolved)
        return Outcome(
            rows=tuple(self.rows.values()),
            wanted=self.wanted,
            target=target,
            resolved=resolved,
            store_trouble=self.world.store_trouble,
            base=self.world.base,
            change=Change(found.rollout, revisions, claim(found.rollout, staying, course)),
        )

    def _staying(self) -> list[InstanceStatus]:
        return [self.rows[n] for n in sorted(self.rows) if self.rows[n].state != "Draining"]

    def _stop(self, seen: Observed, why: str) -> None:
        if seen.state != "stopping" and seen.uid not in self.ending:
            self.ending.add(seen.uid)
            self.actions.append(Stop(self.server.ref, seen.name, seen.uid, why))

    def _departed(self, row: InstanceStatus, departure: Departure) -> None:
        if departure.row is None:
            del self.rows[row.name]
        else:
            self.rows[row.name] = departure.row
        self.happenings += departure.happenings
        if departure.stop:
            self._stop(self.seen[row.name], row.message or "not wanted any more")
        if departure.look_at is not None:
            self.wakes.append(departure.look_at)

    def _comes_back(self, row: InstanceStatus) -> bool:
        """Whether an instance that served before the change comes back as it was.

        It does as long as no instance of the new workload serves, if it ended after the change:
        a change that is broken takes nothing down, and one that mends is not waited with.
        """
        target = self.world.target.checksum
        if row.checksum == target or row.checksum not in self.world.earlier:
            return False
        lost = row.state == "Pending" and row.reason == "Lost"
        if not (lost or row.state in _COMING_BACK) or (row.since or self.now) <= self.began:
            return False
        return not any(r.checksum == target and standing(r) != "out" for r in self.rows.values())

    def _due(self, row: InstanceStatus) -> bool:
        changed = row.checksum not in ("", self.world.target.checksum)
        changed = changed and not self._comes_back(row)
        return changed or row.next_retry_at is None or row.next_retry_at <= self.now

    def _start(self, row: InstanceStatus, target: Workload) -> None:
        self.actions.append(Start(self.server.ref, row.name, target))
        if row.state == "ERROR":
            self.happenings.append(Happening("Retry", f"{row.name}: tried again"))
        fresh = row.checksum not in ("", target.checksum)
        forgotten = {"crashes": 0, "early_crashes": 0} if fresh else {}
        crashed = row.state in ("Restarting", "CrashLoopBackOff")
        self.rows[row.name] = enter(
            row,
            "Restarting" if crashed else "Pending",
            self.now,
            checksum=target.checksum,
            message=row.message if crashed else "",
            reason=row.reason if crashed else "",
            health=row.health if crashed else "unknown",
            next_retry_at=None,
            **forgotten,
        )

    def _complain(self, row: InstanceStatus, complaint: Complaint) -> None:
        """An attempt that fails before anything is started."""
        tried = row.model_copy(
            update={
                "attempt_count": row.attempt_count + 1,
                "last_attempt_at": self.now,
                "checksum": complaint.checksum,
            }
        )
        outcome = failed(tried, complaint.reason, complaint.message, self.now)
        self.rows[row.name] = outcome.row
        self.happenings += outcome.happenings
        if outcome.row.next_retry_at is not None:
            self.wakes.append(outcome.row.next_retry_at)

    def _exclusive(self) -> bool:
        """Whether two instances cannot run side by side, because they share a port."""
        spec = self.server.spec
        fixed = spec.transport == "streamable-http" and spec.port is not None
        local = spec.source.url is None
        return fixed and local and not isinstance(self.world.target, Complaint)

    def _holder(self, name: str) -> str | None:
        """The instance that has to end before this one can start."""
        if not self._exclusive():
            return None
        return next((o for o in sorted(self.seen) if o != name and _up(self.seen[o])), None)

    def _resolved(self) -> Resolved | None:
        """What the package turned out to be: as seen, else as it was recorded."""
        checksum = self.world.target.checksum
        ours = sorted(self.world.observed, key=lambda o: (o.name, o.uid))
        found = (o.resolved for o in ours if o.resolved and o.checksum == checksum)
        before = recorded(self.server)
        mark = {"source": asked(self.server.spec.source, restarted(self.server))}
        resolved = next((seen.model_copy(update=mark) for seen in found), before)
        if resolved is not None and resolved != before:
            told = f"{resolved.package} is {resolved.version}"
            self.happenings.append(Happening("Resolved", told))
        return resolved


def _changed(server: MCPServer, revisions: tuple[Revision, ...]) -> str:
    """What it is that instances are replaced for."""
    present, before = revisions[-1], server.status.revisions
    if not before or before[-1].number != present.number:
        return f"revision {present.number}"
    if restarted(server) != server.status.restarted_at:
        return f"restart of revision {present.number}"
    return f"revision {present.number} with changed secrets or variables"


def _wanted(server: MCPServer) -> int:
    """How many instances; a remote server has one place, whatever is asked for."""
    if server.metadata.deletion_timestamp is not None:
        return 0
    replicas = server.spec.replicas
    return min(replicas, 1) if server.spec.source.url is not None else replicas


def _by_name(observed: Iterable[Observed]) -> dict[str, list[Observed]]:
    found: dict[str, list[Observed]] = {}
    for one in sorted(observed, key=lambda o: (o.name, o.uid)):
        found.setdefault(one.name, []).append(one)
    return found


def _up(seen: Observed) -> bool:
    return seen.state in _BUSY


def _why(row: InstanceStatus, *, deleted: bool, checksum: str) -> str:
    if deleted:
        return "the server is deleted"
    if row.checksum not in ("", checksum):
        return "it is replaced by a new one"
    return "fewer are wanted"
