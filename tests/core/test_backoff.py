"""How long to wait before something that failed is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core import backoff

CHANCE = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 30), (4, 30), (5, 30), (6, 300), (99, 300)])
def test_the_first_five_failures_wait_half_a_minute_and_later_ones_five(
    attempts: int, seconds: float
) -> None:
    assert backoff.retry(attempts) == seconds


def test_a_crashed_instance_is_restarted_at_once_and_then_ever_later() -> None:
    delays = [backoff.restart(crashes, 0.5) for crashes in range(1, 11)]
    assert delays == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@given(st.integers(2, 10**9), CHANCE)
def test_chance_moves_a_restart_by_a_quarter_at_most(crashes: int, chance: float) -> None:
    plain = backoff.restart(crashes, 0.5)
    assert 0.75 * plain <= backoff.restart(crashes, chance) <= 1.25 * plain


@given(st.integers(1, 10**9), CHANCE)
def test_a_failing_object_is_looked_at_again_within_twenty_seconds(
    failures: int, chance: float
) -> None:
    assert 0.375 <= backoff.look_again(failures, chance) <= 18.75
