"""The SQLite file of session records: what each operation is in SQL, all of it on one thread.

Several processes of one machine have the file open at once. Every change has a turn, from one
counter for the whole file, so that "what happened since" is a query and nothing is missed. A
write of a session that moves or ends is on the disk when it is acknowledged; of one that opens
it is enough that the operating system has it, since losing power loses its owner as well.
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mooring.core.session_record import Held, Moved, Until
from mooring.errors import Conflict, MooringError, Unavailable
from mooring.stores.disk import Connect, connect, words
from mooring.stores.sessions_memory import first_revision

T = TypeVar("T")
APPLICATION = 0x4D4F4F53
"""Marks the file as ours, in SQLite's application_id: `MOOS`."""
SCHEMA = 1

_DUE = "CASE WHEN ended THEN absolute ELSE min(idle, absolute) END"
_TABLES = (
    "CREATE TABLE sessions (key BLOB PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL,"
    " idle REAL NOT NULL, absolute REAL NOT NULL, ended INTEGER NOT NULL, turn INTEGER NOT NULL)",
    "CREATE INDEX sessions_by_turn ON sessions (turn)",
    f"CREATE INDEX sessions_by_due ON sessions ({_DUE})",
    "CREATE TABLE turns (turn INTEGER NOT NULL)",
    "INSERT INTO turns VALUES (0)",
    "CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL)",
)
_COLUMNS = "key, value, revision, idle, absolute, ended"
_WAL_LIMIT = 16 * 1024 * 1024

Work = Callable[[sqlite3.Connection], Any]


class Task(NamedTuple):
    """One operation on the file."""

    work: Work
    writes: bool = True
    durable: bool = False
    """To be on the disk before it is acknowledged."""


class SessionFile:
    """An open file; everything here may wait, and is called on one thread."""

    def __init__(self, path: Path, connect: Connect = connect) -> None:
        self.path = path
        self._connect = connect
        self._connection: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        """Opens the file, making it as needed."""
        self._make()
        try:
            self._connection = connection = self._connect(str(self.path))
            self._prepare(connection)
            return connection
        except sqlite3.Error as error:
            self.close()
            raise self._unavailable(_words(error)) from error
        except Unavailable:
            self.close()
            raise

    def perform(self, tasks: Sequence[Task]) -> list[Any]:
        """The result of each task, or the error with which it was refused; all, or none."""
        try:
            connection = self._connection or self.open()
            if not any(task.writes for task in tasks):
                return [_result(task, connection) for task in tasks]
            if any(task.durable for task in tasks):
                connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            results = [_result(task, connection) for task in tasks]
            connection.execute("COMMIT")
            connection.execute("PRAGMA synchronous = NORMAL")
            return results
        except sqlite3.Error as error:
            self.close()  # whatever was begun is void; the next one opens the file anew
            raise self._unavailable(_words(error)) from error

    def close(self) -> None:
        """Closes the file; harmless twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _make(self) -> None:
        """An empty file where there is none; one that is there is left alone, for closing it
        would let go of the locks that this process has on it."""
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o600))
        except FileExistsError:
            return
        except OSError as error:
            raise self._unavailable(f"cannot be opened: {error.strerror}") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or tables):
            raise self._unavailable("is a database of another program; name another one")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        connection.execute("BEGIN IMMEDIATE")
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        if schema > SCHEMA:
            raise self._unavailable("was written by a newer version of Mooring; run that one")
        if schema < SCHEMA:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable("SessionStoreUnavailable", f"the session store {self.path} {what}")


def create(key: bytes, value: bytes, until: Until) -> Task:
    """A new record."""

    def work(connection: sqlite3.Connection) -> Held:
        if _find(connection, key) is not None:
            raise Conflict("AlreadyExists", "there is a record of this session, or it has ended")
        return _write(connection, Held(key, value, first_revision(), until))

    return Task(work)


def read(key: bytes) -> Task:
    """What is under a key."""
    return Task(lambda connection: _find(connection, key), writes=False)


def replace(key: bytes, value: bytes, revision: int) -> Task:
    """Another value over the one of that revision."""

    def work(connection: sqlite3.Connection) -> Held:
        held = _find(connection, key)
        if held is None or held.ended or held.revision != revision:
            raise Conflict("StaleVersion", "the record of this session was changed; read it again")
        return _write(connection, Held(key, value, revision + 1, held.until))

    return Task(work, durable=True)


def end(key: bytes, absolute: float) -> Task:
    """A tombstone."""

    def work(connection: sqlite3.Connection) -> Held | None:
        held = _find(connection, key)
        if held is not None and held.ended:
            return None
        return _bury(connection, held or _nothing(key, absolute), absolute)

    return Task(work, durable=True)


def touch(keys: Collection[bytes], idle: float) -> Task:
    """Longer lives."""

    def work(connection: sqlite3.Connection) -> tuple[bytes, ...]:
        live = "SELECT 1 FROM sessions WHERE key = ? AND NOT ended"
        missing = [key for key in keys if connection.execute(live, (key,)).fetchone() is None]
        connection.executemany(
            "UPDATE sessions SET idle = ?1 WHERE key = ?2 AND NOT ended AND idle < ?1",
            [(idle, key) for key in keys],
        )
        return tuple(missing)

    return Task(work)


def due(now: float) -> Task:
    """Whether there is anything to sweep."""
    query = f"SELECT 1 FROM sessions WHERE {_DUE} <= ? LIMIT 1"
    return Task(lambda c: c.execute(query, (now,)).fetchone() is not None, writes=False)


def sweep(now: float, limit: int) -> Task:
    """The end of what is over."""

    def work(connection: sqlite3.Connection) -> tuple[Held, ...]:
        connection.execute(f"DELETE FROM sessions WHERE ended AND {_DUE} <= ?", (now,))
        query = f"SELECT {_COLUMNS} FROM sessions WHERE NOT ended AND {_DUE} <= ? LIMIT ?"
        over = [_held(row) for row in connection.execute(query, (now, limit)).fetchall()]
        return tuple(_bury(connection, held, held.until.absolute) for held in over)

    return Task(work, durable=True)


def lease(name: str, holder: str, now: float, seconds: float) -> Task:
    """A right of one holder at a time."""

    def work(connection: sqlite3.Connection) -> bool:
        query = "SELECT holder, until FROM leases WHERE name = ?"
        found = connection.execute(query, (name,)).fetchone()
        if found is not None and found[0] != holder and now < found[1]:
            return False
        connection.execute("REPLACE INTO leases VALUES (?, ?, ?)", (name, holder, now + seconds))
        return True

    return Task(work)


def moves(since: int) -> Task:
    """What happened after a turn, in order, and the turn that this leads up to."""

    def work(connection: sqlite3.Connection) -> tuple[list[Moved], int]:
        query = "SELECT key, revision, ended, turn FROM sessions WHERE turn > ? ORDER BY turn"
        rows = connection.execute(query, (since,)).fetchall()
        moved = [Moved(key, revision, bool(ended)) for key, revision, ended, _ in rows]
        return moved, rows[-1][3] if rows else since

    return Task(work, writes=False)


def turn() -> Task:
    """The turn of the last change."""
    return Task(lambda c: c.execute("SELECT turn FROM turns").fetchone()[0], writes=False)


def others() -> Task:
    """A number that is another one when somebody else has written to the file."""
    return Task(lambda c: c.execute("PRAGMA data_version").fetchone()[0], writes=False)


def _words(error: sqlite3.Error) -> str:
    """What SQLite says, for a person. What is lost with this file is not worth much trouble."""
    if "malformed" in str(error):
        return "is damaged. Fix: move it away; sessions go on, and those that are open cannot move"
    return words(error)


def _result(task: Task, connection: sqlite3.Connection) -> Any:
    try:
        return task.work(connection)
    except MooringError as error:
        return error


def _find(connection: sqlite3.Connection, key: bytes) -> Held | None:
    query = f"SELECT {_COLUMNS} FROM sessions WHERE key = ?"
    row = connection.execute(query, (key,)).fetchone()
    return None if row is None else _held(row)


def _held(row: Sequence[Any]) -> Held:
    key, value, revision, idle, absolute, ended = row
    return Held(key, value, revision, Until(idle, absolute), bool(ended))


def _nothing(key: bytes, absolute: float) -> Held:
    return Held(key, b"", first_revision(), Until(absolute, absolute))


def _bury(connection: sqlite3.Connection, held: Held, absolute: float) -> Held:
    """Puts a tombstone in the place of a record; returns the record."""
    until = Until(absolute, max(absolute, held.until.absolute))
    _write(connection, Held(held.key, b"", held.revision + 1, until, ended=True))
    return Held(held.key, held.value, held.revision, held.until, ended=True)


def _write(connection: sqlite3.Connection, held: Held) -> Held:
    connection.execute("UPDATE turns SET turn = turn + 1")
    connection.execute(
        "REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, (SELECT turn FROM turns))",
        (held.key, held.value, held.revision, held.until.idle, held.until.absolute, held.ended),
    )
    return held
