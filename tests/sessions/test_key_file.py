"""The file of the keys of sessions: read, rotated, and taken up by those who run."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mooring.clock import SystemClock
from mooring.errors import Denied, Invalid
from mooring.sessions.key_file import LIMIT, LOOK_SECONDS, KeyFile
from mooring.sessions.keys import load_or_make
from mooring.sessions.ring import Ring
from mooring.testing.clock import FakeClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.key"


def test_keys_are_made_once_and_kept(path: Path) -> None:
    keys = KeyFile(path).keys()
    assert [len(key) for key in keys] == [32, 32]
    assert KeyFile(path).keys() == keys
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_one_key_is_fine(path: Path) -> None:
    only = load_or_make(path)
    assert KeyFile(path).keys() == (only,)
    sealing, following, last = KeyFile(path).rotate()
    assert last == only
    assert len({sealing, following, only}) == 3


def test_the_next_key_is_known_before_it_seals(path: Path) -> None:
    file = KeyFile(path)
    copy = file.ring()
    for _ in range(20):
        before = file.keys()
        after = file.rotate()
        assert (after[0], after[2]) == (before[1], before[0])
        sealed = Ring(*after).seal(b"x", b"p")
        assert copy.open(sealed, b"p") == b"x"
        copy.change(file.keys())
    assert len(file.keys()) == LIMIT


def test_what_was_sealed_opens_until_its_key_makes_room(path: Path) -> None:
    file = KeyFile(path)
    sealed = file.ring().seal(b"x", b"p")
    for _ in range(LIMIT - 2):
        file.rotate()
        assert file.ring().open(sealed, b"p") == b"x"
    file.rotate()
    assert file.ring().open(sealed, b"p") is None


def test_all_can_be_forgotten(path: Path) -> None:
    file = KeyFile(path)
    before = file.keys()
    assert not set(before) & set(file.renew())


@pytest.mark.parametrize("size", [0, 31, 33, 65, 32 * (LIMIT + 1)])
def test_a_file_of_another_size_is_refused_and_left_alone(path: Path, size: int) -> None:
    path.touch(0o600)
    path.write_bytes(b"k" * size)
    with pytest.raises(Invalid, match="keys of 32 bytes"):
        KeyFile(path).keys()
    with pytest.raises(Invalid):
        KeyFile(path).rotate()
    assert path.read_bytes() == b"k" * size


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    KeyFile(path).keys()
    path.chmod(0o644)
    with pytest.raises(Denied, match="chmod 600"):
        KeyFile(path).keys()


def test_who_runs_takes_a_rotated_file_up(path: Path, run: Any) -> None:
    async def test() -> None:
        clock = FakeClock()
        file = KeyFile(path)
        ring, changes = file.ring(), []
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(
                file.follow(ring, clock, lambda: changes.append(ring.keys))
            )
            await SystemClock().sleep(0)
            KeyFile(path).rotate()
            await clock.advance(LOOK_SECONDS)
            rotated = KeyFile(path).keys()
            assert ring.keys == rotated
            for spoil in (partial(path.write_bytes, b"short"), path.unlink):
                spoil()
                await clock.advance(LOOK_SECONDS)
                assert ring.keys == rotated
            assert changes == [rotated]
            following.cancel()

    run(test())
