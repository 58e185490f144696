"""Sealed values open for whom they were sealed, under their key, undamaged; else not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.stores.seal import Seal

SEAL = Seal(b"k" * 32)


@given(st.dictionaries(st.text(), st.text()), st.text(max_size=40))
def test_what_was_closed_opens_again(clear: dict[str, str], owner: str) -> None:
    assert SEAL.open(SEAL.close(clear, owner), owner) == clear


def test_nothing_opens_for_another_owner_or_key() -> None:
    sealed = SEAL.close({"token": "x"}, "uid-1")
    assert SEAL.open(sealed, "uid-2") is None
    assert Seal(b"x" * 32).open(sealed, "uid-1") is None


@given(st.integers(min_value=0, max_value=40), st.integers(min_value=1, max_value=255))
def test_no_damaged_value_opens(place: int, change: int) -> None:
    sealed = bytearray(SEAL.close({"token": "x"}, "uid-1"))
    sealed[place % len(sealed)] ^= change
    assert SEAL.open(bytes(sealed), "uid-1") is None


@pytest.mark.parametrize("sealed", [b"", b"short", b"x" * 12, b"x" * 27])
def test_nonsense_does_not_open(sealed: bytes) -> None:
    assert SEAL.open(sealed, "") is None


def test_equal_values_do_not_look_equal() -> None:
    assert SEAL.close({"a": "b"}, "u") != SEAL.close({"a": "b"}, "u")


def test_a_key_has_thirty_two_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes, this one has 5"):
        Seal(b"short")
