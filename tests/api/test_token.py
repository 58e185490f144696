"""The token: made once, replaced at will, and told by its bytes alone."""

import os
from pathlib import Path

import pytest

from mooring.api.token import LENGTH, TokenFile
from mooring.errors import Denied, Invalid


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.token"


def test_a_token_is_made_once_and_for_us_alone(path: Path) -> None:
    made = TokenFile(path).text()
    assert (len(made), made.isalnum()) == (LENGTH, True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert TokenFile(path).text() == made


def test_only_the_token_opens(path: Path) -> None:
    token = TokenFile(path)
    right = token.text().encode()
    named = token.opened_by(right)
    assert named is not None
    assert named.startswith("token:")
    assert token.text() not in named
    wrong = (b"", right[:-1], right + b"x", right.swapcase(), "é".encode())
    assert [token.opened_by(each) for each in wrong] == [None] * len(wrong)


def test_a_replaced_token_opens_nothing_at_once(path: Path) -> None:
    ours = TokenFile(path)
    before = ours.text().encode()
    assert ours.opened_by(before)
    after = TokenFile(path).rotate().encode()
    assert ours.opened_by(before) is None
    assert ours.opened_by(after)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_token_that_was_removed_opens_nothing(path: Path) -> None:
    token = TokenFile(path)
    before = token.text().encode()
    path.unlink()
    assert token.opened_by(before) is None


def test_a_file_open_to_others_lets_nobody_in(path: Path) -> None:
    token = TokenFile(path)
    right = token.text().encode()
    assert token.opened_by(right)
    path.chmod(0o644)
    assert token.opened_by(right) is None
    with pytest.raises(Denied, match="chmod 600"):
        token.text()


@pytest.mark.parametrize("content", [b"", b"short\n", b"x" * 42 + b"!", "é".encode() * 30])
def test_a_file_without_a_token_is_refused_in_words(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(handle, content)
    os.close(handle)
    token = TokenFile(path)
    with pytest.raises(Invalid, match="moor token rotate"):
        token.text()
    assert token.opened_by(content.strip()) is None
    assert token.opened_by(token.rotate().encode())
