"""Objects in a SQLite file, so that nothing acknowledged is ever lost.

Reads come from memory, which is filled when the file is opened. Writes are decided on the
event loop, on top of those still under way, and written by one thread, all that have gathered
while it was busy in one commit. A write is acknowledged, readable and watched only once it is on
the disk; if a commit fails, all that was decided on top of it fails too, and the next write
starts from what the disk has. Values of Secrets are sealed before they reach the file.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.ports import Change
from mooring.errors import Invalid, MooringError, Unavailable
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.kinds.registry import BY_NAME
from mooring.kinds.secret import LockedSecret, Secret
from mooring.stores.disk import Connect, Disk, Row, connect
from mooring.stores.ledger import Ledger, new_uid
from mooring.stores.seal import Seal
from mooring.stores.shelf import HISTORY, Shelf

CLOSE_SECONDS = 10.0
"""How long the last writes may take."""

_WITNESS = {"opens": "with the right key"}


@asynccontextmanager
async def open_sqlite(
    path: Path,
    key: bytes,
    clock: Clock | None = None,
    uids: Callable[[], str] = new_uid,
    *,
    history: int = HISTORY,
    connect: Connect = connect,
) -> AsyncIterator["SqliteStore"]:
    """The store in that file, made if it is not there; `key` (32 bytes) seals Secrets.

    Raises Unavailable("StoreUnavailable") where the file cannot be used: unreadable, damaged,
    another program's, in use, or of a newer version. Secrets that the key does not open are
    there without their values.
    """
    thread = ThreadPoolExecutor(1, "mooring-store")
    loop = asyncio.get_running_loop()
    disk, seal = Disk(path, connect), Seal(key)
    try:
        shelf = await loop.run_in_executor(thread, _load, disk, seal, history)
        store = SqliteStore(disk, seal, thread, shelf, clock, uids)
        try:
            yield store
        finally:
            await store.close()
    finally:
        async with asyncio.timeout(CLOSE_SECONDS):
            await loop.run_in_executor(thread, disk.close)
        thread.shutdown(wait=False)


@dataclass(frozen=True, slots=True)
class _Waiter:
    """A write that waits for the disk; without a change, somebody who waits for those before."""

    done: asyncio.Future[None]
    change: Change | None = None
    row: Row | None = None


class SqliteStore(Ledger):
    """Passes the contract of `core.ports.ObjectStore`; made by `open_sqlite`."""

    def __init__(
        self,
        disk: Disk,
        seal: Seal,
        thread: ThreadPoolExecutor,
        shelf: Shelf,
        clock: Clock | None,
        uids: Callable[[], str],
    ) -> None:
        super().__init__(shelf, clock, uids)
        self._disk = disk
        self._seal = seal
        self._thread = thread
        self._ahead: dict[Ref, Change] = {}
        self._version_ahead = shelf.version
        self._waiting: list[_Waiter] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def close(self) -> None:
        """Takes no more writes, finishes those under way, and ends every watch."""
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._idle.wait()
        finally:
            self._shelf.close("the store was closed")

    def _head(self, ref: Ref) -> Object | None:
        ahead = self._ahead.get(ref)
        if ahead is None:
            return self._shelf.get(ref)
        return None if ahead.type == "DELETED" else ahead.object

    def _head_version(self) -> int:
        return self._version_ahead

    async def _commit(self, change: Change) -> None:
        if self._closed:
            raise Unavailable("StoreUnavailable", "the store is closed")
        row = _row(change, self._seal)
        self._ahead[row.ref] = change
        self._version_ahead = int(change.object.metadata.resource_version)
        await self._join(_Waiter(asyncio.get_running_loop().create_future(), change, row))

    async def _settle(self, ref: Ref) -> None:
        if ref in self._ahead:
            await self._join(_Waiter(asyncio.get_running_loop().create_future()))

    async def _join(self, waiter: _Waiter) -> None:
        self._waiting.append(waiter)
        if self._idle.is_set():
            self._flush()
        await waiter.done

    def _flush(self) -> None:
        """Hands all that waits to the thread, as one commit."""
        batch, self._waiting = self._waiting, []
        rows = [waiter.row for waiter in batch if waiter.row]
        if not rows:
            self._written(batch, None)
            return
        loop = asyncio.get_running_loop()

        def written(commit: Future[None]) -> None:
            loop.call_soon_threadsafe(self._written, batch, commit.exception())

        self._idle.clear()
        self._thread.submit(self._disk.write, rows, self._version_ahead).add_done_callback(written)

    def _written(self, batch: list[_Waiter], error: BaseException | None) -> None:
        if error is not None:
            self._forget(batch, error)
        for waiter in batch:
            if error is None and waiter.change:
                self._publish(waiter.change)
            if not waiter.done.done():
                waiter.done.set_result(None)
        if self._waiting:
            self._flush()
        else:
            self._idle.set()

    def _publish(self, change: Change) -> None:
        self._shelf.publish(change)
        if self._ahead.get(change.object.ref) is change:
            del self._ahead[change.object.ref]

    def _forget(self, batch: list[_Waiter], error: BaseException) -> None:
        """The disk refused: whatever was decided since is void, and starts from the shelf again."""
        void, self._waiting = [*batch, *self._waiting], []
        self._ahead.clear()
        self._version_ahead = self._shelf.version
        for waiter in void:
            if not waiter.done.done():
                waiter.done.set_exception(_again(error))


def _again(error: BaseException) -> BaseException:
    """The same error for one more caller, with a trace of its own."""
    return type(error)(error.reason, error.message) if isinstance(error, MooringError) else error


def _row(change: Change, seal: Seal) -> Row:
    """What is written for a change; Invalid where its text cannot be."""
    made = change.object
    if change.type == "DELETED":
        return Row(made.ref, None)
    secret = made if isinstance(made, Secret) else None
    try:
        body = made.model_dump_json(
            by_alias=True, exclude_none=True, exclude={"data"} if secret else None
        )
    except PydanticSerializationError as error:
        raise Invalid("BadRequest", f"{made.ref} holds text that is not valid Unicode") from error
    return Row(made.ref, body, _sealed(secret, seal) if secret else None)


def _sealed(secret: Secret, seal: Seal) -> bytes:
    """Its values, closed; those that could not be opened as they were."""
    if isinstance(secret, LockedSecret):
        return secret.sealed
    return seal.close(secret.data, secret.metadata.uid)


def _load(disk: Disk, seal: Seal, history: int) -> Shelf:
    """Opens the file and reads all of it."""
    disk.open()
    objects = [(row.ref, _object(row, seal)) for row in disk.rows()]
    unread = [str(ref) for ref, made in objects if made is None]
    if unread:
        what = f"holds {unread[0]} in a form that cannot be read"
        raise disk.unavailable(f"{what}; restore it from a copy, or run the version that wrote it")
    _witnessed(disk, seal, locked=any(isinstance(made, LockedSecret) for _, made in objects))
    return Shelf((made for _, made in objects if made), disk.version(), history)


def _witnessed(disk: Disk, seal: Seal, *, locked: bool) -> None:
    """Tells of another key as long as anything is sealed with it."""
    witness = disk.witness()
    if witness is not None and seal.open(witness, "") is not None:
        return
    if locked:
        telemetry.event("store.another_key", logging.WARNING, store=disk.path)
    else:
        disk.write((), disk.version(), seal.close(_WITNESS, ""))


def _object(row: Row, seal: Seal) -> Object | None:
    """The object of a row; None where it cannot be made of it."""
    kind = BY_NAME.get(row.ref.kind)
    if kind is None or row.body is None:
        return None
    try:
        made = kind.model.model_validate_json(row.body)
    except ValidationError:
        return None
    if row.sealed is None:
        return made
    opened = seal.open(row.sealed, made.metadata.uid)
    if opened is not None:
        return made.model_copy(update={"data": opened})
    telemetry.event("secret.locked", logging.WARNING, secret=row.ref)
    return LockedSecret.model_validate({**dict(made), "sealed": row.sealed})
