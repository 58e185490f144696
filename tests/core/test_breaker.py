"""A remote backend that fails is left alone for a while."""

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.breaker import Breaker
from mooring.kinds.virtual import RemoteHealth

POLICY = RemoteHealth(failure_threshold=3, interval_seconds=30, timeout_seconds=10)


def broken() -> Breaker:
    breaker = Breaker()
    assert [breaker.failed(POLICY, 0.0) for _ in range(3)] == [False, False, True]
    return breaker


def test_failures_below_the_threshold_stop_nobody() -> None:
    breaker = Breaker()
    for _ in range(2):
        breaker.failed(POLICY, 0.0)
        assert breaker.refuses(POLICY, 0.0) == 0
    breaker.answered()
    breaker.failed(POLICY, 0.0)
    assert breaker.refuses(POLICY, 0.0) == 0


def test_at_the_threshold_calls_are_refused_until_the_interval_is_over() -> None:
    breaker = broken()
    assert breaker.refuses(POLICY, 0.0) == 30
    assert breaker.refuses(POLICY, 29.0) == 1


def test_then_one_call_is_let_through_and_decides() -> None:
    breaker = broken()
    assert breaker.refuses(POLICY, 30.0) == 0
    assert breaker.refuses(POLICY, 30.0) == 10
    breaker.answered()
    assert breaker.refuses(POLICY, 30.0) == 0
    again = broken()
    assert again.refuses(POLICY, 30.0) == 0
    assert again.failed(POLICY, 31.0)
    assert again.refuses(POLICY, 40.0) == 21


def test_a_call_that_never_comes_back_holds_up_the_next_one_for_a_time_only() -> None:
    breaker = broken()
    assert breaker.refuses(POLICY, 30.0) == 0
    assert breaker.refuses(POLICY, 39.0) == 1
    assert breaker.refuses(POLICY, 40.0) == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=60))
def test_a_backend_is_never_left_alone_for_longer_than_the_interval(
    steps: list[tuple[bool, int]],
) -> None:
    breaker, now = Breaker(), 0.0
    for ok, pause in steps:
        now += pause
        assert breaker.refuses(POLICY, now) <= POLICY.interval_seconds
        if ok:
            breaker.answered()
        else:
            breaker.failed(POLICY, now)
    assert breaker.refuses(POLICY, now + POLICY.interval_seconds) == 0
