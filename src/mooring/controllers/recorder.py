"""Events: what happened, written down for people.

Whoever records something never waits for it to be written. What had not happened before is
written at once; repeats are counted, and the count is written every five minutes at most. Of
each object so many events are kept (`core/events.surplus`), and none for longer than a day.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mooring import telemetry
from mooring.clock import Clock
from mooring.core import events
from mooring.core.events import Happening
from mooring.core.ports import ObjectStore
from mooring.errors import Conflict, MooringError, NotFound
from mooring.kinds.base import Object
from mooring.kinds.event import Event
from mooring.kinds.ref import Ref

SWEEP = 60.0
"""Seconds between looks for counts to write, and for events to drop."""
WRITES_HELD = 10_000
"""Events that wait to be written while the store is away; beyond it, new ones are not kept."""


@dataclass(slots=True)
class _Known:
    """An Event as it should be, and what is known of the stored one."""

    event: Event
    written_at: datetime | None = None
    written_count: int = 0

    @property
    def due(self) -> bool:
        return self.written_count < self.event.count

    def quiet(self, now: datetime) -> bool:
        """Whether it was written a moment ago, and its new count can wait."""
        return self.written_at is not None and now - self.written_at < events.QUIET


class Recorder:
    """Writes Events through the store."""

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[Ref, _Known] = {}
        self._of: dict[str, dict[Ref, _Known]] = {}
        self._waiting: dict[Ref, None] = {}
        self._news = asyncio.Event()

    def record(self, about: Object, happenings: Iterable[Happening]) -> None:
        """Notes what happened to an object; returns at once."""
        for happening in happenings:
            self._note(about, happening)

    async def run(self) -> None:
        """Writes, for ever; what is not written when it is cancelled is written then."""
        await self._recall()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write_news(), name="events")
                tasks.create_task(self._sweep(), name="events sweep")
        finally:
            await self.flush()

    async def flush(self, seconds: float = 2.0) -> None:
        """Writes everything that is not written yet, as far as that goes in so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                for ref in [ref for ref, known in self._known.items() if known.due]:
                    await self._write(ref)
        except (TimeoutError, MooringError) as error:
            telemetry.event("events.lost", logging.WARNING, error=repr(error))

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written now."""
        return not self._waiting

    def _note(self, about: Object, happening: Happening) -> None:
        now = self._clock.now()
        ref = Ref("Event", about.metadata.namespace, events.name(about, happening))
        known = self._known.get(ref)
        if known is not None:
            known.event = events.again(known.event, now)
        elif len(self._waiting) < WRITES_HELD:
            known = self._know(_Known(events.first(about, happening, now)))
        if known is not None and not known.quiet(now):
            self._waiting[ref] = None
            self._news.set()

    async def _recall(self) -> None:
        """Takes over the Events that are stored, so that repeats go on counting."""
        while True:
            try:
                listing = await self._store.list("Event")
                break
            except MooringError as error:
                telemetry.event("events.unread", logging.WARNING, error=error.message)
                await self._clock.sleep(1.0)
        for stored in listing.items:
            if isinstance(stored, Event) and stored.source.component == "mooring":
                self._adopt(stored)

    def _adopt(self, stored: Event) -> None:
        noted = self._known.get(stored.ref)
        count, at = stored.count, stored.last_timestamp
        if noted is None:
            self._know(_Known(stored, at, count))
            return
        more = {"count": count + noted.event.count, "last_timestamp": noted.event.last_timestamp}
        self._know(_Known(stored.model_copy(update=more), None, count))

    def _know(self, known: _Known) -> _Known:
        self._known[known.event.ref] = known
        self._of.setdefault(known.event.involved_object.uid, {})[known.event.ref] = known
        return known

    async def _write_news(self) -> None:
        while True:
            while not self._waiting:
                self._news.clear()
                await self._news.wait()
            ref = next(iter(self._waiting))
            try:
                await self._write(ref)
                self._waiting.pop(ref, None)
            except MooringError as error:
                telemetry.event("events.unwritten", logging.WARNING, error=error.message)
                await self._clock.sleep(1.0)

    async def _write(self, ref: Ref) -> None:
        """Brings the stored Event up to what is known; somebody may have changed or removed it."""
        known = self._known.get(ref)
        if known is None or not known.due:
            return
        wanted = known.event
        stored = await self._put(wanted)
        known.written_at, known.written_count = self._clock.now(), wanted.count
        known.event = known.event.model_copy(update={"metadata": stored.metadata})
        await self._drop_surplus(stored.involved_object.uid)

    async def _put(self, wanted: Event) -> Event:
        try:
            return await self._store.put(wanted)
        except (Conflict, NotFound):
            there = await self._store.get(wanted.ref)
            version = there.metadata.resource_version if there else ""
            meta = (there or wanted).metadata.model_copy(update={"resource_version": version})
            return await self._store.put(wanted.model_copy(update={"metadata": meta}))

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(SWEEP)
            now = self._clock.now()
            for ref, known in self._known.items():
                if known.due and not known.quiet(now):
                    self._waiting[ref] = None
            if self._waiting:
                self._news.set()
            try:
                for uid in list(self._of):
                    await self._drop_surplus(uid)
                kept = [each.event for each in self._known.values()]
                for event in events.beyond(kept, now):
                    await self._drop(event)
            except MooringError as error:
                telemetry.event("events.undropped", logging.WARNING, error=error.message)

    async def _drop_surplus(self, uid: str) -> None:
        """Drops what is too much or too old of one object."""
        events_of = [known.event for known in self._of.get(uid, {}).values()]
        for event in events.surplus(events_of, self._clock.now()):
            await self._drop(event)

    async def _drop(self, event: Event) -> None:
        """Forgets an Event, in the store too."""
        uid = event.involved_object.uid
        self._known.pop(event.ref, None)
        self._waiting.pop(event.ref, None)
        self._of.get(uid, {}).pop(event.ref, None)
        if not self._of.get(uid):
            self._of.pop(uid, None)
        try:
            await self._store.delete(event.ref)
        except NotFound:
            return
