"""Which objects are looked at next.

A ref stands in the queue at most once, and is never looked at twice at the same time: what is
asked for meanwhile is done once more afterwards. Each ref has one alarm, for when time alone
changes what is true of it. One whose pass failed is held back a little longer every time, and
whatever happens to it meanwhile waits with it.
"""

import asyncio
from datetime import datetime, timedelta

from mooring.clock import Clock
from mooring.core import backoff
from mooring.kinds.ref import Ref

LONGEST_SLEEP = 60.0
"""Seconds after which an alarm looks at the time again: the time of day may be set."""


class Queue:
    """Refs to look at, each once, some of them later."""

    def __init__(self, clock: Clock, tasks: asyncio.TaskGroup) -> None:
        self._clock = clock
        self._tasks = tasks
        self._ready: dict[Ref, None] = {}
        self._busy: set[Ref] = set()
        self._again: set[Ref] = set()
        self._failures: dict[Ref, int] = {}
        self._alarms: dict[Ref, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

    def add(self, ref: Ref) -> None:
        """Asks for a look at this object; harmless if repeated."""
        if ref in self._busy:
            self._again.add(ref)
        elif not self._held_back(ref):
            self._ready[ref] = None
            self._news.set()

    async def take(self) -> Ref:
        """The next one; it is busy until `done` or `failed`."""
        while not self._ready:
            self._news.clear()
            await self._news.wait()
        ref = next(iter(self._ready))
        del self._ready[ref]
        self._silence(ref)
        self._busy.add(ref)
        return ref

    def done(self, ref: Ref, wake_at: datetime | None = None) -> None:
        """A pass ended well; the next one is at `wake_at`, or when something happens."""
        self._busy.discard(ref)
        self._failures.pop(ref, None)
        if wake_at is not None:
            self._set_alarm(ref, wake_at)
        if ref in self._again:
            self._again.discard(ref)
            self.add(ref)

    def failed(self, ref: Ref, chance: float) -> float:
        """A pass failed; answers the seconds until the next one."""
        self._busy.discard(ref)
        self._again.discard(ref)
        failures = self._failures.get(ref, 0) + 1
        self._failures[ref] = failures
        delay = backoff.look_again(failures, chance)
        self._set_alarm(ref, self._clock.now() + timedelta(seconds=delay))
        return delay

    @property
    def idle(self) -> bool:
        """Whether nothing is to be looked at now."""
        return not self._ready and not self._busy

    def _held_back(self, ref: Ref) -> bool:
        return ref in self._failures and ref in self._alarms

    def _set_alarm(self, ref: Ref, at: datetime) -> None:
        self._silence(ref)
        self._alarms[ref] = self._tasks.create_task(self._ring(ref, at), name=f"alarm {ref}")

    def _silence(self, ref: Ref) -> None:
        alarm = self._alarms.pop(ref, None)
        if alarm is not None:
            alarm.cancel()

    async def _ring(self, ref: Ref, at: datetime) -> None:
        while (left := (at - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(min(left, LONGEST_SLEEP))
        del self._alarms[ref]  # first: it must not cancel itself, nor hold itself back
        self.add(ref)
