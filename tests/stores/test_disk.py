"""The file of a store is brought up to date in one step, and written whole or not at all."""

import sqlite3
from pathlib import Path

import pytest

from mooring.errors import Unavailable
from mooring.kinds.ref import Ref
from mooring.stores import disk as module
from mooring.stores.disk import APPLICATION, Disk, Row

ROW = Row(Ref("MCPServer", "default", "time"), "{}", b"sealed")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.db"


def test_rows_come_back_as_they_were_written(path: Path) -> None:
    disk = Disk(path)
    disk.open()
    other = Row(Ref("Secret", "team", "ü"), '{"a":"ü"}')
    disk.write([ROW, other], 7, b"witness")
    disk.close()
    disk.open()
    assert sorted(disk.rows(), key=lambda row: row.ref) == [ROW, other]
    assert (disk.version(), disk.witness()) == (7, b"witness")
    disk.write([Row(ROW.ref, None)], 8)
    assert (list(disk.rows()), disk.version(), disk.witness()) == ([other], 8, b"witness")
    disk.close()
    disk.close()


def test_an_older_file_is_migrated_with_its_rows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(path)
    disk.open()
    disk.write([ROW], 3)
    disk.close()
    step = ("ALTER TABLE facts ADD COLUMN note TEXT", "INSERT INTO facts VALUES ('n', 1, 'x')")
    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, step))
    connection = disk.open()
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert list(disk.rows()) == [ROW]
    disk.close()


def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(path)
    disk.open()
    disk.write([ROW], 3)
    disk.close()
    step = ("DROP TABLE objects", "nonsense")
    with monkeypatch.context() as newer:
        newer.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, step))
        with pytest.raises(Unavailable, match="syntax error"):
            disk.open()
    disk.open()
    assert list(disk.rows()) == [ROW]
    disk.close()


def test_a_write_that_fails_halfway_writes_nothing(path: Path) -> None:
    disk = Disk(path)
    disk.open()
    disk.write([ROW], 1)
    unfit = Row(Ref("MCPServer", "default", "b"), object())  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="does not work"):
        disk.write([Row(ROW.ref, None), unfit], 2)
    assert (list(disk.rows()), disk.version()) == ([ROW], 1)
    disk.close()


def test_the_file_says_whose_it_is(path: Path) -> None:
    disk = Disk(path)
    disk.open()
    disk.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
    connection.close()


def test_a_closed_file_says_so(path: Path) -> None:
    with pytest.raises(Unavailable, match="is closed"):
        Disk(path).version()
