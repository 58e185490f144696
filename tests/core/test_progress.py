"""How far a rollout has come, and since when it has come no further."""

from datetime import datetime, timedelta

from mooring.core.progress import Advance, Course, advance, claim
from mooring.kinds.server import Health, InstanceStatus, Rollout, State
from mooring.testing.clock import START

NEW = Course("new", 2, 3, 600, "revision 3")


def row(checksum: str, state: State = "Ready", health: Health = "healthy") -> InstanceStatus:
    return InstanceStatus(name="x-0", state=state, health=health, checksum=checksum, message="m")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def begun(*rows: InstanceStatus) -> Rollout:
    return advance(None, rows, NEW, START).rollout


def told(found: Advance) -> list[str]:
    return [happening.reason for happening in found.happenings]


def test_a_change_begins_a_rollout() -> None:
    found = advance(None, [row("old"), row("old")], NEW, START)
    assert (found.rollout.state, found.rollout.checksum) == ("Progressing", "new")
    assert (found.rollout.replacing, found.late_at) == (True, at(600))
    assert [h.message for h in found.happenings] == [
        "revision 3: instances are replaced one by one"
    ]


def test_a_server_that_never_served_has_nothing_to_replace() -> None:
    found = advance(None, [row("new", "Starting")], NEW, START)
    assert (found.rollout.state, found.rollout.replacing, told(found)) == ("Progressing", False, [])


def test_every_step_gives_more_time() -> None:
    first = begun(row("old"), row("old"))
    second = advance(first, [row("old"), row("new")], NEW, at(500))
    assert (second.rollout.updated, second.late_at) == (1, at(1100))
    third = advance(second.rollout, [row("old"), row("new")], NEW, at(900))
    assert third == Advance(second.rollout, (), at(1100))


def test_it_is_complete_once_all_are_new_and_none_is_old() -> None:
    under_way = begun(row("old"), row("old"))
    three = advance(under_way, [row("old"), row("new"), row("new")], NEW, at(5))
    assert three.rollout.state == "Progressing"
    done = advance(three.rollout, [row("new"), row("new")], NEW, at(6))
    assert (done.rollout.state, done.late_at, told(done)) == ("Complete", None, ["RolloutComplete"])
    again = advance(done.rollout, [row("new"), row("new")], NEW, at(7000))
    assert again == Advance(done.rollout)


def test_what_is_complete_stays_so_whatever_becomes_of_its_instances() -> None:
    done = begun(row("new"), row("new"))
    assert done.state == "Complete"
    found = advance(done, [row("new", "CrashLoopBackOff"), row("new", "ERROR")], NEW, at(9000))
    assert (found.rollout.state, found.rollout.updated, told(found)) == ("Complete", 0, [])


def test_an_instance_that_is_not_well_is_no_step() -> None:
    for health in ("degraded", "unhealthy", "unknown"):
        found = advance(begun(row("old")), [row("old"), row("new", health=health)], NEW, at(1))
        assert found.rollout.updated == 0


def test_without_a_step_it_stalls_once_and_says_so() -> None:
    under_way = begun(row("old"), row("old"))
    rows = [row("old"), row("old"), row("new", "ERROR")]
    assert advance(under_way, rows, NEW, at(599)).rollout.state == "Progressing"
    late = advance(under_way, rows, NEW, at(600))
    assert (late.rollout.state, late.late_at) == ("Stalled", None)
    (happening,) = late.happenings
    assert (happening.reason, happening.warning) == ("ProgressDeadlineExceeded", True)
    assert happening.message == (
        "revision 3 made no step within 600 s; the instances before it go on serving"
    )
    assert advance(late.rollout, rows, NEW, at(9000)) == Advance(late.rollout)


def test_a_step_after_all_ends_the_stall() -> None:
    stalled = advance(begun(row("old")), [row("old")], NEW, at(600)).rollout
    found = advance(stalled, [row("old"), row("new")], NEW, at(700))
    assert (found.rollout.state, found.late_at) == ("Progressing", at(1300))


def test_another_change_begins_anew() -> None:
    stalled = advance(begun(row("old")), [row("old")], NEW, at(600)).rollout
    newer = Course("newer", 2, 4, 600, "revision 4")
    found = advance(stalled, [row("old")], newer, at(700))
    assert (found.rollout.state, found.rollout.began_at) == ("Progressing", at(700))


def test_a_stopped_server_is_complete() -> None:
    none = Course("new", 0, 1, 600, "revision 1")
    assert advance(None, [], none, START).rollout.state == "Complete"


def test_a_claim_says_how_it_goes() -> None:
    under_way = advance(begun(row("old")), [row("old"), row("new")], NEW, at(1)).rollout
    found = claim(under_way, [], NEW)
    assert (found.holds, found.reason) == (True, "RolloutInProgress")
    assert found.message == "revision 3: 1 of 2 updated"
    tried = claim(under_way, [row("old"), row("new", "ERROR")], NEW)
    assert (tried.holds, tried.message) == (True, "revision 3: 1 of 2 updated; m")
    done = claim(begun(row("new"), row("new")), [], NEW)
    assert (done.holds, done.reason) == (True, "RolloutComplete")
    assert done.message == "revision 3 is rolled out"
    stalled = advance(begun(row("old")), [row("old")], NEW, at(600)).rollout
    failing = claim(stalled, [row("old"), row("new", "ERROR")], NEW)
    assert (failing.holds, failing.reason) == (False, "ProgressDeadlineExceeded")
    assert failing.message == (
        "revision 3 made no step within 600 s; the instances before it go on serving: "
        "0 of 2 updated; m"
    )
