"""The end of sessions that nobody uses, and the word that others are used.

A session can be used through any gateway, so none of them knows by itself that it is idle: each
tells the store now and then, in one go, which sessions are in use, and the store knows which
have been in use nowhere for too long. Whoever holds the lease ends these, and tells their
owners. Where nothing has run out, nothing is written.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from math import ceil

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.session_record import SessionRecord
from mooring.errors import MooringError
from mooring.sessions.books import Books
from mooring.sessions.courier import EntryOf
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.reopening import Reopener

PAY_SECONDS = 2.0
"""Between two tries to write what a store that was away is owed."""
LEASE = "sweep"
LEASE_SECONDS = 60.0
BATCH = 1000
"""Sessions that are told to be in use at once."""
AT_ONCE = 32
"""Sessions that are swept, and owners that are told, at once."""
MOST = 10_000
"""Sessions that are swept in one round."""


class Sweeper:
    """Does so for one gateway, in rounds."""

    def __init__(
        self,
        sessions: OpenSessions,
        books: Books,
        reopener: Reopener,
        entries: EntryOf,
        clock: Clock,
    ) -> None:
        self.rounds_late = 0
        """For so many rounds what has run out is left to others, who may reach more owners."""
        self._sessions = sessions
        self._books = books
        self._reopener = reopener
        self._entries = entries
        self._clock = clock
        self._name = secrets.token_hex(8)
        self._told_at = clock.monotonic()

    async def run(self) -> None:
        """A round of both every so often, for ever. Owners that are slow keep nobody waiting."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._tell))
            tasks.create_task(self._repeat(self._sweep))
            tasks.create_task(self._pay())

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._clock.sleep(self._sessions.terms.round)
            try:
                await work()
            except MooringError as error:
                telemetry.event("sessions.not_swept", logging.WARNING, error=error.message)

    async def _pay(self) -> None:
        """Writes what is owed to the store, soon: nobody else could have those sessions move."""
        while True:
            await self._clock.sleep(PAY_SECONDS)
            with suppress(MooringError):  # it is still away, and others say so
                await self._books.pay()

    async def _tell(self) -> None:
        """Tells the store which sessions are in use.

        Those of other gateways too, which may have a store of their own, and what they ended. As
        every gateway tells the same time, the store writes once what is told several times.
        """
        now, sessions = self._clock.monotonic(), self._sessions
        keys = {session.key for session in sessions.used_since(self._told_at)}
        used = sorted(keys | sessions.used_elsewhere)
        step = sessions.terms.round
        until = ceil((self._clock.now().timestamp() + sessions.terms.patience) / step) * step
        for start in range(0, len(used), BATCH):
            for key in await self._books.store.touch(used[start : start + BATCH], until):
                session = sessions.known(key)
                if session is not None:
                    session.looked = False
        self._told_at = now
        sessions.used_elsewhere.difference_update(used)
        for key in tuple(sessions.ended_elsewhere):
            absolute = self._clock.now().timestamp() + sessions.terms.lifetime
            await self._books.store.end(key, absolute)
            sessions.ended_elsewhere.discard(key)

    async def _sweep(self) -> None:
        """Ends what nobody has used for too long, if that is ours to do."""
        forgotten = [self._books.owed(session.key) for session in self._sessions.sweep()]
        await self._end([record for record in forgotten if record is not None])
        store, late = self._books.store, self.rounds_late * self._sessions.terms.round
        now = self._clock.now().timestamp() - late
        count = 0
        while count < MOST and await store.due(now):
            if not await store.lease(LEASE, self._name, LEASE_SECONDS):
                return
            over = await store.sweep(now, AT_ONCE)
            records = map(self._books.opened, over)
            await self._end([record for record in records if record is not None])
            count += len(over)
            if len(over) < AT_ONCE:
                break
        if count:
            telemetry.event("sessions.swept", count=count)

    async def _end(self, records: Sequence[SessionRecord]) -> None:
        """Tells the owners, a few at a time."""
        for start in range(0, len(records), AT_ONCE):
            async with asyncio.TaskGroup() as tasks:
                for record in records[start : start + AT_ONCE]:
                    tasks.create_task(self._dismiss(record))

    async def _dismiss(self, record: SessionRecord) -> None:
        entry = self._entries(record.server)
        upstream = entry.upstreams.get(record.uid) if entry is not None else None
        if upstream is not None:
            await self._reopener.dismiss(upstream, record.upstream_id, record.version)
