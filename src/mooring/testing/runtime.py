"""A runtime in which instances run because a test says so.

Passes the contract of `mooring.core.ports.Runtime`. Left alone, an instance is running as soon
as it was started and gone as soon as it was stopped. A test can have starts fail, installs
wait, endings take their time, and can end or lose a running instance.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

from mooring.clock import Clock
from mooring.core.actions import Action, Start, Stop
from mooring.core.workload import Ended, Observed, Workload
from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.kinds.server import Resolved
from mooring.runtimes.feed import Feed

_UP = ("installing", "running", "stopping")


@dataclass(slots=True)
class Behaviour:
    """What becomes of the instances of a server."""

    installs: bool = False
    """A start waits for `FakeRuntime.installed`."""
    lingers: bool = False
    """A stop waits for `FakeRuntime.ended`."""
    failure: str = ""
    """Every start fails with these words."""
    reason: str = "CannotStart"
    permanent: bool = False
    resolved: Resolved | None = None
    breaks: Callable[[Workload], str] = field(default=lambda workload: "")
    """Says why a start from this workload fails; nothing where it does not."""


class FakeRuntime:
    """Instances that are nothing but what is said of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._instances: dict[tuple[Ref, str], Observed] = {}
        self._behaviours: dict[Ref, Behaviour] = {}
        self._feed = Feed()
        self._starts = 0
        self.performed: list[Action] = []
        """Every action, in order."""
        self.started: dict[str, Workload] = {}
        """What each instance was started from, by uid."""
        self.away = False
        """It cannot be reached."""

    async def observe(self, ref: Ref) -> tuple[Observed, ...]:
        self._check()
        found = (one for (owner, _), one in self._instances.items() if owner == ref)
        return tuple(sorted(found, key=lambda one: one.name))

    async def owners(self) -> tuple[Ref, ...]:
        self._check()
        return tuple(sorted({owner for owner, _ in self._instances}))

    async def perform(self, action: Action) -> None:
        self._check()
        self.performed.append(action)
        match action:
            case Start(ref, name, workload):
                self._start(ref, name, workload)
            case Stop(ref, name, uid, _):
                self._stop(ref, name, uid)

    def changes(self) -> AsyncIterator[Ref]:
        return self._feed.changes()

    def tell(self, ref: Ref) -> None:
        """Says that something changed about a server."""
        self._feed.tell(ref)

    def behaviour(self, ref: Ref) -> Behaviour:
        """What becomes of this server's instances from now on; the test changes it."""
        return self._behaviours.setdefault(ref, Behaviour())

    def installed(self, ref: Ref, name: str) -> None:
        """The installation of an instance is done; it runs."""
        self._set(ref, self._running(ref, self._instances[ref, name]))

    def progress(self, ref: Ref, name: str, message: str) -> None:
        """An installation has something to say."""
        self._set(ref, replace(self._instances[ref, name], message=message))

    def exit(self, ref: Ref, name: str, code: int = 1, last_line: str = "") -> None:
        """A running instance ends by itself."""
        ended = Ended(self._clock.now(), code=code, last_line=last_line)
        found = self._instances[ref, name]
        self._set(ref, replace(found, state="exited", ended=ended, address=""))

    def ended(self, ref: Ref, name: str) -> None:
        """An instance is gone: it has stopped at last, or was lost."""
        self._instances.pop((ref, name), None)
        self.tell(ref)

    def _start(self, ref: Ref, name: str, workload: Workload) -> None:
        before = self._instances.get((ref, name))
        if before is not None and before.state in _UP:
            return
        self._starts += 1
        uid = f"{name}-uid{self._starts}"
        self.started[uid] = workload
        behaviour = self.behaviour(ref)
        fresh = Observed(name, uid, workload.checksum, "installing", started_at=self._clock.now())
        if failure := behaviour.failure or behaviour.breaks(workload):
            why = replace(fresh, state="failed", message=failure)
            self._set(ref, replace(why, reason=behaviour.reason, permanent=behaviour.permanent))
        elif behaviour.installs:
            self._set(ref, fresh)
        else:
            self._set(ref, self._running(ref, fresh))

    def _running(self, ref: Ref, fresh: Observed) -> Observed:
        address = f"http://{fresh.uid}.test/mcp"
        resolved = self.behaviour(ref).resolved
        return replace(fresh, state="running", message="", address=address, resolved=resolved)

    def _stop(self, ref: Ref, name: str, uid: str) -> None:
        found = self._instances.get((ref, name))
        if found is None or found.uid != uid:
            return
        if self.behaviour(ref).lingers and found.state in _UP:
            self._set(ref, replace(found, state="stopping", address=""))
        else:
            self.ended(ref, name)

    def _set(self, ref: Ref, observed: Observed) -> None:
        self._instances[ref, observed.name] = observed
        self.tell(ref)

    def _check(self) -> None:
        if self.away:
            raise Unavailable("KeeperGone", "the fake runtime is away")
