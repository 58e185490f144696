"""What gateways report of servers, made known where people look: as events of the servers.

And when a gateway loses the store of session records, or has it again, every server is looked
at, because its status says so.
"""

from collections.abc import Callable, Iterator, Mapping

from mooring.clock import Clock
from mooring.controllers.recorder import Recorder
from mooring.core.events import Happening
from mooring.core.reporting import Recovery, Report, Reports
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer

LOOK_SECONDS = 0.5
COUNTED = 1000
"""So many recoveries of one report are counted in an event."""

Servers = Callable[[], Mapping[Ref, MCPServer]]


class GatewayNews:
    """Listens to the reports, for ever."""

    def __init__(
        self,
        reports: Reports,
        servers: Servers,
        recorder: Recorder,
        clock: Clock,
        look: Callable[[Ref], None],
    ) -> None:
        """`look` has a server looked at."""
        self._reports = reports
        self._servers = servers
        self._recorder = recorder
        self._clock = clock
        self._look = look
        self._ejected: set[tuple[str, str]] = set()
        self._trouble = ""

    async def run(self) -> None:
        """Looks a few times in a second, until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Makes known what is new."""
        now = self._clock.monotonic()
        servers = self._servers()
        for recovery in self._reports.take_recoveries():
            namespace, _, name = recovery.server.partition("/")
            server = servers.get(Ref("MCPServer", namespace, name))
            if server is not None:
                told = happening(recovery)
                self._recorder.record(server, [told] * min(recovery.count, COUNTED) if told else ())
        for gateway, uid in self._newly_ejected(self._reports.latest(now)):
            self._tell_ejection(servers, gateway, uid)
        trouble = self._reports.store_trouble(now)
        if trouble != self._trouble:
            self._trouble = trouble
            for ref in servers:
                self._look(ref)

    def _newly_ejected(self, latest: Mapping[str, Report]) -> Iterator[tuple[str, str]]:
        present = {(name, uid) for name, report in latest.items() for uid in report.ejections}
        before, self._ejected = self._ejected, present
        yield from sorted(present - before)

    def _tell_ejection(self, servers: Mapping[Ref, MCPServer], gateway: str, uid: str) -> None:
        for server in servers.values():
            for row in server.status.instances:
                if row.uid == uid:
                    words = f"{row.name}: no new sessions from gateway {gateway} for a while: "
                    words += "connections to it fail one after the other"
                    self._recorder.record(server, [Happening("Ejected", words, warning=True)])


def happening(recovery: Recovery) -> Happening | None:
    """What a recovery is to those who read events; None where it is nothing to them."""
    match recovery.outcome:
        case "recovered":
            words = "sessions whose instance was lost go on at another one, without what it knew"
            return Happening("SessionsRecovered", words)
        case "lost":
            words = "sessions have ended with their instance: nobody else could go on with them"
            return Happening("SessionsLost", words, warning=True)
        case "failed":
            words = "sessions whose instance was lost have no other one yet; they are tried again"
            return Happening("SessionsNotRecovered", words, warning=True)
    return None
