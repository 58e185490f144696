"""The SQLite file: rows in, rows out, all of it on one thread.

One program owns the file while it is open. A write is on the disk when it returns (write-ahead
log, synchronous FULL). Whatever goes wrong is said in words, as Unavailable("StoreUnavailable"),
and leaves the file as it was before.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mooring.errors import Unavailable
from mooring.kinds.ref import Ref

APPLICATION = 0x4D4F4F52
"""Marks the file as ours, in SQLite's application_id: `MOOR`."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE objects (kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,"
        " body TEXT NOT NULL, sealed BLOB, PRIMARY KEY (kind, namespace, name))",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
        "INSERT INTO facts VALUES ('version', 0)",
    ),
)
"""Statements that lead from each schema version to the next; only ever added to."""

_WAL_LIMIT = 16 * 1024 * 1024

Connect = Callable[[str], sqlite3.Connection]


def connect(path: str) -> sqlite3.Connection:
    """A connection without transactions of its own making."""
    return sqlite3.connect(path, timeout=1.0, isolation_level=None)


@dataclass(frozen=True, slots=True)
class Row:
    """One object as it is stored; without a body it is removed."""

    ref: Ref
    body: str | None
    """JSON, without what is sealed."""
    sealed: bytes | None = None


class Disk:
    """An open store file."""

    def __init__(self, path: Path, connect: Connect = connect) -> None:
        self.path = path
        self._connect = connect
        self._connection: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        """Opens the file, making or migrating it as needed."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise self.unavailable(f"cannot be opened: {error.strerror}") from error
        try:
            self._connection = connection = self._connect(str(self.path))
            self._own(connection)
            _migrate(connection)
            return connection
        except sqlite3.Error as error:
            self.close()
            raise self.unavailable(words(error)) from error
        except Unavailable:
            self.close()
            raise

    def rows(self) -> Iterator[Row]:
        """Every object."""
        query = "SELECT kind, namespace, name, body, sealed FROM objects"
        for kind, namespace, name, body, sealed in self._read(query):
            yield Row(Ref(kind, namespace, name), body, sealed)

    def version(self) -> int:
        """The version of the last write."""
        return int(self._read("SELECT value FROM facts WHERE name = 'version'")[0][0])

    def witness(self) -> bytes | None:
        """What `write` was given to tell the right key by."""
        found = self._read("SELECT value FROM facts WHERE name = 'witness'")
        return found[0][0] if found else None

    def write(self, rows: Iterable[Row], version: int, witness: bytes | None = None) -> None:
        """Writes all of it, or nothing."""
        facts: dict[str, int | bytes] = {"version": version}
        if witness is not None:
            facts["witness"] = witness
        try:
            connection = self._connection or self.open()
            connection.execute("BEGIN IMMEDIATE")
            for row in rows:
                _write(connection, row)
            connection.executemany("REPLACE INTO facts VALUES (?, ?)", facts.items())
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self.unavailable(words(error)) from error

    def close(self) -> None:
        """Closes the file; harmless twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _own(self, connection: sqlite3.Connection) -> None:
        """Takes the file for this program alone, if it is a store of ours."""
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or tables):
            raise self.unavailable("is a database of another program; name another directory")
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        if schema > len(MIGRATIONS):
            newer = "was written by a newer version of Mooring; run that one, or a newer one"
            raise self.unavailable(newer)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise self.unavailable(f"is damaged ({verdict}); restore it from a copy")

    def _read(self, query: str, *values: str) -> list[Any]:
        if self._connection is None:
            raise self.unavailable("is closed")
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self.unavailable(words(error)) from error

    def _roll_back(self) -> None:
        """Forgets what was begun; if even that fails, the next write opens the file anew."""
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()

    def unavailable(self, what: str) -> Unavailable:
        """The error that says so of this store."""
        return Unavailable("StoreUnavailable", f"the store {self.path} {what}")


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings the tables to the schema of this version, in one step."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for statements in MIGRATIONS[schema:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _write(connection: sqlite3.Connection, row: Row) -> None:
    name = (row.ref.kind, row.ref.namespace, row.ref.name)
    if row.body is None:
        query = "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?"
        connection.execute(query, name)
    else:
        query = "REPLACE INTO objects VALUES (?, ?, ?, ?, ?)"
        connection.execute(query, (*name, row.body, row.sealed))


_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "disk is full": "cannot be written: the disk is full; free some space",
        "not a database": "is no store of Mooring; name another directory, or move it away",
        "malformed": "is damaged; restore it from a copy",
        "is locked": "is in use by another program; stop that one first",
        "unable to open": "cannot be opened; look at its owner and its permissions",
    }
)


def words(error: sqlite3.Error) -> str:
    """What SQLite says, for a person."""
    said = str(error)
    known = (words for part, words in _WORDS.items() if part in said)
    return next(known, f"does not work: {said}")
