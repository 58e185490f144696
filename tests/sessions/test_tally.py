"""What a gateway tells of recoveries, ejections and its store, once."""

from mooring.core.reporting import Recovery, Report
from mooring.kinds.ref import Ref
from mooring.sessions.tally import Tally

NOTES = Ref("MCPServer", "default", "notes")


def test_recoveries_are_told_until_they_were_heard_and_counted_for_ever() -> None:
    tally = Tally()
    for _ in range(2):
        tally.recovered(NOTES, "u1", "recovered")
    told = tally.add_to(Report())
    assert told.recoveries == (
        Recovery(server="default/notes", lost="u1", outcome="recovered", count=2),
    )
    tally.recovered(NOTES, "u1", "recovered")
    tally.recovered(NOTES, "u1", "failed")
    tally.arrived(told)
    assert [(each.outcome, each.count) for each in tally.add_to(Report()).recoveries] == [
        ("failed", 1), ("recovered", 1),
    ]  # fmt: skip
    tally.arrived(tally.add_to(Report()))
    assert tally.add_to(Report()) == Report()
    assert tally.outcomes == {"recovered": 3, "failed": 1}


def test_ejections_and_the_state_of_the_store_are_told_as_they_are() -> None:
    tally = Tally()
    tally.ejections = lambda: {"u2": 30.2, "u1": 60}
    tally.store = "redis does not answer"
    told = tally.add_to(Report(loads={"u1": (1, 0)}))
    assert told == Report(
        loads={"u1": (1, 0)}, ejections={"u1": 60, "u2": 30}, store="redis does not answer"
    )
