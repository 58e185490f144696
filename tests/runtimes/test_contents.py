"""A package's directory is finished, or it is not."""

import os
from pathlib import Path

import pytest

from mooring.runtimes.contents import MARKER, Contents, discard, finish, lock, read

CONTENTS = Contents("a", "1.0", "sha256:ab", {"a": "bin/a"})


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "made"
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "a").touch()
    return directory


def test_a_finished_directory_says_what_is_in_it(made: Path) -> None:
    assert read(made) is None
    finish(made, CONTENTS)
    assert read(made) == CONTENTS


def test_a_directory_whose_program_is_gone_is_not_finished(made: Path) -> None:
    finish(made, CONTENTS)
    (made / "bin" / "a").unlink()
    assert read(made) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"package": "a"', '{"package": "a", "x": 1}'])
def test_a_marker_that_cannot_be_read_is_none(made: Path, text: str) -> None:
    (made / MARKER).write_text(text)
    assert read(made) is None


def test_what_is_discarded_is_gone_without_a_trace(made: Path) -> None:
    discard(made)
    discard(made)
    assert list(made.parent.iterdir()) == []


def test_a_directory_is_out_of_the_way_while_remains_are_still_there(made: Path) -> None:
    remains = made.parent / "made.trash0"
    remains.mkdir()
    (remains / "x").touch()
    discard(made)
    assert list(made.parent.iterdir()) == []


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    held = lock(path)
    assert lock(path) == -1
    os.close(held)
    again = lock(path)
    assert again >= 0
    os.close(again)
