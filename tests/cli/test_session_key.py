"""`moor session-key`."""

from pathlib import Path
from typing import Any

import pytest

from mooring.programs import places
from mooring.sessions.key_file import KeyFile


@pytest.fixture
def keys(data_dir: Path) -> Path:
    return places.of(str(data_dir)).keys / "sessions.key"


def told(said: Any) -> list[list[str]]:
    assert said.code == 0
    return [line.split() for line in said.out.splitlines()]


def test_keys_are_shown_by_names_that_do_not_give_them_away(moor: Any, keys: Path) -> None:
    said = moor("session-key")
    assert [use for use, _ in told(said)] == ["seals", "next"]
    assert told(moor("session-key")) == told(said)
    assert said.err == f"{keys}\n"
    held = keys.read_bytes()
    assert not any(held[at : at + 4].hex() in said.out for at in range(len(held) - 3))


def test_a_rotation_has_the_next_key_seal(moor: Any, keys: Path) -> None:
    before = told(moor("session-key"))
    after = told(moor("session-key", "rotate"))
    assert [use for use, _ in after] == ["seals", "next", "opens"]
    assert (after[0][1], after[2][1]) == (before[1][1], before[0][1])


def test_all_keys_can_be_forgotten(moor: Any, keys: Path) -> None:
    before = told(moor("session-key"))
    after = told(moor("session-key", "rotate", "--forget"))
    assert not {name for _, name in before} & {name for _, name in after}


def test_another_file_can_be_meant(moor: Any, keys: Path, tmp_path: Path) -> None:
    other = tmp_path / "shared.key"
    told(moor("session-key", "rotate", "--session-key", str(other)))
    assert len(KeyFile(other).keys()) == 3
    assert not keys.exists()


def test_a_file_open_to_others_is_refused(moor: Any, keys: Path) -> None:
    moor("session-key")
    keys.chmod(0o644)
    said = moor("session-key")
    assert (said.code, said.out) == (6, "")
    assert "chmod 600" in said.err
