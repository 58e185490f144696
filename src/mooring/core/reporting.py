"""What several gateways tell each other, by way of the daemon.

A gateway reports how busy it finds each instance, and hears how busy the others do, so that
sessions spread evenly over instances whoever opens them, and a leaving instance is not ended
under anybody's session.

A session can be used through every gateway, one request here and the next there. It counts,
and is idle, where it was used last: a gateway that takes up a session says so, and whoever
held it lets go of it. A session that has ended has ended everywhere. These documents are JSON;
fields are only added, with defaults.
"""

from collections import deque
from collections.abc import Iterable
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from mooring.core.load import Load, Loads, total
from mooring.core.naming import VIEW_PATH

EVERY_SECONDS = 5.0
"""A gateway reports at least so often."""
SILENT_SECONDS = 15.0
"""A gateway that was not heard for so long is gone."""
RECOVERIES = 10_000
"""Tales of recoveries that are kept until somebody takes them."""
REPORTS = f"{VIEW_PATH}/gateways/{{gateway}}/report"
"""Where a gateway posts its reports."""


Count = Annotated[int, Meta(ge=0)]


class Recovery(Struct, frozen=True, kw_only=True):
    """Sessions of one server that lost their owner, and what became of them."""

    server: str
    """`namespace/name`."""
    lost: str
    """Uid of the owner that they had."""
    outcome: str
    """A word of a closed set: `recovered`, or why not."""
    count: Count = 1


class Report(Struct, frozen=True, kw_only=True):
    """What one gateway tells; also the answer: what all others told since it last asked."""

    loads: dict[str, tuple[Count, Count]] = {}
    """By instance uid: open sessions, and calls under way."""
    used: tuple[bytes, ...] = ()
    """Digests of sessions that were taken up, or are still in use."""
    ended: tuple[bytes, ...] = ()
    """Digests of sessions that have ended."""
    recoveries: tuple[Recovery, ...] = ()
    """Since the last report."""
    ejections: dict[str, float] = {}
    """Instances that get no new session there, by uid: for how many seconds each, all in all."""
    store: str = ""
    """Why records of sessions can be neither read nor written; empty: they can."""


def told(loads: Loads) -> dict[str, tuple[int, int]]:
    """Loads as a report has them; those that are nothing are left out."""
    return {
        uid: (load.sessions, load.calls)
        for uid, load in sorted(loads.items())
        if load.sessions > 0 or load.calls > 0
    }


def understood(report: Report) -> dict[str, Load]:
    """The loads of a report.

    >>> understood(Report(loads={"a": (2, 1)}))
    {'a': Load(sessions=2, calls=1)}
    """
    return {uid: Load(*counts) for uid, counts in report.loads.items()}


class _Heard(NamedTuple):
    """One gateway: when it reported last, up to which news it knows, and what holds there."""

    at: float
    read: int
    loads: Loads
    report: Report


class _News(NamedTuple):
    number: int
    report: Report


class Reports:
    """What was heard of all gateways. Times are of a clock that never goes back."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}
        self._news: deque[_News] = deque()
        self._number = 0
        self._recoveries: deque[Recovery] = deque(maxlen=RECOVERIES)

    def hear(self, gateway: str, report: Report, now: float) -> Report:
        """Takes a report, and answers with what the others told.

        Of two who say that they use a session, the one who says it later has it.
        """
        self._part_with_the_silent(now)
        before = self._heard.get(gateway)
        since = self._number if before is None else before.read
        news = [each.report for each in self._news if each.number > since]
        own = set(report.used)
        if report.used or report.ended:
            self._number += 1
            self._news.append(_News(self._number, report))
        self._recoveries += report.recoveries
        self._heard[gateway] = _Heard(now, self._number, understood(report), report)
        self._forget_old_news()
        others = total(heard.loads for name, heard in self._heard.items() if name != gateway)
        return Report(
            loads=told(others),
            used=_once(digest for one in news for digest in one.used if digest not in own),
            ended=_once(digest for one in news for digest in one.ended),
        )

    def latest(self, now: float) -> dict[str, Report]:
        """What every gateway that is there told last, by name."""
        self._part_with_the_silent(now)
        return {name: heard.report for name, heard in sorted(self._heard.items())}

    def take_recoveries(self) -> tuple[Recovery, ...]:
        """All that were told since this was asked last."""
        taken = tuple(self._recoveries)
        self._recoveries.clear()
        return taken

    def store_trouble(self, now: float) -> str:
        """Why gateways cannot use the store of session records; empty: they can."""
        told = [(name, report.store) for name, report in self.latest(now).items() if report.store]
        return f"gateway {told[0][0]}: {told[0][1]}" if told else ""

    def forget(self, gateway: str) -> None:
        """It is known to be gone."""
        self._heard.pop(gateway, None)
        self._forget_old_news()

    def heard_of(self, now: float) -> frozenset[str]:
        """The gateways that are there."""
        self._part_with_the_silent(now)
        return frozenset(self._heard)

    def loads(self, now: float) -> Loads:
        """How busy each instance is, over all gateways that are there."""
        self._part_with_the_silent(now)
        return total(heard.loads for heard in self._heard.values())

    def _part_with_the_silent(self, now: float) -> None:
        for gateway, heard in tuple(self._heard.items()):
            if now - heard.at >= SILENT_SECONDS:
                self.forget(gateway)

    def _forget_old_news(self) -> None:
        """What everybody has read is not kept; nobody is behind for longer than silence lasts."""
        oldest = min((heard.read for heard in self._heard.values()), default=self._number)
        while self._news and self._news[0].number <= oldest:
            self._news.popleft()


def _once(digests: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(digests))
