"""How a server is, in one sentence."""

from datetime import timedelta

import pytest

from mooring.core.sentence import count, ending, sentence
from mooring.core.workload import Ended
from mooring.kinds.server import Health, InstanceStatus, Phase, ServerStatus, State
from mooring.testing.clock import START

RETRY = START + timedelta(seconds=16)


def row(
    number: int, state: State = "Ready", health: Health = "healthy", **more: object
) -> InstanceStatus:
    fields = {"name": f"x-{number}", "state": state, "health": health, "checksum": "new", **more}
    return InstanceStatus.model_validate(fields)


def status(*rows: InstanceStatus, phase: Phase = "Degraded", wanted: int = 3) -> ServerStatus:
    ready = sum(r.state == "Ready" and r.health in ("healthy", "unauthenticated") for r in rows)
    return ServerStatus(
        phase=phase, instances=rows, ready_instances=ready, replicas=wanted, checksum="new"
    )


CRASHED = row(
    2, "CrashLoopBackOff", "unhealthy", message='exit 1, "missing API key"', next_retry_at=RETRY
)


def test_what_is_stored_names_the_time_of_the_next_attempt() -> None:
    assert sentence(status(row(0), row(1), CRASHED)) == (
        'Ready 2/3, 1 instance CrashLoopBackOff (exit 1, "missing API key", retry at 00:00:16Z)'
    )


def test_what_is_shown_names_the_seconds_until_then() -> None:
    found = status(row(0), row(1), CRASHED)
    assert sentence(found, START) == (
        'Ready 2/3, 1 instance CrashLoopBackOff (exit 1, "missing API key", retry in 16 s)'
    )
    assert "retry in 0 s" in sentence(found, RETRY + timedelta(seconds=9))


def test_all_is_well() -> None:
    assert sentence(status(row(0), row(1), phase="Ready", wanted=2)) == "Ready 2/2"


@pytest.mark.parametrize("phase", ["Stopped", "Terminating"])
def test_nothing_runs(phase: Phase) -> None:
    assert sentence(status(phase=phase, wanted=0)) == phase
    leaving = row(0, "Draining", message="fewer are wanted")
    assert sentence(status(leaving, phase=phase, wanted=0)) == (
        f"{phase}, 1 instance Draining (fewer are wanted)"
    )


def test_states_are_counted_worst_first() -> None:
    rows = (row(0, "Installing"), row(1, "Installing"), row(2, "ERROR", message="no such command"))
    assert sentence(status(*rows)) == (
        "Ready 0/3, 1 instance ERROR (no such command), 2 instances Installing"
    )


def test_the_attempt_is_named_from_the_second_on() -> None:
    first, third = row(0, "Starting", attempt_count=1), row(0, "Starting", attempt_count=3)
    assert sentence(status(first, wanted=1)) == "Ready 0/1, 1 instance Starting"
    assert sentence(status(third, wanted=1)) == "Ready 0/1, 1 instance Starting (attempt 3)"


def test_several_reasons_are_not_mixed() -> None:
    rows = (row(0, "ERROR", message="one"), row(1, "ERROR", message="two"))
    assert sentence(status(*rows, wanted=2)) == "Ready 0/2, 2 instances ERROR (one; others differ)"


def test_ready_instances_that_are_not_well_are_named() -> None:
    rows = (
        row(0, health="unauthenticated"),
        row(1, health="degraded", message="timed out after 10 s"),
        row(2, health="unhealthy", message="token is required"),
    )
    assert sentence(status(*rows)) == (
        "Ready 1/3, 1 instance requires authentication, "
        "1 instance degraded (timed out after 10 s), 1 instance unhealthy (token is required)"
    )


def test_what_probes_found_says_since_when_and_what_happens_next() -> None:
    since = {"failed_probes": 3, "message": "token is required", "health_since": START}
    later = {**since, "message": "no", "health_since": RETRY}
    rows = (row(0, health="unhealthy", **since), row(1, health="unhealthy", **later))
    assert sentence(status(*rows, wanted=2), every=30) == (
        "Ready 0/2, 2 instances unhealthy (token is required; others differ, "
        "since 2026-01-01T00:00:00Z, probed every 30 s)"
    )
    waiting = row(0, "Starting", "degraded", failed_probes=1, message="token is required")
    assert sentence(status(waiting, wanted=1), every=30) == (
        "Ready 0/1, 1 instance Starting (token is required, probed every 30 s)"
    )


def test_verbs_agree_with_their_number() -> None:
    rows = (row(0, health="unauthenticated"), row(1, health="unauthenticated"))
    assert sentence(status(*rows, wanted=2)) == "Ready 2/2, 2 instances require authentication"


def test_instances_of_an_older_spec_are_named() -> None:
    rows = (row(0, checksum="old"), row(1, checksum="old"), row(2, "Starting"))
    assert sentence(status(*rows, phase="Ready", wanted=2)) == (
        "Ready 2/2, 1 instance Starting, 2 instances to be updated"
    )


def test_how_an_instance_ended() -> None:
    assert ending(Ended(START, code=1, last_line=" missing API key\n")) == (
        'exit 1, "missing API key"'
    )
    assert ending(Ended(START)) == "exit 0"
    assert ending(Ended(START, signal=9)) == "killed by SIGKILL"
    assert ending(Ended(START, signal=64, last_line="bye")) == 'killed by signal 64, "bye"'
    assert ending(None) == "it ended, and nobody saw how"
    assert "\x1b" not in ending(Ended(START, code=1, last_line="\x1b[2J"))


def test_numbers_have_their_plural() -> None:
    assert [count(n) for n in (0, 1, 2)] == ["0 instances", "1 instance", "2 instances"]
