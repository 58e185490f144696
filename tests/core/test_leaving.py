"""How an instance leaves."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mooring.core.leaving import Departure, Known, ask_to_leave, leave
from mooring.core.load import Load
from mooring.core.workload import Observed
from mooring.kinds.server import InstanceStatus, State
from mooring.testing.clock import START

SEEN = Observed("time-0", "u1", "sum", "running", "http://there/mcp")
BUSY = Load(sessions=1)


def at(seconds: float) -> Any:
    return START + timedelta(seconds=seconds)


def row(state: State, address: str = "http://there/mcp") -> InstanceStatus:
    return InstanceStatus(name="time-0", uid="u1", state=state, since=START, address=address)


DRAINING = row("Draining")


def test_an_instance_that_serves_drains() -> None:
    found = ask_to_leave(row("Ready"), SEEN, "fewer are wanted", at(5))
    assert found.row is not None
    assert (found.row.state, found.row.since) == ("Draining", at(5))
    assert (found.row.address, found.row.message) == ("http://there/mcp", "fewer are wanted")
    assert (found.stop, found.look_at) == (False, at(6))
    assert [h.message for h in found.happenings] == ["time-0: draining, fewer are wanted"]


@pytest.mark.parametrize("state", ["Installing", "Starting", "ERROR", "CrashLoopBackOff"])
def test_an_instance_that_never_served_ends_at_once(state: State) -> None:
    found = ask_to_leave(row(state), SEEN, "fewer are wanted", at(5))
    assert found.stop
    assert found.row is not None
    assert (found.row.state, found.row.address) == ("Draining", "")


def test_what_is_ending_already_is_not_ended_again() -> None:
    assert not ask_to_leave(row("Ready"), replace(SEEN, state="stopping"), "x", at(5)).stop


def test_a_row_without_an_instance_just_goes() -> None:
    assert ask_to_leave(row("ERROR"), None, "fewer are wanted", at(5)) == Departure(None)


def test_gateways_are_given_a_second_to_hear_of_it() -> None:
    assert leave(DRAINING, SEEN, Known(None), 30, at(0.5)) == Departure(DRAINING, look_at=at(1))


@pytest.mark.parametrize("load", [None, Load()])
def test_without_sessions_it_ends(load: Load | None) -> None:
    assert leave(DRAINING, SEEN, Known(load), 30, at(1)) == Departure(DRAINING, stop=True)


@pytest.mark.parametrize("load", [BUSY, Load(calls=1)])
def test_with_sessions_it_stays_and_is_looked_at_again(load: Load) -> None:
    assert leave(DRAINING, SEEN, Known(load), 30, at(10)) == Departure(DRAINING, look_at=at(11))
    assert leave(DRAINING, SEEN, Known(load), 30, at(29.5)) == Departure(DRAINING, look_at=at(30))


@pytest.mark.parametrize(("drain", "now"), [(30, 30), (30, 99), (0, 0)])
def test_nobody_is_waited_for_longer_than_drain_seconds(drain: int, now: float) -> None:
    assert leave(DRAINING, SEEN, Known(BUSY), drain, at(now)).stop


@pytest.mark.parametrize("state", ["exited", "failed", "installing"])
def test_what_does_not_run_is_cleared_away(state: Any) -> None:
    assert leave(DRAINING, replace(SEEN, state=state), Known(BUSY), 30, at(1)).stop


def test_what_never_served_is_ended_again_if_need_be() -> None:
    assert leave(row("Draining", address=""), SEEN, Known(BUSY), 30, at(0)).stop


def test_what_is_ending_is_waited_for() -> None:
    ending = replace(SEEN, state="stopping")
    assert leave(DRAINING, ending, Known(BUSY), 30, at(99)) == Departure(DRAINING)


def test_once_gone_its_row_goes() -> None:
    found = leave(DRAINING, None, Known(None), 30, at(9))
    assert found.row is None
    assert [h.reason for h in found.happenings] == ["Stopped"]


def test_after_a_restart_gateways_have_time_to_tell_before_an_instance_is_ended() -> None:
    known = Known(None, at(2))
    assert leave(DRAINING, SEEN, known, 30, at(5)) == Departure(DRAINING, look_at=at(17))
    assert leave(DRAINING, SEEN, known, 30, at(17)).stop
    assert leave(DRAINING, SEEN, known, 10, at(5)) == Departure(DRAINING, look_at=at(10))
    assert leave(DRAINING, SEEN, Known(None, at(-60)), 30, at(2)).stop
