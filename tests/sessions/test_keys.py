"""Key files."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mooring.errors import Denied, Invalid, Unavailable
from mooring.sessions.keys import load_or_make, read_or_make, replace


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "session.key"
    key = load_or_make(path)
    assert len(key) == 32
    assert load_or_make(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["session.key"]


def test_all_who_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(load_or_make, [tmp_path / "session.key"] * 64))
    assert len(keys) == 1
    assert os.listdir(tmp_path) == ["session.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "session.key"
    load_or_make(path)
    path.chmod(mode)
    with pytest.raises(Denied, match=f"open to others. Fix: chmod 600 {path}"):
        load_or_make(path)


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    load_or_make(tmp_path / "real")
    (tmp_path / "session.key").symlink_to(tmp_path / "real")
    with pytest.raises(Denied, match="symbolic link"):
        load_or_make(tmp_path / "session.key")


def test_a_dangling_link_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "session.key").symlink_to(tmp_path / "nothing")
    with pytest.raises(Denied, match="symbolic link"):
        load_or_make(tmp_path / "session.key")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "session.key"
    load_or_make(path)
    os.chown(path, 12345, -1)
    with pytest.raises(Denied, match="belongs to user 12345"):
        load_or_make(path)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(Denied, match="not a regular file"):
        load_or_make(tmp_path / "pipe")
    (tmp_path / "directory").mkdir(mode=0o700)
    with pytest.raises(Denied, match="not a regular file"):
        load_or_make(tmp_path / "directory")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused_and_left_alone(tmp_path: Path, size: int) -> None:
    path = tmp_path / "session.key"
    path.touch(0o600)
    path.write_bytes(b"k" * size)
    with pytest.raises(Invalid, match="expected 32 bytes"):
        load_or_make(path)
    assert path.read_bytes() == b"k" * size


def test_a_directory_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"key file .*nowhere/key: No such file"):
        load_or_make(tmp_path / "nowhere" / "key")


def test_another_content_takes_the_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    assert read_or_make(path, lambda: b"one", 100) == b"one"
    replace(path, b"two")
    assert read_or_make(path, lambda: b"three", 100) == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["token"]
    with pytest.raises(Unavailable, match="nowhere"):
        replace(tmp_path / "nowhere" / "token", b"x")
