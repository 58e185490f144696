"""A session goes on after its owner is lost: one recovery at a time for each.

However many requests of a session find it lost, one of them leads and the others wait. The
record is read again first, since another gateway may have done it already; else another
instance takes the session (`reopening`), and the record is replaced by comparing its revision:
who loses that race follows the winner and ends its own spare. A leader that leaves does not
stop it, because the recovery has a task of its own; a leader that is asked for its credentials
gets that answer, and the next one leads.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from math import ceil
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.headers import Headers
from mooring.core.ids import same
from mooring.core.recovery import notices, pause
from mooring.core.session_record import SessionRecord
from mooring.core.table import Upstream
from mooring.errors import MooringError
from mooring.sessions.asking import Heard
from mooring.sessions.books import TRIES, Books, Ended, Page
from mooring.sessions.courier import EntryOf
from mooring.sessions.open_sessions import OpenSessions, Session
from mooring.sessions.reopening import Passed, Reopener, Taken, Untaken
from mooring.sessions.tally import Tally

LOOK_SECONDS = 5.0
"""For the store to say what it knows of a session that is used here for the first time."""

APPEARING = 1.0
"""Seconds that an owner whom another gateway chose may take to appear in our table."""
LOOK_AGAIN = 0.05
CONFIRM_EVERY = 1.0
"""Seconds between two questions to an upstream whether one session is lost."""


class Moved(NamedTuple):
    """The session has an owner again."""

    by_others: bool = False
    """Another gateway, or another request, had seen to it before."""


class Lost(NamedTuple):
    """The session is over: 404."""

    message: str


class Challenged(NamedTuple):
    """The owner to be asks who calls; for the request that led."""

    heard: Heard


class Failed(NamedTuple):
    """This request fails; the session may be recovered later."""

    reason: Literal["RecoveryFailed", "SessionStoreUnavailable"]
    message: str


class Withdrawn(NamedTuple):
    """Its client has taken the request back while it waited."""


Outcome = Moved | Lost | Challenged | Failed | Withdrawn

_OUTCOMES: Mapping[type[Outcome], str] = {
    Moved: "recovered",
    Lost: "lost",
    Challenged: "challenged",
    Failed: "failed",
    Withdrawn: "withdrawn",
}
"""What is told of each."""
GONE = "the instance that held this session is gone, and nothing is known of it; initialize again"
OVER = "the session has ended; initialize again"


class _Flight:
    """A recovery that is under way, and who waits for it."""

    __slots__ = ("task", "waiting")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.waiting: list[tuple[bytes | None, asyncio.Future[Outcome]]] = []
        """Each with the id of its request; the one that leads comes first."""


class Recovery:
    """Recovers the sessions of a gateway; `begin` gives it a group of tasks to work in."""

    def __init__(
        self,
        sessions: OpenSessions,
        books: Books,
        reopener: Reopener,
        entries: EntryOf,
        tally: Tally,
        clock: Clock,
    ) -> None:
        self._tally = tally
        self._sessions = sessions
        self._books = books
        self._reopener = reopener
        self._entries = entries
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._flights: dict[bytes, _Flight] = {}
        self._looking: dict[bytes, asyncio.Task[None]] = {}
        self._asking: dict[bytes, asyncio.Task[bool]] = {}

    def begin(self, group: asyncio.TaskGroup | None) -> None:
        """From now on recoveries run in this group; with None, not at all."""
        self._group = group

    def withdraw(self, session: Session, request_id: bytes | None) -> bool:
        """Its client cancels a request; whether that waited here."""
        flight = self._flights.get(session.key)
        found = False
        for id, future in flight.waiting if flight is not None else ():
            if same(id, request_id) and not future.done():
                future.set_result(Withdrawn())
                found = True
        return found

    def look(self, session: Session) -> "asyncio.Task[None] | None":
        """Begins to look up a session that is used here for the first time."""
        if self._group is None:
            return None
        task = self._looking.get(session.key)
        if task is None:
            task = self._looking[session.key] = self._group.create_task(self._look(session))
            task.add_done_callback(lambda _: self._looking.pop(session.key, None))
        return task

    async def confirms(self, session: Session, generation: int, upstream: Upstream) -> bool:
        """Whether an owner that answered 400 knows the session no more: it is asked once.

        `generation`: that of the owner that was sent the request. Whoever asks the same meanwhile
        hears the same; within a second after it did know the session it is not asked again.
        """
        if session.generation != generation or session.lost == generation:
            return True
        asking = self._asking.get(session.key)
        if asking is None:
            now = self._clock.monotonic()
            if self._group is None or now - session.confirmed_at < CONFIRM_EVERY:
                return False
            session.confirmed_at = now
            asking = self._group.create_task(self._ask(session, upstream))
            self._asking[session.key] = asking
            asking.add_done_callback(lambda _: self._asking.pop(session.key, None))
        await asyncio.wait([asking])
        return not asking.cancelled() and asking.result()

    async def _ask(self, session: Session, upstream: Upstream) -> bool:
        told, generation = session.sealed, session.generation
        if await self._reopener.knows(upstream, told.upstream_id, told.version):
            return False
        session.lost = generation
        return True

    async def recover(
        self, session: Session, generation: int, headers: Headers, request_id: bytes | None
    ) -> Outcome:
        """Returns when the session has an owner again, or why it has none.

        `generation`: that of the owner that was found to be lost; `headers`: those of the request
        as they go upstream.
        """
        while True:
            if session.generation != generation:
                return Moved(by_others=True)
            flight = self._flights.get(session.key)
            leads = flight is None
            if flight is None:
                if self._group is None:
                    return Failed("RecoveryFailed", "this Mooring is going away")
                flight = self._flights[session.key] = _Flight()
                session.moving = True
                work = self._fly(session, flight, headers)
                flight.task = self._group.create_task(work)
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            flight.waiting.append((request_id, future))
            outcome = await future
            if isinstance(outcome, Challenged) and not leads:
                continue  # the next one leads, with credentials of its own
            return outcome

    async def _fly(self, session: Session, flight: _Flight, headers: Headers) -> None:
        outcome: Outcome = Failed("RecoveryFailed", "this Mooring is going away")
        try:
            outcome = await self._attempt(session, headers)
        except Exception as error:  # noqa: BLE001 - the top of a task; others go on
            telemetry.event("session.recovery_broken", logging.ERROR, error=repr(error))
            outcome = Failed("RecoveryFailed", f"{_FAILED}: see the log")
        finally:
            del self._flights[session.key]
            session.moving = False
            for _, future in flight.waiting:
                if not future.done():
                    future.set_result(outcome)

    async def _attempt(self, session: Session, headers: Headers) -> Outcome:
        now = self._clock.monotonic()
        if now < session.retry_at:
            left = ceil(session.retry_at - now)
            return Failed("RecoveryFailed", f"{_FAILED}; it is tried again in {left} s")
        lost = session.sealed.uid
        try:
            outcome = await self._recover(session, headers)
        except MooringError as error:
            if error.reason == "SessionStoreUnavailable":
                outcome = Failed("SessionStoreUnavailable", error.message)
            else:  # the instance that took it over is gone, too
                outcome = Failed("RecoveryFailed", f"{_FAILED}: {error.message}")
        if isinstance(outcome, Failed):
            session.failures += 1
            session.retry_at = self._clock.monotonic() + pause(session.failures)
        else:
            session.failures = 0
        if isinstance(outcome, Lost):
            self._sessions.end(session)
        self._account(session, lost, outcome)
        return outcome

    async def _recover(self, session: Session, headers: Headers) -> Outcome:
        page = await self._books.read(session.key)
        if not isinstance(page, Page):
            return Lost(GONE if page is None else OVER)
        if page.record.generation > session.generation:
            self._adopt(session, page)
            if await self._appears(page.record):
                return Moved(by_others=True)
        found = await self._reopener.reopen(page.record, headers)
        match found:
            case Passed(heard):
                return Challenged(heard)
            case Untaken(message, over):
                if not over:
                    return Failed("RecoveryFailed", f"{_FAILED}: {message}")
                await self._books.end(session)
                return Lost(f"the session cannot go on: {message}; initialize again")
            case taken:
                return await self._settle(session, page, taken, headers)

    async def _settle(
        self, session: Session, page: Page, taken: Taken, headers: Headers
    ) -> Outcome:
        """Writes down who the owner is, unless another gateway was faster."""
        before = page.record
        version = before.version
        try:
            for _ in range(TRIES):
                record = replace(
                    page.record,
                    uid=taken.upstream.uid,
                    upstream_id=taken.upstream_id,
                    generation=before.generation + 1,
                )
                written = await self._books.write(session.key, page, record)
                if written is not None:
                    self._adopt(session, written)
                    session.notices = notices(record.capabilities, record.log_level)
                    self._end_former(before)
                    return Moved()
                newer = await self._books.read(session.key)
                if not isinstance(newer, Page):
                    self._start(self._reopener.dismiss(taken.upstream, taken.upstream_id, version))
                    return Lost(OVER)
                if newer.record.generation > before.generation:
                    self._adopt(session, newer)
                    self._start(self._reopener.dismiss(taken.upstream, taken.upstream_id, version))
                    return Moved(by_others=True)
                page = newer  # the journal was changed meanwhile
                await self._reopener.renew(newer.record, taken, headers)
        except MooringError:
            self._start(self._reopener.dismiss(taken.upstream, taken.upstream_id, version))
            raise
        self._start(self._reopener.dismiss(taken.upstream, taken.upstream_id, version))
        return Failed("RecoveryFailed", f"{_FAILED}: its record does not hold still")

    def _adopt(self, session: Session, page: Page) -> None:
        """Follows a record."""
        record = page.record
        session.revision, session.kept = page.revision, page.sealed
        session.looked, session.absent = True, False
        if record.generation > session.generation:
            self._sessions.move(session, record.uid, record.upstream_id, record.generation)

    def _end_former(self, before: SessionRecord) -> None:
        """An owner that is still there may hold what nobody will use."""
        upstream = self._upstream(before)
        if upstream is not None:
            self._start(self._reopener.dismiss(upstream, before.upstream_id, before.version))

    def _upstream(self, record: SessionRecord) -> Upstream | None:
        entry = self._entries(record.server)
        return None if entry is None else entry.upstreams.get(record.uid)

    def _is_elsewhere(self, record: SessionRecord) -> bool:
        """Whether the owner is there, where only other gateways reach it."""
        entry = self._entries(record.server)
        return entry is not None and record.uid in entry.elsewhere

    async def _appears(self, record: SessionRecord) -> bool:
        """Whether the owner is there; another gateway may know it a moment sooner than we."""
        deadline = self._clock.monotonic() + APPEARING
        while self._upstream(record) is None:
            if self._is_elsewhere(record):
                return True
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(LOOK_AGAIN)
        return True

    def put_back(self, session: Session) -> None:
        """Its store has lost the record, and its owner answers: the record is written again."""
        session.looked, session.absent = True, False
        self._start(self._put_back(session))

    async def _put_back(self, session: Session) -> None:
        with suppress(MooringError):  # the store is away again, and is looked at anew afterwards
            await self._books.put_back(session)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
        else:
            self._group.create_task(work)

    async def _look(self, session: Session) -> None:
        """What the record says of a session; without an answer its id is taken at its word."""
        session.looked = True
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                found = await self._books.read(session.key)
        except (MooringError, TimeoutError):
            return
        if isinstance(found, Ended):
            self._sessions.end(session)
        elif found is not None:
            self._adopt(session, found)
        else:
            session.absent = session.kept != b""
            session.looked = not session.absent  # until it is put back, each request may do it

    def _account(self, session: Session, lost: str, outcome: Outcome) -> None:
        """`lost`: the uid of the owner that it had."""
        server = session.sealed.server
        name = _OUTCOMES[type(outcome)]
        if isinstance(outcome, Moved) and outcome.by_others:
            name = "followed"
        self._tally.recovered(server, lost, name)
        telemetry.event(
            f"session.{name}", logging.INFO if isinstance(outcome, Moved) else logging.WARNING,
            session=session.key.hex()[:8], server=server, lost=lost, owner=session.sealed.uid,
            generation=session.generation, why=getattr(outcome, "message", ""),
        )  # fmt: skip


_FAILED = "the instance that held this session is gone, and no other one could take it over"
