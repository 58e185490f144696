"""Streams of events, however the network slices them."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mooring.transports.sse import EventSplitter, SseEvent, encode


def split(stream: bytes) -> list[SseEvent]:
    return EventSplitter().feed(stream)


def sliced(stream: bytes, cuts: list[int]) -> tuple[list[SseEvent], bytes]:
    """What comes of a stream that arrives in pieces."""
    splitter = EventSplitter()
    events: list[SseEvent] = []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        events += splitter.feed(stream[start:end])
    return events, splitter.pending


# What an event says.


def test_an_event_of_the_python_sdk() -> None:
    raw = b'event: message\r\ndata: {"jsonrpc":"2.0"}\r\n\r\n'
    assert split(raw) == [SseEvent(raw, b'{"jsonrpc":"2.0"}')]


def test_an_event_with_everything() -> None:
    raw = b"id: 7\nevent: endpoint\nretry: 100\ndata: a\ndata\ndata:b\nother: x\n: comment\n\n"
    assert split(raw) == [SseEvent(raw, b"a\n\nb", "endpoint", b"7", 100)]


def test_a_priming_event_has_an_id_and_no_data() -> None:
    raw = b"id: 1480\ndata: \nretry: 100\n\n"
    assert split(raw) == [SseEvent(raw, b"", "message", b"1480", 100)]


def test_a_comment_is_an_event_without_data() -> None:
    assert split(b": ping\r\n\r\n") == [SseEvent(b": ping\r\n\r\n")]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_all_three_ends_of_a_line_are_understood(newline: bytes) -> None:
    raw = newline.join((b"data: a", b"data: b", b"", b""))
    assert split(raw * 2) == [SseEvent(raw, b"a\nb")] * 2


def test_only_the_first_space_after_the_colon_is_left_out() -> None:
    assert split(b"data:  a \n\n")[0].data == b" a "


def test_a_byte_order_mark_counts_at_the_start_only() -> None:
    first, second = split(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n")
    assert (first.data, second.data) == (b"a", b"")
    assert first.raw.startswith(b"\xef\xbb\xbf")


def test_fields_that_make_no_sense_are_passed_over() -> None:
    event = split(b"id: a\0b\nretry: soon\nretry: 5s\nevent:\ndata: x\n\n")[0]
    assert (event.id, event.retry, event.event) == (None, None, "message")


def test_a_retry_of_any_length_is_a_number() -> None:
    assert split(b"retry: " + b"9" * 10_000 + b"\n\n")[0].retry == 999_999_999


def test_foreign_bytes_in_the_name_of_an_event_do_no_harm() -> None:
    assert split(b"event: \xff\n\n")[0].event == "\ufffd"


# When it is complete.


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_an_event_is_given_with_its_last_byte(newline: bytes) -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a" + newline) == []
    assert splitter.feed(newline[:-1]) == []
    assert [e.data for e in splitter.feed(newline[-1:])] == [b"a"]
    assert splitter.pending == b""


def test_after_a_lone_cr_nothing_more_is_waited_for() -> None:
    splitter = EventSplitter()
    assert [e.raw for e in splitter.feed(b"data: a\r\r")] == [b"data: a\r\r"]
    assert splitter.feed(b"\n") == []
    assert [e.raw for e in splitter.feed(b"data: b\r\r")] == [b"\ndata: b\r\r"]


def test_what_is_incomplete_is_pending() -> None:
    splitter = EventSplitter()
    assert len(splitter.feed(b"data: a\n\ndata: b\n")) == 1
    assert splitter.pending == b"data: b\n"


# Bounds.


def test_an_event_over_the_limit_is_refused_before_it_is_complete() -> None:
    splitter = EventSplitter(limit=100)
    splitter.feed(b"data: " + b"x" * 90)
    with pytest.raises(ValueError, match="over 100 bytes"):
        splitter.feed(b"x" * 10)


def test_an_event_over_the_limit_is_refused_when_it_comes_at_once() -> None:
    with pytest.raises(ValueError, match="over 10 bytes"):
        EventSplitter(limit=10).feed(b"data: 1\n\ndata: 123456\n\n")


def test_events_within_the_limit_may_come_together() -> None:
    assert len(EventSplitter(limit=10).feed(b"data: 1\n\n" * 50)) == 50


# Against the rule of the standard, read slowly.

PARTS = st.sampled_from(
    [b"data: a", b"data:", b"data", b": c", b"id: 1", b"id:", b"event: x", b"retry: 5", b"x", b"",
     b"\n", b"\n", b"\n", b"\r", b"\r\n", b"\r\n", b"\xef\xbb\xbf", b" "]
)  # fmt: skip
STREAMS = st.lists(PARTS, max_size=14).map(b"".join)
CUTS = st.lists(st.integers(0, 1000), max_size=6)


def slowly(stream: bytes) -> list[tuple[bytes, str, bytes | None]]:
    """Data, name and id of each block, complete at the end of a blank line."""
    lines = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    blocks: list[tuple[bytes, str, bytes | None]] = []
    fields: list[tuple[bytes, bytes]] = []
    for line in lines.split(b"\n")[:-1]:
        if line:
            name, _, value = line.partition(b":")
            fields.append((name, value.removeprefix(b" ")))
            continue
        last = {name: value for name, value in fields if name in (b"id", b"event")}
        blocks.append(
            (
                b"\n".join(value for name, value in fields if name == b"data"),
                last.get(b"event", b"").decode(errors="replace") or "message",
                last.get(b"id"),
            )
        )
        fields.clear()
    return blocks


@settings(deadline=None)
@given(STREAMS)
@example(b"data: a\n\r\ndata: b\r\n\n")
@example(b"\xef\xbb\xbf\n\n")
@example(b"\r\r\n\r\r\n\n")
def test_events_are_those_of_the_standard(stream: bytes) -> None:
    ended = stream + b"x"  # so that nothing is left open at a CR
    assert [(e.data, e.event, e.id) for e in split(ended)] == slowly(ended)


@settings(deadline=None)
@given(STREAMS, CUTS)
@example(b"data: a\r\r\n\n", [8])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
def test_slices_change_nothing(stream: bytes, cuts: list[int]) -> None:
    events, pending = sliced(stream, cuts)
    assert events == split(stream)
    assert b"".join(event.raw for event in events) + pending == stream


# Writing.


def test_an_event_is_written_on_lines_ended_by_lf() -> None:
    assert encode(b"{}") == b"data: {}\n\n"
    assert encode(b"a\nb", "x", b"7") == b"event: x\nid: 7\ndata: a\ndata: b\n\n"


@settings(deadline=None)
@given(st.binary(max_size=30), st.sampled_from(["message", "endpoint", "é"]), st.binary(max_size=5))
def test_what_is_written_is_read(data: bytes, event: str, ident: bytes) -> None:
    if {0, 10, 13} & set(ident):
        with pytest.raises(ValueError, match="line break"):
            encode(data, event, ident)
        return
    written = encode(data, event, ident)
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    read = EventSplitter().feed(written)
    assert read == [SseEvent(written, lines, event, ident)]


def test_a_line_break_in_the_name_of_an_event_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        encode(b"", "a\nb")
