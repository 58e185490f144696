"""Ids of events that only their own session can resume from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.sessions.event_ids import EventIds
from mooring.sessions.ring import Ring
from mooring.transports.sse import EventSplitter

IDS = EventIds(Ring(bytes(32)))
ID = st.binary(min_size=1, max_size=20).filter(lambda b: not set(b) & set(b"\r\n\0"))


@given(st.binary(max_size=20), ID)
def test_a_session_gets_its_own_ids_back(scope: bytes, id: bytes) -> None:
    assert IDS.original(scope, IDS.mark(scope, id)) == id


@given(st.binary(max_size=9), st.binary(max_size=9), ID)
def test_no_other_session_does(scope: bytes, other: bytes, id: bytes) -> None:
    if scope != other:
        assert IDS.original(other, IDS.mark(scope, id)) is None


@given(st.binary(max_size=9), st.binary(max_size=40))
def test_an_id_that_was_never_given_is_none(scope: bytes, id: bytes) -> None:
    assert IDS.original(scope, id) is None


def test_another_installation_does_not_know_it() -> None:
    assert EventIds(Ring(b"x" * 32)).original(b"s", IDS.mark(b"s", b"7")) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"id: 7\ndata: x\n\n",
        b"id:7\r\ndata: id: 8\r\n\r\n",
        b"data: x\rid: 7\r\r",
        b"\xef\xbb\xbfid: 7\ndata: x\n\n",
        b"retry: 10\nid: 6\nid: 7\ndata:\n\n",
    ],
)
def test_the_last_id_of_an_event_is_marked_and_nothing_else(raw: bytes) -> None:
    marked = IDS.mark_event(b"s", raw)
    (before,) = EventSplitter().feed(raw + b"x")
    (after,) = EventSplitter().feed(marked + b"x")
    assert after.id == IDS.mark(b"s", b"7")
    assert (after.data, after.retry) == (before.data, before.retry)


@pytest.mark.parametrize("raw", [b"data: x\n\n", b": id: 7\n\n", b"id:\ndata: x\n\n", b"id\n\n"])
def test_an_event_without_an_id_is_left_alone(raw: bytes) -> None:
    assert IDS.mark_event(b"s", raw) == raw
