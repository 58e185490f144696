"""Directories and the lock: ours alone, or refused in words."""

import os
from pathlib import Path

import pytest

from mooring.errors import Conflict, Denied, Unavailable
from mooring.programs.places import SOCKET_PATH_LIMIT, Lock, Places, holder, of, prepare


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "kept", tmp_path / "run")


def test_directories_are_made_for_us_alone(places: Places) -> None:
    prepare(places)
    prepare(places)
    assert {path.stat().st_mode & 0o777 for path in (places.data, places.runtime)} == {0o700}
    assert places.keys.is_dir()
    assert places.logs.is_dir()


def test_an_open_directory_is_refused_with_the_remedy(places: Places) -> None:
    places.data.mkdir(mode=0o755)
    places.data.chmod(0o755)
    with pytest.raises(Denied, match="Fix: chmod 700"):
        prepare(places)


def test_a_symlink_is_refused(places: Places, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    places.data.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Denied, match="symlink"):
        prepare(places)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_somebody_elses_directory_is_refused(places: Places) -> None:
    places.data.mkdir(mode=0o700)
    os.chown(places.data, 4242, 4242)
    with pytest.raises(Denied, match="belongs to uid 4242"):
        prepare(places)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="Not a directory"):
        prepare(Places(tmp_path / "file" / "kept", tmp_path / "run"))


def test_a_second_daemon_is_refused_by_name(places: Places) -> None:
    prepare(places)
    first = Lock(places)
    first.acquire()
    assert holder(places) == os.getpid()
    with pytest.raises(Conflict, match=rf"pid {os.getpid()}\) already runs"):
        Lock(places).acquire()
    first.release()
    assert holder(places) == 0
    again = Lock(places)
    again.acquire()
    again.release()


def test_what_a_dead_daemon_left_is_no_lock(places: Places) -> None:
    prepare(places)
    places.lock.write_text("1\n")
    assert holder(places) == 0
    lock = Lock(places)
    lock.acquire()
    lock.release()


def test_socket_paths_fit_however_long_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/" + "x" * 200)
    found = of("/data/" + "y" * 300)
    assert len(str(found.api_socket)) <= SOCKET_PATH_LIMIT
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert str(of("/data").runtime).startswith("/run/user/7/mooring-")


def test_each_data_directory_has_sockets_of_its_own() -> None:
    assert of("/a").runtime != of("/b").runtime
    assert of("/a").runtime == of("/a/").runtime
