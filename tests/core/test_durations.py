"""Durations, read and shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.durations import parse, short


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("500ms", 0.5), ("2d", 172800), ("45", 45),
     ("1.5h", 5400), ("0", 0)],
)  # fmt: skip
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5 m", "-5s", "5x", "m5", "1h-30m", "1e3"])
def test_other_text_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected one like"):
        parse(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (-5, "0s"), (59.9, "59s"), (119, "119s"), (120, "2m"), (299, "4m59s"),
     (600, "10m"), (3 * 3600 - 1, "179m"), (3 * 3600, "3h"), (3 * 3600 + 300, "3h5m"),
     (8 * 3600 + 60, "8h"), (86400, "24h"), (2 * 86400 + 3600, "2d1h"), (8 * 86400, "8d"),
     (730 * 86400, "2y"), (740 * 86400, "2y10d"), (9 * 365 * 86400, "9y")],
)  # fmt: skip
def test_ages_look_like_those_of_kubectl(seconds: float, shown: str) -> None:
    assert short(seconds) == shown


@given(st.integers(0, 10**10))
def test_what_is_shown_is_never_more_than_it_was(seconds: int) -> None:
    years, sign, rest = short(seconds).partition("y")
    total = int(years) * 365 * 86400 + (parse(rest) if rest else 0) if sign else parse(years)
    assert total <= seconds
