"""Whether an instance is fit for new work."""

import pytest

from mooring.core.health import Standing, best, standing
from mooring.kinds.server import Health, InstanceStatus, State


def row(state: State, health: Health) -> InstanceStatus:
    return InstanceStatus(name="time-0", state=state, health=health)


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ("healthy", "preferred"),
        ("unauthenticated", "preferred"),
        ("degraded", "last-resort"),
        ("unhealthy", "out"),
        ("unknown", "out"),
    ],
)
def test_a_ready_instance_stands_as_it_is_believed(health: Health, expected: Standing) -> None:
    assert standing(row("Ready", health)) == expected


@pytest.mark.parametrize(
    "state",
    ["Pending", "Installing", "Starting", "Restarting", "CrashLoopBackOff", "ERROR", "Draining"],
)
def test_an_instance_that_is_not_ready_is_out(state: State) -> None:
    assert standing(row(state, "healthy")) == "out"


def test_a_server_stands_as_its_best_instance() -> None:
    preferred, last = row("Ready", "healthy"), row("Ready", "degraded")
    assert best([last, preferred]) == "preferred"
    assert best([last, row("ERROR", "healthy")]) == "last-resort"
    assert best([]) == "out"
