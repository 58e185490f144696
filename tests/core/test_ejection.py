"""Instances that a gateway leaves alone for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.ejection import FAILURES, FORGIVEN, Ejections

UIDS = [f"u{number}" for number in range(6)]


def fail(known: Ejections, uid: str, now: float, times: int = FAILURES) -> float:
    """Fails so often; the seconds that the last failure took it out for."""
    return [known.failed(uid, now) for _ in range(times)][-1]


def test_five_failures_in_a_row_take_an_instance_out_for_half_a_minute() -> None:
    known = Ejections()
    assert fail(known, "u0", 1000.0, FAILURES - 1) == 0.0
    assert known.away(["u0", "u1"], 1000.0) == ()
    assert known.failed("u0", 1000.0) == 30.0
    assert list(known.away(["u0", "u1"], 1000.0)) == ["u0"]
    assert known.told(1000.0) == {"u0": 30.0}
    assert list(known.away(["u0", "u1"], 1029.9)) == ["u0"]
    assert list(known.away(["u0", "u1"], 1030.0)) == []
    assert known.told(1030.0) == {}


def test_an_answer_between_them_begins_anew() -> None:
    known = Ejections()
    fail(known, "u0", 1000.0, FAILURES - 1)
    known.answered("u0", 1000.0)
    assert fail(known, "u0", 1000.0, FAILURES - 1) == 0.0
    known.answered("u0", 1000.0)
    assert known.failing == {}


def test_every_further_time_is_longer_up_to_five_minutes() -> None:
    known, now, taken = Ejections(), 1000.0, []
    for _ in range(12):
        taken.append(fail(known, "u0", now))
        now += taken[-1]
    assert taken == [30.0 * n for n in range(1, 11)] + [300.0, 300.0]


def test_what_was_long_ago_is_forgotten() -> None:
    known = Ejections()
    assert fail(known, "u0", 1000.0) == 30.0
    assert fail(known, "u0", 1030.0 + FORGIVEN) == 60.0
    known.answered("u0", 1090.0 + FORGIVEN)
    assert "u0" in known.failing
    assert fail(known, "u0", 1091.0 + 2 * FORGIVEN) == 30.0
    known.answered("u0", 1122.0 + 3 * FORGIVEN)
    assert known.failing == {}


def test_failures_while_it_is_out_change_nothing() -> None:
    known = Ejections()
    fail(known, "u0", 1000.0)
    known.away(["u0", "u1"], 1000.0)
    assert fail(known, "u0", 1010.0, 20) == 0.0
    assert known.told(1029.0) == {"u0": 30.0}
    assert known.told(1030.0) == {}


@pytest.mark.parametrize(("instances", "out"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3)])
def test_half_of_the_instances_are_tried_whatever_happened(instances: int, out: int) -> None:
    known = Ejections()
    for uid in UIDS:
        fail(known, uid, 1000.0)
    assert list(known.away(UIDS[:instances], 1001.0)) == UIDS[:out]
    assert known.told(1001.0) == dict.fromkeys(UIDS[:out], 30.0)


def test_those_that_are_gone_are_forgotten() -> None:
    known = Ejections()
    for uid in UIDS:
        fail(known, uid, 1000.0)
    known.away(["u1", "u7"], 1000.0)
    known.keep_only({"u1"})
    assert known.told(1000.0) == {"u1": 30.0}
    known.keep_only(set())
    assert (known.told(1000.0), known.failing) == ({}, {})


STEPS = st.tuples(
    st.sampled_from(UIDS), st.sampled_from(["fail", "answer"]), st.floats(0, 100, allow_nan=False)
)


@given(st.lists(STEPS, max_size=80), st.sets(st.sampled_from(UIDS), min_size=1))
def test_some_are_always_left(steps: list[tuple[str, str, float]], able: set[str]) -> None:
    known, now = Ejections(), 0.0
    for uid, what, later in steps:
        now += later
        if what == "fail":
            assert 0 <= known.failed(uid, now) <= 300
        elif uid in known.failing:
            known.answered(uid, now)
        away = set(known.away(sorted(able), now))
        assert away <= able
        assert len(able - away) >= max(1, len(able) / 2)
