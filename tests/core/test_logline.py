"""The form of a log line, both ways."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.logline import STAMP_WIDTH, LogLine, mark, parse, stamp

NOON = datetime(2026, 1, 2, 12, 0, 0, 5_000, UTC)


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001
def test_a_stamp_is_always_as_wide(at: datetime) -> None:
    assert len(stamp(at)) == STAMP_WIDTH


@given(
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),  # noqa: DTZ001
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")),
)
def test_what_was_written_is_read(at: datetime, text: str) -> None:
    line = parse(stamp(at) + b" " + text.encode() + b"\n")
    assert line is not None
    assert line.text == text
    assert not line.mark
    assert timedelta() <= at - line.at < timedelta(milliseconds=1)


def test_a_remark_of_the_keeper_is_told_from_what_a_server_says() -> None:
    said = stamp(NOON) + b" #started u1\n"
    assert parse(mark(NOON, "started", "u1")) == LogLine(NOON, mark=True, text="started u1")
    assert parse(said) == LogLine(NOON, mark=False, text="#started u1")


def test_bytes_that_are_no_text_are_replaced() -> None:
    line = parse(stamp(NOON) + b" a\xffb\r\n")
    assert line is not None
    assert line.text == "a\ufffdb"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"no stamp at all\n",
        b"2026-01-02T12:00:00.005Z",
        b"2026-01-02T12:00:00.005Zx text\n",
        b"2026-13-02T12:00:00.005Z text\n",
        b"2026-01-02T12:00:00.0051 text\n",
        b"\xff" * 40,
    ],
)
def test_a_line_in_another_form_is_none(line: bytes) -> None:
    assert parse(line) is None


def test_lines_sort_as_time_passes() -> None:
    later = NOON + timedelta(milliseconds=1)
    assert stamp(NOON) < stamp(later) < stamp(NOON + timedelta(days=400))


def test_the_time_is_in_utc() -> None:
    line = parse(b"2026-01-02T12:00:00.005Z x\n")
    assert line is not None
    assert line.at == datetime(2026, 1, 2, 13, 0, 0, 5_000, timezone(timedelta(hours=1)))
    assert line.at.tzinfo is UTC
