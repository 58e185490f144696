"""Ids that are the same, and ids that are not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.ids import plain, same


@given(st.text() | st.integers(), st.booleans())
def test_an_id_is_the_same_however_it_is_written(value: str | int, escaped: bool) -> None:
    one = json.dumps(value).encode()
    other = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    if b"\xed" not in other or escaped:
        assert same(one, other.replace(b"/", b"\\/"))
        assert plain(plain(one)) == plain(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [(b"1", b'"1"'), (b"1", b"-1"), (b'"a"', b'"A"'), (b'""', b"0"), (b"0", None), (None, b'""')],
)
def test_other_ids_are_others(one: bytes | None, other: bytes | None) -> None:
    assert not same(one, other)


def test_no_id_is_no_id() -> None:
    assert same(None, None)


def test_half_a_surrogate_pair_is_an_id_too() -> None:
    assert same(rb'"\ud800"', rb'"\uD800"')
    assert not same(rb'"\ud800"', rb'"\udbff"')
