"""What a gateway has to tell besides its sessions: recoveries, ejections, the state of its store.

Whoever recovers, ejects, or asks the store says so here, and the gateway's reports take it from
here.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from mooring.core.reporting import Recovery, Report
from mooring.kinds.ref import Ref


class Tally:
    """Of one gateway."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        """Recoveries since the gateway began, by outcome."""
        self.ejections: Callable[[], Mapping[str, float]] = dict
        """Asks which instances (by uid) get no new session, and for how many seconds in all."""
        self.store = ""
        """Why the store of sessions cannot be used; empty: it can."""
        self._untold: Counter[tuple[str, str, str]] = Counter()

    def recovered(self, server: Ref, lost: str, outcome: str) -> None:
        """A session whose owner (its uid) was lost has been recovered, or not."""
        self.outcomes[outcome] += 1
        self._untold[f"{server.namespace}/{server.name}", lost, outcome] += 1

    def add_to(self, report: Report) -> Report:
        """A report with all of this in it."""
        untold = sorted(self._untold.items())
        return replace(
            report,
            recoveries=tuple(
                Recovery(server=server, lost=lost, outcome=outcome, count=count)
                for (server, lost, outcome), count in untold
            ),
            ejections={uid: round(each) for uid, each in sorted(self.ejections().items())},
            store=self.store,
        )

    def arrived(self, report: Report) -> None:
        """That report has been heard."""
        for each in report.recoveries:
            self._untold[each.server, each.lost, each.outcome] -= each.count
        self._untold = +self._untold
