"""What every backend offers, asked once for all and kept until it changes.

For each backend (and era, and caller whose credentials it is given) there is one watch: it asks,
listens for changes, and asks again. So a list costs a client's request nothing, many sessions at
once cost a backend one question, and a backend that hangs keeps nobody waiting for longer than
they will.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.aggregate_items import Catalog, catalog
from mooring.core.era import Era
from mooring.core.headers import Headers
from mooring.core.table import Entry
from mooring.errors import Denied, MooringError, NotFound, Unavailable
from mooring.kinds.ref import Ref
from mooring.virtual.errands import Errands
from mooring.virtual.exploring import Conversation, Converse, Offer

DEADLINE: Final = 10.0
"""Seconds for a backend to say all that it offers."""
COALESCE: Final = 0.2
"""Seconds in which several changes count as one."""
POLL: Final = 60.0
"""Seconds after which a backend that does not say when it changes is asked again."""
LONG_POLL: Final = 600.0
"""The same for one that does."""
PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
FAREWELL: Final = 2.0
"""Seconds in which all sessions of ours are ended when the gateway ends."""
UNUSED: Final = 900.0
"""Seconds after which what a caller's credentials showed is forgotten."""


class Key(NamedTuple):
    """What is watched."""

    server: Ref
    era: Era
    more: Headers = ()
    """What the backend is told of a caller."""


class Watch:
    """Of one backend."""

    def __init__(self, key: Key, entry: Entry) -> None:
        self.key = key
        self.entry = entry
        self.offer: Offer | None = None
        self.catalog: Catalog | None = None
        """None while nothing is known."""
        self.problem = "it has not answered yet"
        """Why nothing is known, or why what is known may be old."""
        self.settled = asyncio.Event()
        """Set once it has answered, or failed to."""
        self.awake = asyncio.Event()
        """Set when there is a reason to look at it again."""
        self.dirty = False
        """Something may have changed."""
        self.said: set[str] = set()
        """Lists of which it said that they have changed."""
        self.lost = False
        """Its instance knows our session no more."""
        self.hears = False
        """It says when something changes."""
        self.denied = False
        """It answers only callers that it knows, and we are none."""
        self.task: asyncio.Task[None] | None = None
        self.used_at = 0.0
        self.talk: Conversation | None = None
        """What goes on with an instance of it."""
        self.refused_by: frozenset[str] = frozenset()
        """Its instances, when one of them refused to speak of this era."""

    @property
    def problem_of_entry(self) -> str:
        """Why there is nobody to ask in this era; empty where there is."""
        if self.entry.eras not in ("auto", self.key.era):
            return f"it is declared to speak the {self.entry.eras} era only"
        return "" if self.entry.standing else self.entry.sentence

    @property
    def instances(self) -> frozenset[str]:
        """Uids of those that can be asked."""
        return frozenset(upstream.uid for upstream in self.entry.standing)

    def refuses(self, error: MooringError) -> bool:
        """Whether it has just said that it does not speak of this era."""
        began = self.talk is not None and bool(self.talk.uid)
        return self.key.era == "stateless" and error.reason == "UpstreamError" and not began

    def note(self, *, dirty: bool = False, lost: bool = False) -> None:
        """There is a reason to look at it again."""
        self.dirty = self.dirty or dirty
        self.lost = self.lost or lost
        self.awake.set()


class Catalogs:
    """All watches of a gateway."""

    def __init__(
        self,
        errands: Errands,
        converse: Converse,
        clock: Clock,
        changed: Callable[[Ref, Iterable[str]], None],
    ) -> None:
        """`changed` is told of a backend whose catalog is another one now, or that says so, of
        which lists."""
        self._errands = errands
        self._converse = converse
        self._clock = clock
        self._changed = changed
        self._watches: dict[Key, Watch] = {}

    def watch(self, entry: Entry, era: Era, more: Headers = ()) -> Watch:
        """The watch of a backend, begun where there is none; `more`: what it is told."""
        key = Key(entry.ref, era, more)
        found = self._watches.get(key)
        if found is None:
            found = self._watches[key] = Watch(key, entry)
        if found.task is None:
            found.task = self._errands.start(self._keep(found))
        found.used_at = self._clock.monotonic()
        return found

    def swap(self, entries: Mapping[Ref, Entry]) -> None:
        """From now on backends are these; watches of others end."""
        for key, watch in list(self._watches.items()):
            entry = entries.get(key.server)
            if entry is None:
                self._forget(watch)
            elif entry is not watch.entry:
                shut, watch.entry = watch.problem_of_entry, entry
                if shut and not watch.problem_of_entry and watch.catalog is None:
                    watch.settled.clear()  # it can be asked now, and is worth waiting for
                watch.note()

    def sweep(self) -> None:
        """Forgets what callers' credentials showed who are not heard of any more."""
        since = self._clock.monotonic() - UNUSED
        for key, watch in list(self._watches.items()):
            if key.more and watch.used_at < since:
                self._forget(watch)

    def again(self, server: Ref) -> None:
        """Asks a backend again: a client has heard that it has changed."""
        for key, watch in self._watches.items():
            if key.server == server:
                watch.note(dirty=True)

    async def farewell(self) -> None:
        """Leaves no session behind at any backend."""
        talks = [watch.talk for watch in self._watches.values() if watch.talk is not None]
        try:
            async with asyncio.timeout(FAREWELL), asyncio.TaskGroup() as tasks:
                for talk in talks:
                    tasks.create_task(talk.end())
        except TimeoutError:
            return

    def _forget(self, watch: Watch) -> None:
        del self._watches[watch.key]
        if watch.task is not None:
            watch.task.cancel()
        watch.settled.set()

    async def _keep(self, watch: Watch) -> None:
        """Asks and asks again, for as long as the backend is in the table."""
        failures = 0
        while True:
            if watch.problem_of_entry or watch.refused_by == watch.instances:
                watch.problem = watch.problem_of_entry or watch.problem
                watch.settled.set()
                watch.awake.clear()
                if not await _within(watch.awake, LONG_POLL):
                    watch.refused_by = frozenset()  # another one may be behind the same address
                continue
            try:
                await self._converse_with(watch)
                failures = 0
            except MooringError as error:
                failures = 0 if watch.problem == "" else failures + 1
                if watch.refuses(error):
                    watch.refused_by = watch.instances
                self._failed(watch, error)
            except Exception as error:  # noqa: BLE001 - the top of a loop
                telemetry.event("virtual.watch_failed", logging.ERROR, error=repr(error))
                failures += 1
                self._failed(watch, Unavailable("InternalError", "see the log of Mooring"))
            watch.awake.clear()
            pause = min(PAUSE * 2 ** min(failures, 8), LONGEST_PAUSE)
            await _within(watch.awake, pause)

    async def _converse_with(self, watch: Watch) -> None:
        """One conversation, until its instance is no longer there to be asked."""
        talk = watch.talk = self._converse(watch.entry, watch.key.era, watch.key.more)
        hearing: asyncio.Task[None] | None = None
        watch.lost = watch.dirty = watch.hears = False
        try:
            await self._refresh(watch, talk, begin=True)
            hearing = self._errands.start(self._hear(watch, talk))
            while not watch.lost:
                if await self._due(watch):
                    await self._refresh(watch, talk)
                if talk.uid not in watch.instances:
                    return
        finally:
            if hearing is not None:
                hearing.cancel()
            self._errands.start(talk.end())

    async def _due(self, watch: Watch) -> bool:
        """Waits for a reason to look, and says whether to ask again."""
        woken = await _within(watch.awake, LONG_POLL if watch.hears else POLL)
        watch.awake.clear()
        if watch.lost:
            return False
        if watch.dirty:
            await self._clock.sleep(COALESCE)
            watch.dirty = False
            return True
        return not woken

    async def _refresh(self, watch: Watch, talk: Conversation, *, begin: bool = False) -> None:
        said, watch.said = watch.said, set()
        try:
            async with asyncio.timeout(DEADLINE):
                if begin:
                    await talk.begin()
                offer = await talk.offer()
        except TimeoutError:
            raise Unavailable("UpstreamTimeout", f"timed out after {DEADLINE:g} s") from None
        self._learned(watch, offer, said)

    def _learned(self, watch: Watch, offer: Offer, said: Iterable[str]) -> None:
        found = catalog(watch.key.server.name, offer.lists)
        before = watch.catalog, watch.offer and (watch.offer.capabilities, watch.offer.instructions)
        watch.catalog, watch.offer, watch.problem, watch.denied = found, offer, "", False
        watch.settled.set()
        if before[0] == found and said:
            self._changed(watch.key.server, said)
        elif before != (found, (offer.capabilities, offer.instructions)):
            self._changed(watch.key.server, ())

    def _failed(self, watch: Watch, error: MooringError) -> None:
        """What is known stays, unless the backend turns us away."""
        before = watch.problem
        watch.problem = error.message
        watch.denied = isinstance(error, Denied)
        if watch.denied:
            watch.catalog = watch.offer = None
        watch.settled.set()
        if before != error.message and watch.catalog is None:
            self._changed(watch.key.server, ())

    async def _hear(self, watch: Watch, talk: Conversation) -> None:
        """Listens for changes, again and again, unless the backend has no stream for them."""
        began = False
        while True:
            try:
                if began:
                    watch.note(dirty=True)  # it may have changed meanwhile
                async for kind in talk.changes():
                    watch.hears = True
                    watch.said.add(kind)
                    watch.note(dirty=True)
                began = True
            except NotFound:
                watch.note(lost=True)
                return
            except Unavailable as error:
                if error.reason == "UpstreamError":
                    return
                began = True
            await self._clock.sleep(PAUSE)


async def settled(watches: Iterable[Watch], seconds: float) -> None:
    """Returns when all have answered or failed, or after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            for watch in watches:
                await watch.settled.wait()
    except TimeoutError:
        return


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it was set in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
