"""A gateway that is one of several tells the daemon how it fares, and hears of the others.

Nothing of this is on the path of a request: what has changed is noticed by looking, a few
times in a second. While the daemon does not answer, what the others told last holds, and what
they are to know is kept for them.
"""

import logging
from collections.abc import Awaitable, Callable

import msgspec
from msgspec.structs import replace

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.address import Address
from mooring.core.reporting import EVERY_SECONDS, REPORTS, Report
from mooring.errors import MooringError, Unavailable
from mooring.sessions.shared_sessions import SharedSessions
from mooring.sessions.tally import Tally
from mooring.transports.http_upstream import Headers, Pool

LOOK_SECONDS = 0.25
"""Between two looks; so changes are told at most four times in a second."""
PAUSE = 1.0
"""Seconds until a daemon that did not answer is told again."""
SECONDS = 5.0
"""Until a report is given up."""
LIMIT = 16 * 1024 * 1024
"""Bytes of an answer."""
JSON = ((b"content-type", b"application/json"),)


Exchange = Callable[[Report], Awaitable[Report]]
"""Brings a report, and the answer back; raises Unavailable."""


class Reporter:
    """Tells what a gateway has to tell, by way of `exchange`."""

    def __init__(
        self, exchange: Exchange, sessions: SharedSessions, tally: Tally, clock: Clock
    ) -> None:
        self._exchange = exchange
        self._sessions = sessions
        self._tally = tally
        self._clock = clock
        self._silent = False

    async def run(self) -> None:
        """Reports every 5 s and when something has changed, until cancelled."""
        last, at = Report(), float("-inf")
        while True:
            report = self._tally.add_to(self._sessions.report())
            if report != last or self._clock.monotonic() - at >= EVERY_SECONDS:
                if not await self._arrives(report):
                    await self._clock.sleep(PAUSE)
                    continue
                last = replace(report, used=(), ended=(), recoveries=())  # these were told
                at = self._clock.monotonic()
            await self._clock.sleep(LOOK_SECONDS)

    async def _arrives(self, report: Report) -> bool:
        try:
            answer = await self._exchange(report)
        except MooringError as error:
            if not self._silent:
                telemetry.event("gateway.report_failed", logging.WARNING, error=error.message)
            self._silent = True
            return False
        self._silent = False
        self._sessions.exchanged(report, answer)
        self._tally.arrived(report)
        return True


class Post:
    """Brings reports of the gateway `name` to an API; `who` gives headers that say who it is."""

    def __init__(self, pool: Pool, address: Address, name: str, who: Callable[[], Headers]) -> None:
        self._pool = pool
        self._address = address
        self._path = REPORTS.format(gateway=name)
        self._who = who

    async def bring(self, report: Report) -> Report:
        """The answer of the API. Raises Unavailable."""
        body = msgspec.json.encode(report)
        headers = (*JSON, *self._who())
        reply = await self._pool.send(
            self._address, "POST", headers, body, path=self._path, seconds=SECONDS
        )
        answer = await reply.read(LIMIT, SECONDS)
        if reply.status != 200:
            raise Unavailable("UpstreamError", f"the API answered a report with {reply.status}")
        try:
            return msgspec.json.decode(answer, type=Report)
        except msgspec.MsgspecError as error:
            raise Unavailable("UpstreamMalformed", f"the API's answer: {error}") from None
