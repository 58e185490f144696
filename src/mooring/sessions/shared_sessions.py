"""Sessions that can also be used through other gateways.

Each session counts at the gateway where it was used last; there it becomes idle, and there it
is ended. So what is told to the others is that a session was taken up here, that it is still
in use, and that it has ended; what is heard of them is obeyed. `core/reporting` says how the
tales meet.
"""

from collections.abc import Iterable
from itertools import islice

from mooring.clock import Clock
from mooring.core.load import Joint
from mooring.core.reporting import Report, told, understood
from mooring.sessions.open_sessions import USUAL, OpenSessions, Session, Terms
from mooring.sessions.seal import Sealer

AT_ONCE = 20_000
"""Sessions of each kind in one report, which has its limit; the next one has more."""


class SharedSessions(OpenSessions):
    """The sessions of one of several gateways; `gateway` is its name among them."""

    def __init__(self, sealer: Sealer, clock: Clock, gateway: str, terms: Terms = USUAL) -> None:
        super().__init__(sealer, clock, terms)
        self.gateway = gateway
        self._joint = Joint(self.loads)
        self.everywhere = self._joint
        self._used: dict[bytes, None] = {}
        self._ended_here: dict[bytes, None] = {}
        self._swept_at = clock.monotonic()

    def __len__(self) -> int:
        """Those that count here."""
        return sum(load.sessions for load in self.loads.values())

    def report(self) -> Report:
        """What the others are to know now; of very much, the first part."""
        return Report(
            loads=told(self.loads),
            used=tuple(islice(self._used, AT_ONCE)),
            ended=tuple(islice(self._ended_here, AT_ONCE)),
        )

    def exchanged(self, report: Report, answer: Report) -> None:
        """That report has arrived, and this is what the others told."""
        _take_out(self._used, report.used)
        _take_out(self._ended_here, report.ended)
        self._joint.others = understood(answer)
        self.used_elsewhere.update(answer.used)
        self.ended_elsewhere.update(answer.ended)
        for mark in answer.used:
            if mark not in self._used:
                self._let_go(mark)
        for mark in answer.ended:
            self.end_too(mark)

    def find(self, id: str) -> Session | None:
        session = super().find(id)
        if session is not None and not session.counted:
            self._take(session)
        return session

    def end(self, session: Session) -> None:
        self._ended_here[session.key] = None
        super().end(session)

    def sweep(self) -> list[Session]:
        """As for one gateway; and tells which are in use."""
        for session in [s for s in self._open.values() if not s.counted and not s.is_busy]:
            self._drop(session)
        over = super().sweep()
        for session in self._open.values():
            if session.is_busy or session.used_at >= self._swept_at:
                self._take(session)
        self._swept_at = self._clock.monotonic()
        return over

    def _take(self, session: Session) -> None:
        """From now on it counts here, and the others hear of it."""
        self._used[session.key] = None
        if not session.counted:
            session.counted = True
            self.load(session.sealed.uid).sessions += 1

    def _let_go(self, mark: bytes) -> None:
        """Another gateway has taken it up; here it is only remembered for a while."""
        session = self.known(mark)
        if session is not None and session.counted:
            session.counted = False
            self.load(session.sealed.uid).sessions -= 1

    def _unseal(self, id: str) -> Session | None:
        session = super()._unseal(id)
        if session is not None:
            self._take(session)
        return session

    def _drop(self, session: Session) -> None:
        super()._drop(session)
        self._used.pop(session.key, None)


def _take_out(told: dict[bytes, None], marks: Iterable[bytes]) -> None:
    for mark in marks:
        told.pop(mark, None)
