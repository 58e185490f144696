"""Instances that a gateway leaves alone for a while, because it cannot reach them.

Five transport failures in a row take an instance out for new work, for half a minute the first
time and longer every time after it. That is what one gateway sees; what is believed of the
instance does not change, and sessions that it holds go on asking for it. However many are out,
half of the instances, and at least one, are tried all the same. Times are of a clock that never
goes back.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

FAILURES = 5
"""In a row."""
SECONDS = 30.0
"""The first time; so much more every further time."""
LONGEST = 300.0
FORGIVEN = 600.0
"""Seconds in again, after which earlier times are forgotten."""

TRANSPORT = frozenset({"UpstreamRefused", "UpstreamReset", "UpstreamTimeout", "UpstreamMalformed"})
"""Reasons that count: the instance could not be spoken to. What it says itself never counts."""


@dataclass(slots=True)
class _Case:
    failures: int = 0
    times: int = 0
    until: float = 0.0
    away: bool = False
    """It got no new work when that was last asked, since others could take it."""


class Ejections:
    """What one gateway has found out."""

    def __init__(self) -> None:
        self.failing: dict[str, _Case] = {}
        """By uid, those that are worth a look: whoever answers and is not in it needs none."""
        self._out: dict[str, _Case] = {}

    def failed(self, uid: str, now: float) -> float:
        """Counts a transport failure; answers the seconds that it takes the instance out for."""
        case = self.failing.setdefault(uid, _Case())
        if case.until > now:
            return 0.0
        case.failures += 1
        if case.failures < FAILURES:
            return 0.0
        case.failures = 0
        case.times = 1 if now - case.until > FORGIVEN else case.times + 1
        seconds = min(SECONDS * case.times, LONGEST)
        case.until = now + seconds
        case.away = False
        self._out[uid] = case
        return seconds

    def answered(self, uid: str, now: float) -> None:
        """The instance was reached."""
        case = self.failing[uid]
        case.failures = 0
        if now - case.until > FORGIVEN:
            del self.failing[uid]

    def away(self, able: Sequence[str], now: float) -> Collection[str]:
        """Which of these instances get no new work; those that are out longest go first."""
        if not self._out:
            return ()
        for uid in [uid for uid, case in self._out.items() if case.until <= now]:
            del self._out[uid]
        out = sorted(
            (uid for uid in able if uid in self._out), key=lambda uid: (-self._out[uid].until, uid)
        )
        spare = len(able) - max(1, (len(able) + 1) // 2)
        for number, uid in enumerate(out):
            self._out[uid].away = number < spare
        return out[:spare]

    def keep_only(self, uids: Collection[str]) -> None:
        """Forgets instances that are no longer there."""
        for uid in self.failing.keys() - uids:
            del self.failing[uid]
            self._out.pop(uid, None)

    def told(self, now: float) -> dict[str, float]:
        """Those that get no new work, by uid, and for how many seconds each, all in all."""
        out = {uid: case for uid, case in self._out.items() if case.away and case.until > now}
        return {uid: min(SECONDS * out[uid].times, LONGEST) for uid in sorted(out)}
