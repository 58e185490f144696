"""A server's status, made of its rows."""

from datetime import timedelta
from typing import Any

import pytest

from mooring.core.environment import Complaint
from mooring.core.summary import Outcome, summarize
from mooring.core.workload import Workload
from mooring.kinds.server import Health, InstanceStatus, MCPServer, Phase, ServerStatus, State
from mooring.testing.clock import START
from mooring.testing.stage import server

TIME = server("time")
TARGET = Workload(TIME.ref, "new", TIME.spec.source)
UNKNOWN = Complaint("SecretNotFound", "no secret", "complaint")


def row(state: State, health: Health = "unknown", checksum: str = "new") -> InstanceStatus:
    known: Health = "healthy" if state == "Ready" and health == "unknown" else health
    return InstanceStatus(name="time-0", state=state, health=known, checksum=checksum)


def summary(
    rows: list[InstanceStatus], wanted: int, of: MCPServer = TIME, target: Any = TARGET
) -> ServerStatus:
    named = tuple(r.model_copy(update={"name": f"time-{n}"}) for n, r in enumerate(rows))
    return summarize(of, Outcome(named, wanted, target, None, "http://127.0.0.1:8470"), START)


def condition(status: ServerStatus, type_: str) -> tuple[str, str, str]:
    found = next(c for c in status.conditions if c.type == type_)
    return found.status, found.reason, found.message


@pytest.mark.parametrize(
    ("states", "wanted", "phase"),
    [
        ([], 0, "Stopped"),
        (["Draining"], 0, "Stopped"),
        (["Pending"], 1, "Pending"),
        (["Pending", "Starting"], 2, "Starting"),
        (["Pending", "Starting", "Installing"], 3, "Installing"),
        (["Restarting"], 1, "Starting"),
        (["ERROR"], 1, "Failed"),
        (["CrashLoopBackOff", "ERROR"], 2, "Failed"),
        (["ERROR", "Starting"], 2, "Starting"),
        (["Ready"], 1, "Ready"),
        (["Ready", "Starting"], 2, "Starting"),
        (["Ready", "ERROR"], 2, "Degraded"),
        (["Ready", "Restarting"], 2, "Degraded"),
        (["Ready", "Draining"], 1, "Ready"),
        (["Ready", "ERROR"], 1, "Ready"),
    ],
)
def test_the_phase_is_the_whole_truth_in_a_word(
    states: list[State], wanted: int, phase: Phase
) -> None:
    assert summary([row(state) for state in states], wanted).phase == phase


@pytest.mark.parametrize(
    ("healths", "phase", "ready"),
    [
        (["healthy", "unauthenticated"], "Ready", 2),
        (["healthy", "degraded"], "Degraded", 1),
        (["degraded", "degraded"], "Degraded", 0),
        (["healthy", "unhealthy"], "Degraded", 1),
        (["unhealthy", "unhealthy"], "Failed", 0),
    ],
)
def test_only_what_is_fit_for_new_work_counts(
    healths: list[Health], phase: Phase, ready: int
) -> None:
    found = summary([row("Ready", health) for health in healths], 2)
    assert (found.phase, found.ready_instances) == (phase, ready)


def test_a_deleted_server_is_terminating() -> None:
    meta = TIME.metadata.model_copy(update={"deletion_timestamp": START})
    found = summary([row("Draining")], 0, of=TIME.model_copy(update={"metadata": meta}))
    assert found.phase == "Terminating"
    assert condition(found, "Ready")[:2] == ("False", "Terminating")


def test_the_facts_are_there() -> None:
    meta = TIME.metadata.model_copy(update={"generation": 7, "namespace": "team-a"})
    found = summary([row("Ready")], 1, of=TIME.model_copy(update={"metadata": meta}))
    assert (found.replicas, found.checksum, found.observed_generation) == (1, "new", 7)
    assert found.url == "http://127.0.0.1:8470/ns/team-a/servers/time/mcp"
    assert summary([], 1).url == "http://127.0.0.1:8470/servers/time/mcp"


@pytest.mark.parametrize(
    ("states", "wanted", "status", "reason"),
    [
        (["Ready", "Ready"], 2, "True", "AllInstancesReady"),
        (["Ready", "ERROR"], 2, "False", "SomeInstancesReady"),
        (["Starting"], 1, "False", "NoInstancesReady"),
        ([], 0, "False", "Stopped"),
    ],
)
def test_the_ready_condition_has_its_reason_and_the_sentence(
    states: list[State], wanted: int, status: str, reason: str
) -> None:
    found = summary([row(state) for state in states], wanted)
    assert condition(found, "Ready") == (status, reason, found.message)
    assert found.message.startswith(("Ready ", "Stopped"))


def test_why_nothing_can_run_is_the_reason() -> None:
    found = summary([row("ERROR")], 1, target=UNKNOWN)
    assert condition(found, "Ready")[:2] == ("False", "SecretNotFound")
    assert found.checksum == "complaint"


def test_the_updated_condition_tells_how_a_change_goes() -> None:
    old = row("Ready", checksum="old")
    assert condition(summary([row("Ready")], 1), "Updated")[0] == "True"
    assert condition(summary([old, row("Starting")], 1), "Updated") == (
        "False",
        "UpdateInProgress",
        "1 instance to be updated",
    )
    broken = row("ERROR").model_copy(update={"message": "no such command"})
    assert condition(summary([old, old, broken], 2), "Updated") == (
        "False",
        "UpdateFailing",
        "2 instances to be updated; no such command",
    )


def test_rows_are_sorted_by_name() -> None:
    rows = tuple(InstanceStatus(name=name) for name in ("time-2", "time-0", "time-1"))
    found = summarize(TIME, Outcome(rows, 3, TARGET, None, ""), START)
    assert [r.name for r in found.instances] == ["time-0", "time-1", "time-2"]


def test_the_same_again_is_the_same() -> None:
    first = summary([row("Ready"), row("ERROR")], 2)
    again = TIME.model_copy(update={"status": first})
    outcome = Outcome(first.instances, 2, TARGET, None, "http://127.0.0.1:8470")
    assert summarize(again, outcome, START + timedelta(hours=1)) == first


def test_a_store_of_records_that_is_away_is_a_condition_from_then_on() -> None:
    def settled(of: MCPServer, trouble: str) -> ServerStatus:
        outcome = Outcome((), 0, TARGET, None, "", store_trouble=trouble)
        return summarize(of, outcome, START)

    assert not any(c.type == "SessionStoreAvailable" for c in settled(TIME, "").conditions)
    away = settled(TIME, "gateway 1: away")
    told = condition(away, "SessionStoreAvailable")
    assert told == ("False", "SessionStoreUnavailable", "gateway 1: away")
    back = settled(TIME.model_copy(update={"status": away}), "")
    assert condition(back, "SessionStoreAvailable") == ("True", "SessionStoreReachable", "")


def test_one_reason_for_all_is_the_reason() -> None:
    def reason(*rows: InstanceStatus) -> str:
        return condition(summary(list(rows), len(rows)), "Ready")[1]

    missing = row("ERROR").model_copy(update={"reason": "CommandNotFound"})
    exited = row("ERROR").model_copy(update={"reason": "Exited"})
    looping = row("CrashLoopBackOff").model_copy(update={"reason": "Exited"})
    assert reason(missing, missing) == "CommandNotFound"
    assert reason(missing, exited) == "NoInstancesReady"
    assert reason(looping) == "CrashLoopBackOff"
    assert reason(missing, row("Starting")) == "NoInstancesReady"
    assert reason(missing, row("Ready")) == "SomeInstancesReady"
