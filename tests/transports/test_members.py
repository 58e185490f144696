"""The members of a JSON object, as they are written."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.transports.members import NotAnObject, NotJson, TooDeep, members, shallow, spans

KEYS = st.sampled_from(["a", "b", "", "é", '"', "\\", "\n", "\ud800"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "x", "é", "\ud800", '{"a":1}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)


@settings(deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=5), st.sampled_from(["", " ", "\r\n\t"]))
def test_every_member_is_listed_with_its_raw_text(
    pairs: list[tuple[str, object]], space: str
) -> None:
    written = [(key, json.dumps(value)) for key, value in pairs]
    text = (f"{space},{space}").join(
        f"{json.dumps(key)}{space}:{space}{value}" for key, value in written
    )
    raw = f"{space}{{{space}{text}{space}}}{space}".encode()
    expected = [(key, value.encode()) for key, value in written]
    assert members(raw) == expected
    for listed in (spans, shallow):
        assert [(key, raw[start:end]) for key, start, end in listed(raw)] == expected


def test_offsets_count_bytes() -> None:
    raw = '{"é":"ü","a":"ö"}'.encode()
    assert [raw[start:end].decode() for _, start, end in spans(raw)] == ['"ü"', '"ö"']


@pytest.mark.parametrize("reader", [members, spans])
@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"[1]", NotAnObject),
        (b" 1 ", NotAnObject),
        (b'"\\ud800"', NotAnObject),
        (b'["\\ud800"]', NotAnObject),
        (b"", NotJson),
        (b"{", NotJson),
        (b"{,}", NotJson),
        (b'{"a"}', NotJson),
        (b'{"a":}', NotJson),
        (b'{"a":1,}', NotJson),
        (b'{"a":1} {}', NotJson),
        (b'{"\\ud800":1}x', NotJson),
        (b"{a:1}", NotJson),
        (b"[1", NotJson),
        (b"[1] 2", NotJson),
        (b'{"a":Infinity}', NotJson),
        (b'{"\xff":1}', NotJson),
        (b"[" * 100_000, NotJson),
        (b'{"\\ud800":' + b"[" * 100_000, NotJson),
    ],
)
def test_anything_else_is_told_apart(
    reader: Callable[[bytes], object], raw: bytes, kind: type[ValueError]
) -> None:
    with pytest.raises(kind):
        reader(raw)


@pytest.mark.parametrize("deep", [b"[" * 99_999 + b"]" * 99_999, b'{"a":[' * 9_999 + b"]}" * 9_999])
def test_any_depth_is_listed_by_looking_at_brackets_only(deep: bytes) -> None:
    raw = b' {"a]" :' + deep + b' , "id":"}\\"{" }'
    with pytest.raises(TooDeep):
        spans(raw)
    with pytest.raises(TooDeep):
        members(raw)
    assert [(key, raw[a:b]) for key, a, b in shallow(raw)] == [
        ("a]", deep),
        ("id", b'"}\\"{"'),
    ]


@pytest.mark.parametrize(
    "raw",
    [b"", b"[1]", b"1", b"{", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1} {}', b"{a:1}",
     b'{"\\q":1}', b'{"a":[}', b'{"a":[}]}', b'{"a":[1}}', b'{"a":[[]', b'{"a":["]}',
     b'{"a":[\x00]}'],
)  # fmt: skip
def test_brackets_that_do_not_match_are_no_depth(raw: bytes) -> None:
    with pytest.raises((NotJson, NotAnObject)):
        shallow(raw)


def test_depth_that_would_take_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mooring.transports.members._PATIENCE", 10)
    assert shallow(b'{"a":' + b"[1," * 4 + b"1" + b"]" * 4 + b"}")
    with pytest.raises(TooDeep):
        shallow(b'{"a":' + b"[1," * 20 + b"1" + b"]" * 20 + b"}")


def test_what_is_not_an_object_is_named() -> None:
    with pytest.raises(NotAnObject, match="a batch"):
        members(b" [1]")
    with pytest.raises(NotAnObject, match="not an object"):
        members(b"1")
