"""Calls are kept from remote backends that do not answer, so that they fail at once.

What is believed of a backend does not change by it; that is for probes. Servers that we run are
left to them, and to a gateway's own experience with each instance.
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.breaker import FAILURES, Breaker
from mooring.core.table import Entry
from mooring.errors import MooringError
from mooring.kinds.virtual import RemoteHealth
from mooring.virtual.call import Call


class Shields:
    """Of one virtual server; `policy` is what is declared now."""

    def __init__(self, clock: Clock, policy: Callable[[], RemoteHealth]) -> None:
        self._clock = clock
        self._policy = policy
        self._breakers: dict[str, Breaker] = {}

    @contextmanager
    def around(self, call: Call, entry: Entry) -> Iterator[bool]:
        """Around a call to a backend; False: it was refused, and is not to be made."""
        if entry.ours:
            yield True
            return
        breaker = self._breakers.setdefault(entry.ref.name, Breaker())
        seconds = breaker.refuses(self._policy(), self._clock.monotonic())
        if seconds:
            words = f"backend {entry.ref.name} did not answer; it is tried again"
            call.refuse(503, "BackendLeftAlone", f"{words} in {math.ceil(seconds)} s")
            yield False
            return
        try:
            yield True
        except MooringError as error:
            self._judge(breaker, entry, error.reason)
            raise
        self.judge(call, entry)

    def is_calm(self, entry: Entry) -> bool:
        """Whether a call to a backend goes without further ado."""
        breaker = None if entry.ours else self._breakers.get(entry.ref.name)
        return breaker is None or not breaker.failures

    def judge(self, call: Call, entry: Entry) -> None:
        """What a call that was made tells of a backend."""
        if not entry.ours and call.outcome != "gone":
            breaker = self._breakers.setdefault(entry.ref.name, Breaker())
            self._judge(breaker, entry, call.reason if call.outcome == "failed" else "")

    def _judge(self, breaker: Breaker, entry: Entry, reason: str) -> None:
        if reason not in FAILURES:
            breaker.answered()
        elif breaker.failed(self._policy(), self._clock.monotonic()):
            telemetry.event(
                "virtual.backend_left_alone", logging.WARNING, backend=entry.ref, reason=reason
            )
