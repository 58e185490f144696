"""What the end of a stream means."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.gateway.following import LONGEST, Following, answers_alone
from mooring.sessions.event_ids import EventIds
from mooring.sessions.ring import Ring

NOTE = b'data: {"jsonrpc":"2.0","method":"x"}\n\n'
OTHER = b'data: {"jsonrpc":"2.0","id":"2","result":{}}\n\n'
QUESTION = b'data: {"jsonrpc":"2.0","id":2,"method":"elicitation/create"}\n\n'
ANSWER = b'data: {"result":{},"jsonrpc":"2.0","id":2}\n\n'
PRIMING = b"id: 5\nretry: 1\ndata:\n\n"
PING = b": ping\n\n"


@given(st.lists(st.sampled_from([NOTE, OTHER, QUESTION, PING])), st.lists(st.integers(1, 30)))
def test_what_goes_in_comes_out_and_never_half_an_event(
    events: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(events)
    following = Following(b"2")
    out = b""
    left = stream
    for cut in [*cuts, len(stream)]:
        out += following.feed(left[:cut])
        left = left[cut:]
        assert stream.startswith(out)
        assert not out or out.endswith(b"\n\n")
    assert out + following.rest() == stream
    assert following.abandoned


@pytest.mark.parametrize(
    ("stream", "alone"),
    [
        (ANSWER, True),
        (b"event: message\r\n" + ANSWER.replace(b"\n", b"\r\n"), True),
        (NOTE, False),
        (OTHER, False),
        (QUESTION, False),
        (NOTE + ANSWER, False),
        (ANSWER + PING, False),
        (b"id: 1\n" + ANSWER, False),
        (b"event: other\n" + ANSWER, False),
        (ANSWER[:-1], False),
        (b"", False),
    ],
)
def test_a_stream_of_nothing_but_the_answer_is_recognized(stream: bytes, alone: bool) -> None:
    assert answers_alone(stream, b"2") is alone
    assert not answers_alone(stream, None)


def test_an_id_is_the_same_however_it_is_written() -> None:
    event = 'data: {"jsonrpc":"2.0","id":"é/","result":{}}\n\n'.encode()
    following = Following(rb'"\u00e9\/"')
    assert following.feed(event) == event
    assert not following.abandoned
    assert answers_alone(event, rb'"\u00e9\/"')


@pytest.mark.parametrize("result", [b"[" * 100_000 + b"]" * 100_000, b'1,"Id":3', b'"\xff"'])
def test_an_answer_that_we_cannot_read_is_an_answer(result: bytes) -> None:
    following = Following(b"2")
    event = b'data: {"jsonrpc":"2.0","id":2,"result":' + result + b"}\n\n"
    assert following.feed(event) == event
    assert not following.abandoned
    assert answers_alone(event, b"2")


def test_an_answer_is_known_however_deeply_it_is_nested_and_however_it_is_written() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    event = b'data: { "result" : ' + deep + b', "more": 1, "id": "\\u0032" }\n\n'
    assert answers_alone(event, b'"2"')
    assert not answers_alone(event, b"2")


def test_the_answer_is_the_response_with_the_same_id() -> None:
    following = Following(b"2")
    for event in (NOTE, OTHER, QUESTION):
        following.feed(event)
        assert following.abandoned
    following.feed(ANSWER)
    assert not following.abandoned


def test_an_event_with_an_id_can_be_resumed_from() -> None:
    following = Following(b"2")
    following.feed(PRIMING)
    assert following.resumable
    assert not following.answered
    assert not following.abandoned


def test_where_nobody_waits_nothing_is_abandoned() -> None:
    assert not Following(None).abandoned


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"\n", b"\r\n", b"\r"]), st.sampled_from([3, 17, 30]), st.booleans()
        ),
        max_size=4,
    ),
    st.lists(st.integers(1, 40), max_size=8),
)
def test_every_id_is_marked_wherever_it_is_in_an_event_however_long(
    events: list[tuple[bytes, int, bool]], cuts: list[int]
) -> None:
    """Long and short events, the id before or after the data, cut wherever; nothing is lost."""
    texts = []
    for end, size, early in events:
        lines = [b"id: 5", b"data: " + b"id: 6" + b"x" * size, b"id", b"idle: id: 7"]
        texts.append(end.join([*(lines if early else reversed(lines)), b"", b""]))
    left = b"".join(texts)
    ids = EventIds(Ring(b"k" * 32))
    mark = partial(ids.mark_event, b"scope")
    out = b""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mooring.gateway.following.LONGEST", 20)
        following = Following(None, mark)
        for cut in [*cuts, len(left)]:
            out += following.feed(left[:cut])
            left = left[cut:]
    marked = b"id: " + ids.mark(b"scope", b"5")
    assert out + following.rest() == b"".join(texts).replace(b"id: 5", marked)


def test_an_event_past_the_limit_passes_as_it_comes_and_counts_as_the_answer() -> None:
    following = Following(b"2")
    assert following.feed(b"data: ") == b""
    long = b"x" * (LONGEST + 1)
    assert following.feed(long) == b"data: " + long
    assert following.feed(b"more\n\n") == b"more\n\n"
    assert following.rest() == b""
    assert not following.abandoned
