"""Ids of questions lead back to who asked."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.virtual.questions import Origin, inward, outward

IDS = st.integers(-(10**18), 10**18).map(str) | st.text(max_size=30).map(json.dumps)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)


@settings(max_examples=40, deadline=None)
@given(NAMES, st.from_regex(r"[0-9a-f]{1,10}", fullmatch=True), IDS)
def test_an_id_comes_back_as_it_was(backend: str, mark: str, id: str) -> None:
    origin = Origin(backend, mark, id.encode())
    assert inward(outward(origin)) == origin


@settings(max_examples=40, deadline=None)
@given(NAMES, IDS, IDS)
def test_ids_of_different_backends_or_sessions_never_meet(name: str, one: str, other: str) -> None:
    ids = [
        outward(Origin(backend, mark, id.encode()))
        for backend in (name, "other")
        for mark in ("0", "a1")
        for id in (one, other)
    ]
    assert len(set(ids)) == len({(n, m, i) for n in (name, "other") for m in ("0", "a1")
                                 for i in (one, other)})  # fmt: skip


@pytest.mark.parametrize(
    "id", [b"7", b'"x"', b'"notes:7"', b'"notes.zz:7"', b'"notes.0:"', b'"notes.0:{}"', None]
)
def test_an_id_that_is_none_of_ours_leads_nowhere(id: bytes | None) -> None:
    assert inward(id) is None
