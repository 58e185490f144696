"""One keeper per socket, in a directory that is ours alone."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.keeping import short_directory

from mooring.errors import Conflict, Denied, Invalid
from mooring.keeper.claim import Claim


@pytest.fixture
def home() -> Iterator[Path]:
    with short_directory() as path:
        yield path


def test_the_socket_is_ours_alone(home: Path) -> None:
    claim = Claim(home / "k.sock")
    with claim.acquire():
        assert stat.S_IMODE((home / "k.sock").stat().st_mode) == 0o600
    claim.release()
    assert not (home / "k.sock").exists()


def test_a_directory_that_is_missing_is_made(home: Path) -> None:
    claim = Claim(home / "new" / "k.sock")
    claim.acquire().close()
    assert stat.S_IMODE((home / "new").stat().st_mode) == 0o700
    claim.release()


def test_a_living_keeper_is_respected_at_once(home: Path) -> None:
    first = Claim(home / "k.sock")
    with first.acquire() as sock:
        sock.listen()
        with pytest.raises(Conflict, match=rf"pid {os.getpid()}\) already serves") as caught:
            Claim(home / "k.sock", patience=3600).acquire()
        assert caught.value.reason == "AlreadyRunning"
        assert (home / "k.sock").exists()
    first.release()


def test_a_keeper_that_answers_no_more_is_waited_for(home: Path) -> None:
    first = Claim(home / "k.sock")
    first.acquire().close()
    ending = threading.Timer(0.1, first.release)
    ending.start()
    second = Claim(home / "k.sock", patience=10)
    with second.acquire():
        assert (home / "k.sock").exists()
    ending.join()
    second.release()


def test_a_keeper_that_neither_answers_nor_ends_is_not_waited_for_for_ever(home: Path) -> None:
    first = Claim(home / "k.sock")
    first.acquire().close()
    with pytest.raises(Conflict):
        Claim(home / "k.sock", patience=0.05).acquire()
    first.release()


def test_a_stale_socket_is_replaced(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home / "k.sock"))
    (home / "k.sock.lock").write_text("4711\n")
    claim = Claim(home / "k.sock")
    with claim.acquire() as sock:
        sock.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(home / "k.sock"))
    claim.release()


def test_a_directory_that_others_can_reach_is_refused(home: Path) -> None:
    home.chmod(0o750)
    with pytest.raises(Denied, match="mode 0750"):
        Claim(home / "k.sock").acquire()
    home.chmod(0o700)


def test_a_link_to_a_directory_is_refused(home: Path) -> None:
    (home / "real").mkdir(mode=0o700)
    (home / "link").symlink_to(home / "real")
    with pytest.raises(Denied, match="symlink"):
        Claim(home / "link" / "k.sock").acquire()


def test_a_path_that_is_too_long_is_refused(home: Path) -> None:
    with pytest.raises(Invalid, match="longer than 107 bytes"):
        Claim(home / ("x" * 100) / "k.sock").acquire()


def test_a_path_that_cannot_be_is_refused(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises((Denied, Invalid)):
        Claim(home / "file" / "k.sock").acquire()
    with pytest.raises(Invalid, match="cannot serve"):
        Claim(home / "file" / "deeper" / "k.sock").acquire()


def test_a_directory_in_the_way_is_refused_and_the_claim_is_free_again(home: Path) -> None:
    (home / "k.sock").mkdir()
    with pytest.raises(Invalid, match="cannot serve"):
        Claim(home / "k.sock").acquire()
    (home / "k.sock").rmdir()
    claim = Claim(home / "k.sock")
    claim.acquire().close()
    claim.release()


def test_releasing_what_was_never_acquired_does_nothing(home: Path) -> None:
    (home / "k.sock").write_text("not ours")
    Claim(home / "k.sock").release()
    assert (home / "k.sock").exists()
