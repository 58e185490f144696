"""Which instances come and which go."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.rollout import Balance, balance, outdated
from mooring.kinds.server import InstanceStatus, State


def row(number: int, state: State = "Ready", checksum: str = "new") -> InstanceStatus:
    health = "healthy" if state == "Ready" else "unknown"
    return InstanceStatus(name=f"x-{number}", state=state, health=health, checksum=checksum)


def old(number: int) -> InstanceStatus:
    return row(number, checksum="old")


def going(found: Balance) -> list[str]:
    return [leaver.name for leaver in found.leaving]


def step(rows: list[InstanceStatus], wanted: int, *, exclusive: bool = False) -> Balance:
    return balance(rows, wanted, "new", exclusive=exclusive)


def test_as_many_come_as_are_missing() -> None:
    assert step([], 3) == Balance(coming=3)
    assert step([row(0), row(1, "Starting")], 3) == Balance(coming=1)


def test_what_fails_counts() -> None:
    assert step([row(0, "ERROR"), row(1, "CrashLoopBackOff")], 2) == Balance()


def test_the_highest_numbers_go_first() -> None:
    assert going(step([row(n) for n in (0, 2, 10, 9)], 2)) == ["x-10", "x-9"]


def test_what_does_not_serve_goes_before_what_does() -> None:
    assert going(step([row(0, "ERROR"), row(1), row(2)], 2)) == ["x-0"]


def test_with_none_wanted_all_go() -> None:
    assert going(step([row(0), old(1), row(2, "ERROR")], 0)) == ["x-0", "x-1", "x-2"]


def test_a_changed_workload_brings_one_more() -> None:
    assert step([old(0), old(1)], 2) == Balance(coming=1)


def test_while_the_new_one_is_not_ready_nobody_goes_and_nobody_comes() -> None:
    for state in ("Pending", "Installing", "Starting", "ERROR", "CrashLoopBackOff"):
        assert step([old(0), old(1), row(2, state)], 2) == Balance()


def test_a_new_one_that_is_not_well_replaces_nobody() -> None:
    unwell = row(2).model_copy(update={"health": "degraded"})
    assert step([old(0), old(1), unwell], 2) == Balance()


def test_when_the_new_one_is_ready_one_old_one_goes() -> None:
    assert going(step([old(0), old(1), row(2)], 2)) == ["x-1"]
    assert step([old(0), row(2)], 2) == Balance(coming=1)
    assert going(step([old(0), row(1), row(2)], 2)) == ["x-0"]


def test_more_are_wanted_in_the_middle_of_a_change() -> None:
    assert step([old(0), row(1)], 4) == Balance(coming=2)


def test_fewer_are_wanted_in_the_middle_of_a_change() -> None:
    rows = [old(0), old(1), old(2), row(3, "ERROR")]
    assert going(step(rows, 1)) == ["x-2", "x-1"]


def test_a_change_taken_back_leaves_those_that_serve() -> None:
    assert going(step([row(0), row(1), row(2, "ERROR", "gone")], 2)) == ["x-2"]


def test_where_two_cannot_run_side_by_side_the_old_one_goes_first() -> None:
    assert step([old(0)], 1, exclusive=True) == Balance((old(0),), coming=1)
    assert step([old(0), row(1, "ERROR")], 1, exclusive=True) == Balance((old(0),))
    assert step([row(1, "Pending")], 1, exclusive=True) == Balance()


def test_an_old_one_that_comes_back_counts_as_old() -> None:
    rows = [row(0, "Restarting", "old"), row(1, "ERROR")]
    assert balance(rows, 1, "new", exclusive=False, kept={"x-0"}) == Balance()
    gone = balance(rows, 1, "new", exclusive=False)
    assert going(gone) == ["x-1"]


def test_an_old_one_that_comes_back_leaves_once_the_new_one_is_ready() -> None:
    rows = [row(0, "Restarting", "old"), row(1)]
    assert going(balance(rows, 1, "new", exclusive=False, kept={"x-0"})) == ["x-0"]


STATES = st.sampled_from(["Pending", "Starting", "Ready", "ERROR", "Restarting"])
ROWS = st.lists(st.tuples(STATES, st.sampled_from(["old", "new"])), max_size=6).map(
    lambda pairs: [row(n, state, checksum) for n, (state, checksum) in enumerate(pairs)]
)


@given(ROWS, st.integers(0, 6), st.booleans(), st.randoms())
def test_the_order_of_rows_does_not_matter(
    rows: list[InstanceStatus], wanted: int, exclusive: bool, chance: Any
) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)
    first, second = (step(r, wanted, exclusive=exclusive) for r in (rows, shuffled))
    assert sorted(going(first)) == sorted(going(second))
    assert first.coming == second.coming


@given(ROWS, st.integers(0, 6))
def test_a_change_never_takes_the_number_that_serves_below_what_is_wanted(
    rows: list[InstanceStatus], wanted: int
) -> None:
    serving = {r.name for r in rows if r.state == "Ready"}
    found = step(rows, wanted)
    left = serving - set(going(found))
    assert len(left) >= min(len(serving), wanted)
    assert len(rows) - len(found.leaving) + found.coming <= max(len(rows), wanted + 1)


@given(ROWS, st.integers(1, 6))
def test_it_ends_with_as_many_as_are_wanted(rows: list[InstanceStatus], wanted: int) -> None:
    names = iter(range(100, 999))
    for _ in range(50):
        found = step(rows, wanted)
        if not found.leaving and not found.coming:
            break
        rows = [r for r in rows if r not in found.leaving]
        rows = [r if outdated(r, "new") else row(int(r.name[2:])) for r in rows]
        rows += [row(next(names)) for _ in range(found.coming)]
    if all(r.state == "Ready" for r in rows):
        assert len(rows) == wanted
        assert {r.checksum for r in rows} == {"new"}
