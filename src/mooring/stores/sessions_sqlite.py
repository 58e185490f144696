"""Session records in a SQLite file, shared by the processes of one machine.

The loop hands operations to one thread, all that gathered while it was busy in one commit.
Whoever listens for changes is woken by what this process wrote, and looks now and then whether
another one did, which writes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mooring.clock import Clock
from mooring.core.session_record import Gap, Held, Moved, Until
from mooring.errors import MooringError, Unavailable
from mooring.stores import session_file as file
from mooring.stores.disk import Connect, connect
from mooring.stores.session_file import SessionFile, Task

WAIT_SECONDS = 5.0
"""How long an operation may take."""
CLOSE_SECONDS = 10.0
"""How long the last operations may take."""
LOOK_SECONDS = 0.2
"""How late this process hears of what another one wrote, at most."""


@asynccontextmanager
async def open_session_file(
    path: Path, clock: Clock, connect: Connect = connect
) -> AsyncIterator["SqliteSessions"]:
    """The store in that file, made if it is not there.

    Raises Unavailable("SessionStoreUnavailable") where the file cannot be used.
    """
    store = SqliteSessions(SessionFile(path, connect), clock)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


class _Waiter(NamedTuple):
    task: Task
    done: asyncio.Future[Any]


class SqliteSessions:
    """Passes the contract of `core.session_record.SessionStore`; made by `open_session_file`."""

    def __init__(self, opened: SessionFile, clock: Clock) -> None:
        self._file = opened
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "mooring-sessions")
        self._waiting: list[_Waiter] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._moved = asyncio.Event()
        """Set once at the next change of ours, and replaced by a new one."""
        self._closed = False

    async def open(self) -> None:
        """Opens the file now, so that what is wrong with it is said now."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.open)

    async def create(self, key: bytes, value: bytes, until: Until) -> Held:
        return self._tell(await self._do(file.create(key, value, until)))

    async def read(self, key: bytes) -> Held | None:
        found: Held | None = await self._do(file.read(key))
        return found

    async def replace(self, key: bytes, value: bytes, revision: int) -> Held:
        return self._tell(await self._do(file.replace(key, value, revision)))

    async def end(self, key: bytes, absolute: float) -> Held | None:
        held: Held | None = await self._do(file.end(key, absolute))
        return held and self._tell(held)

    async def touch(self, keys: Collection[bytes], idle: float) -> tuple[bytes, ...]:
        missing: tuple[bytes, ...] = await self._do(file.touch(tuple(keys), idle))
        return missing

    async def due(self, now: float) -> bool:
        found: bool = await self._do(file.due(now))
        return found

    async def sweep(self, now: float, limit: int) -> tuple[Held, ...]:
        over: tuple[Held, ...] = await self._do(file.sweep(now, limit))
        self._wake()
        return over

    async def lease(self, name: str, holder: str, seconds: float) -> bool:
        now = self._clock.now().timestamp()
        ours: bool = await self._do(file.lease(name, holder, now, seconds))
        return ours

    async def changes(self) -> AsyncIterator[Moved | Gap]:
        turn: int = await self._do(file.turn())
        others: int = await self._do(file.others())
        yield Gap()
        while True:
            ours = self._moved
            moved, turn = await self._do(file.moves(turn))
            for each in moved:
                yield each
            others = await self._stir(ours, others)

    async def close(self) -> None:
        """Takes no more operations, and finishes those under way."""
        if self._closed:
            return
        self._closed = True
        self._wake()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._idle.wait()
                await loop.run_in_executor(self._thread, self._file.close)
        finally:
            self._thread.shutdown(wait=False)

    async def _stir(self, ours: asyncio.Event, others: int) -> int:
        """Returns when anything may have changed, with the number that tells of others."""
        while not ours.is_set():
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await ours.wait()
            except TimeoutError:
                seen: int = await self._do(file.others())
                if seen != others:
                    return seen
        return others

    def _tell(self, held: Held) -> Held:
        self._wake()
        return held

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _do(self, task: Task) -> Any:
        if self._closed:
            raise Unavailable("SessionStoreUnavailable", "the session store was closed")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiter(task, done))
        if self._idle.is_set():
            self._flush()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await done
        except TimeoutError:
            what = f"the session store {self._file.path} does not answer"
            raise Unavailable("SessionStoreUnavailable", what) from None

    def _flush(self) -> None:
        """Hands all that waits to the thread, as one commit."""
        batch, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()

        def performed(results: Future[list[Any]]) -> None:
            loop.call_soon_threadsafe(self._performed, batch, results)

        self._idle.clear()
        tasks = [waiter.task for waiter in batch]
        self._thread.submit(self._file.perform, tasks).add_done_callback(performed)

    def _performed(self, batch: list[_Waiter], results: Future[list[Any]]) -> None:
        error = results.exception()
        for waiter, result in zip(batch, results.result() if error is None else batch, strict=True):
            if waiter.done.done():
                continue  # nobody waits for it any more
            if error is not None:
                waiter.done.set_exception(_again(error))
            elif isinstance(result, MooringError):
                waiter.done.set_exception(result)
            else:
                waiter.done.set_result(result)
        if self._waiting:
            self._flush()
        else:
            self._idle.set()


def _again(error: BaseException) -> BaseException:
    """The same error for one more caller, with a trace of its own."""
    return type(error)(error.reason, error.message) if isinstance(error, MooringError) else error
