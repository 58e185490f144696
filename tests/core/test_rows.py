"""Rows of a status: their names, and how they change."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.rows import enter, free_names, new, number
from mooring.testing.clock import START

LATER = START + timedelta(seconds=5)


def test_time_moves_only_where_the_state_changes() -> None:
    row = new("time-0", START)
    assert enter(row, "Pending", LATER, message="waits").since == START
    assert enter(row, "Starting", LATER).since == LATER


@given(st.sets(st.integers(0, 20)), st.integers(0, 10))
def test_the_lowest_free_numbers_are_taken(taken: set[int], wanted: int) -> None:
    names = free_names("time", {f"time-{n}" for n in taken}, wanted)
    free = [n for n in range(40) if n not in taken]
    assert names == [f"time-{n}" for n in free[:wanted]]


@pytest.mark.parametrize(
    "name", ["time", "time-", "time-x", "time-01", "time-\u0661", "my-time-1", "-1"]
)
def test_other_names_are_no_instance_names(name: str) -> None:
    assert number("time", name) is None


@given(st.integers(0, 10**6))
def test_a_name_says_its_number(n: int) -> None:
    assert number("my-time", f"my-time-{n}") == n
