"""What a look at an instance does to its row."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mooring.core.noticing import LOST, Moment, Noticed, notice
from mooring.core.workload import Ended, Observed
from mooring.core.world import Belief
from mooring.kinds.server import InstanceStatus, State
from mooring.testing.clock import START

SHAKEN = Belief(True, era="session")
REFUSED = Belief(False, message="handshake failed: token is required")
SEEN = Observed("time-0", "u1", "sum", "running", "http://there/mcp", started_at=START)


def at(seconds: float, chance: float = 0.5) -> Moment:
    return Moment(START + timedelta(seconds=seconds), chance)


def row(state: State = "Pending", **more: Any) -> InstanceStatus:
    return InstanceStatus(name="time-0", state=state, since=START, **more)


def starting(**more: Any) -> InstanceStatus:
    given = {"uid": "u1", "checksum": "sum", "attempt_count": 1, "last_attempt_at": START}
    return row("Starting", **{**given, **more})


def ready(**more: Any) -> InstanceStatus:
    given = {"uid": "u1", "checksum": "sum", "health": "healthy", "last_attempt_at": START}
    return row("Ready", **{**given, "address": "http://there/mcp", "era": "session", **more})


def exited(seconds: float, code: int = 1, last_line: str = "") -> Observed:
    ended = Ended(START + timedelta(seconds=seconds), code=code, last_line=last_line)
    return replace(SEEN, state="exited", address="", ended=ended)


def reasons(found: Noticed) -> list[str]:
    return [happening.reason for happening in found.happenings]


def test_a_new_instance_is_an_attempt() -> None:
    found = notice(row(attempt_count=2, next_retry_at=START), SEEN, None, at(1))
    assert (found.row.state, found.row.uid, found.row.checksum) == ("Starting", "u1", "sum")
    assert (found.row.address, found.row.health) == ("http://there/mcp", "unknown")
    assert (found.row.attempt_count, found.row.last_attempt_at) == (3, START)
    assert (found.row.next_retry_at, found.row.since) == (None, at(1).now)
    assert reasons(found) == ["Starting"]


def test_looking_twice_changes_nothing() -> None:
    for seen, belief in [
        (SEEN, None),
        (SEEN, SHAKEN),
        (SEEN, REFUSED),
        (exited(1), None),
        (replace(SEEN, state="installing", message="half of it"), None),
        (replace(SEEN, state="failed", message="no", reason="CannotInstall"), None),
        (None, None),
    ]:
        once = notice(starting(), seen, belief, at(10))
        twice = notice(once.row, seen, belief, at(20))
        assert (twice.row, twice.happenings) == (once.row, ())


def test_an_installation_shows_its_progress_and_is_one_event() -> None:
    seen = replace(SEEN, state="installing", address="", message="downloading\x1b[2J")
    found = notice(row(), seen, None, at(1))
    assert (found.row.state, found.row.message) == ("Installing", "downloading\\x1b[2J")
    assert reasons(found) == ["Installing"]
    further = notice(found.row, replace(seen, message="unpacking"), None, at(2))
    assert (further.row.message, further.row.since, reasons(further)) == (
        "unpacking",
        at(1).now,
        [],
    )


def test_a_handshake_makes_it_ready() -> None:
    found = notice(starting(message="x", attempt_count=4), SEEN, SHAKEN, at(2))
    assert (found.row.state, found.row.health, found.row.era) == ("Ready", "healthy", "session")
    assert (found.row.attempt_count, found.row.message, found.row.since) == (0, "", at(2).now)
    assert reasons(found) == ["Ready"]


def test_a_server_that_wants_a_login_is_ready() -> None:
    belief = Belief(True, era="session", health="unauthenticated")
    assert notice(starting(), SEEN, belief, at(2)).row.health == "unauthenticated"


def test_what_is_believed_of_a_ready_instance_is_shown() -> None:
    belief = Belief(True, health="degraded", message="timed out after 10 s")
    found = notice(ready(), SEEN, belief, at(2)).row
    assert (found.state, found.health, found.era) == ("Ready", "degraded", "session")
    assert found.message == "timed out after 10 s"


def test_a_ready_instance_is_believed_from_its_row() -> None:
    found = notice(ready(), SEEN, None, at(60))
    assert (found.row, found.happenings, found.stop) == (ready(), (), False)


def test_a_failed_handshake_ends_the_instance_and_the_attempt() -> None:
    found = notice(starting(), SEEN, REFUSED, at(60))
    assert found.stop
    assert (found.row.state, found.row.health) == ("ERROR", "unhealthy")
    assert (found.row.reason, found.row.message) == ("HandshakeFailed", REFUSED.message)
    assert found.row.next_retry_at == at(90).now
    assert reasons(found) == ["HandshakeFailed"]
    assert found.happenings[0].warning


def test_an_instance_in_error_that_still_runs_is_ended() -> None:
    assert notice(starting().model_copy(update={"state": "ERROR"}), SEEN, None, at(1)).stop


def test_an_end_before_ready_is_a_failed_attempt() -> None:
    found = notice(starting(), exited(1, last_line="missing API key"), None, at(1)).row
    assert (found.state, found.reason) == ("ERROR", "Exited")
    assert found.message == 'it ended before it was ready: exit 1, "missing API key"'


def test_what_cannot_start_says_so_in_its_own_words() -> None:
    seen = replace(SEEN, state="failed", reason="CommandNotFound", message="no such command: x")
    found = notice(row(), seen, None, at(1))
    assert (found.row.state, found.row.attempt_count) == ("ERROR", 1)
    assert (found.row.reason, found.row.message) == ("CommandNotFound", "no such command: x")
    assert reasons(found) == ["CommandNotFound"]


def test_what_no_retry_mends_says_so_and_is_retried_all_the_same() -> None:
    words = "command not found: x. Fix: install it, or give its whole path"
    seen = replace(SEEN, state="failed", reason="CommandNotFound", message=words, permanent=True)
    found = notice(starting(), seen, None, at(1)).row
    assert (found.state, found.reason) == ("ERROR", "CommandNotFound")
    assert found.message == (
        "command not found: x (no retry mends it). Fix: install it, or give its whole path"
    )
    assert found.next_retry_at == at(31).now


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 30), (5, 30), (6, 300), (20, 300)])
def test_failed_attempts_wait_by_their_number(attempts: int, seconds: float) -> None:
    found = notice(starting(attempt_count=attempts), exited(1), None, at(1)).row
    assert found.next_retry_at == at(1 + seconds).now


def test_the_first_crash_is_restarted_at_once() -> None:
    found = notice(ready(), exited(5, last_line="boom"), None, at(5))
    assert (found.row.state, found.row.health) == ("Restarting", "unhealthy")
    assert (found.row.message, found.row.next_retry_at) == ('exit 1, "boom"', None)
    assert (found.row.crashes, found.row.early_crashes) == (1, 1)
    assert reasons(found) == ["Exited"]


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 3), (0.5, 4), (1.0, 5)])
def test_later_crashes_wait_longer_and_chance_spreads_them(chance: float, seconds: float) -> None:
    found = notice(ready(crashes=3), exited(300), None, at(300, chance)).row
    assert found.next_retry_at == at(300 + seconds).now


def test_the_third_early_crash_is_a_loop() -> None:
    found = notice(ready(crashes=2, early_crashes=2), exited(59), None, at(59))
    assert found.row.state == "CrashLoopBackOff"
    assert reasons(found) == ["Exited", "CrashLoopBackOff"]


def test_a_late_crash_is_no_loop() -> None:
    found = notice(ready(crashes=7, early_crashes=7), exited(60), None, at(60)).row
    assert (found.state, found.crashes, found.early_crashes) == ("Restarting", 8, 7)


def test_crashes_are_forgotten_after_ten_minutes_ready() -> None:
    found = notice(ready(crashes=7, early_crashes=7), exited(600), None, at(600)).row
    assert (found.crashes, found.early_crashes, found.next_retry_at) == (1, 0, None)


def test_a_restart_is_counted_when_the_new_instance_is_there() -> None:
    crashed = notice(ready(restarts=4), exited(5), None, at(5)).row
    assert crashed.restarts == 4
    again = notice(crashed, replace(SEEN, uid="u2"), None, at(6)).row
    assert (again.restarts, again.state, again.attempt_count) == (5, "Starting", 1)


def test_a_retry_of_a_remote_server_has_the_same_uid_and_counts() -> None:
    failed = notice(starting(), SEEN, REFUSED, at(1)).row
    due = failed.model_copy(update={"state": "Pending", "next_retry_at": None})
    again = notice(due, SEEN, None, at(31)).row
    assert (again.state, again.attempt_count) == ("Starting", 2)


def test_a_retry_is_no_restart() -> None:
    failed = notice(starting(), exited(1), None, at(1)).row
    again = notice(failed, replace(SEEN, uid="u2"), None, at(31)).row
    assert (again.restarts, again.attempt_count) == (0, 2)


@pytest.mark.parametrize("before", [ready(), starting()])
def test_a_lost_instance_is_started_again_and_blamed_for_nothing(before: InstanceStatus) -> None:
    found = notice(before, None, None, at(100))
    assert (found.row.state, found.row.reason) == ("Pending", "Lost")
    assert (found.row.next_retry_at, found.row.crashes) == (None, 0)
    assert reasons(found) == ["Lost"]


def test_an_instance_that_keeps_getting_lost_is_held_back() -> None:
    assert notice(ready(), None, None, at(1)).row.next_retry_at == START + LOST


def test_an_instance_that_ends_by_no_wish_of_ours_is_waited_for() -> None:
    seen = replace(SEEN, state="stopping", address="")
    found = notice(ready(), seen, None, at(1)).row
    assert (found.state, found.health, found.address) == ("Pending", "unknown", "")
    assert found.message == "its predecessor is ending"


def test_a_failed_handshake_is_known_while_its_instance_is_ending() -> None:
    seen = replace(SEEN, state="stopping", address="")
    found = notice(starting(), seen, REFUSED, at(1))
    assert (found.row.state, found.row.reason, found.stop) == ("ERROR", "HandshakeFailed", False)


@pytest.mark.parametrize("state", ["Pending", "Restarting", "CrashLoopBackOff", "ERROR"])
@pytest.mark.parametrize("seen", [None, exited(1), replace(SEEN, state="stopping")])
def test_what_was_noticed_already_is_left_alone(state: State, seen: Observed | None) -> None:
    before = row(state, uid="u1", crashes=3, attempt_count=2, next_retry_at=at(9).now)
    assert notice(before, seen, None, at(2)) == Noticed(before)
