"""Several keys: the first seals, all open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.sessions.ring import Ring

KEYS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5, unique=True)
A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


@given(KEYS, st.data(), st.binary(max_size=200), st.binary(max_size=20))
def test_every_key_of_a_ring_opens(
    keys: list[bytes], data: st.DataObject, plain: bytes, purpose: bytes
) -> None:
    sealed = Ring(data.draw(st.sampled_from(keys))).seal(plain, purpose)
    assert Ring(*keys).open(sealed, purpose) == plain


@given(KEYS, st.binary(max_size=50))
def test_the_first_key_seals(keys: list[bytes], plain: bytes) -> None:
    sealed = Ring(*keys).seal(plain, b"p")
    assert Ring(keys[0]).open(sealed, b"p") == plain
    assert all(Ring(key).open(sealed, b"p") is None for key in keys[1:])


@given(st.binary(max_size=50), st.binary(max_size=9), st.binary(max_size=9))
def test_nothing_opens_for_another_purpose(plain: bytes, purpose: bytes, other: bytes) -> None:
    if purpose != other:
        assert Ring(A).open(Ring(A).seal(plain, purpose), other) is None


@given(st.binary(max_size=50), st.data())
def test_what_was_changed_or_cut_opens_for_nobody(plain: bytes, data: st.DataObject) -> None:
    sealed = Ring(A, B).seal(plain, b"p")
    at = data.draw(st.integers(0, len(sealed) - 1))
    flip = data.draw(st.integers(1, 255))
    assert Ring(A, B).open(sealed[:at], b"p") is None
    changed = sealed[:at] + bytes([sealed[at] ^ flip]) + sealed[at + 1 :]
    assert Ring(A, B).open(changed, b"p") is None


@given(st.binary(max_size=100))
def test_nonsense_opens_for_nobody(sealed: bytes) -> None:
    assert Ring(A, B, C).open(sealed, b"p") is None


def test_keys_can_be_changed_in_use() -> None:
    ring = Ring(A)
    before, code = ring.seal(b"x", b"p"), ring.code(b"t", b"p")
    ring.change((B, A))
    assert ring.open(before, b"p") == b"x"
    assert Ring(A).open(ring.seal(b"y", b"p"), b"p") is None
    assert ring.code(b"t", b"p") == Ring(B).code(b"t", b"p") != code
    assert list(ring.codes(b"t", b"p"))[1] == code
    ring.change((B,))
    assert ring.open(before, b"p") is None
    assert ring.keys == (B,)


def test_a_ring_has_a_key() -> None:
    with pytest.raises(ValueError, match="without keys"):
        Ring()


def test_codes_differ_by_key_purpose_and_what_is_told() -> None:
    codes = {
        Ring(key).code(told, purpose) for key in (A, B) for told in (A, B) for purpose in (A, B)
    }
    assert len(codes) == 8
