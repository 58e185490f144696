"""`moor wait`, for scripts."""

from typing import Any

import pytest
from support.surface import Served, server

from mooring.cli.waiting import holds

Moor = Any
READY = ("wait", "--for=condition=Ready", "server/time")


def condition(status: str, generation: int = 1, name: str = "Ready") -> dict[str, Any]:
    return {"type": name, "status": status, "reason": "x", "observed_generation": generation,
            "last_transition_time": "2026-01-01T00:00:00Z"}  # fmt: skip


def test_what_holds_already_is_not_waited_for(api: Served, moor: Moor) -> None:
    api.report(api.put(server("time")), conditions=(condition("True"),))
    said = moor(*READY)
    assert (said.code, said.out) == (0, "server/time condition met\n")


def test_a_condition_is_waited_for(api: Served, begin: Any) -> None:
    time = api.put(server("time"))
    running = begin(*READY, "--timeout", "10s")
    api.report(time, conditions=(condition("False"),))
    api.report(time, conditions=(condition("True"),))
    assert running.line() == "server/time condition met"
    assert running.finish() == 0


def test_other_values_can_be_waited_for(api: Served, moor: Moor) -> None:
    api.report(api.put(server("time")), conditions=(condition("False"),))
    assert moor("wait", "--for=condition=ready=false", "server", "time").code == 0


def test_a_condition_of_an_earlier_spec_does_not_count(api: Served, moor: Moor) -> None:
    api.report(api.put(server("time")), conditions=(condition("True"),))
    moor("apply", "-f", "-", text=moor("get", "server", "time", "-o", "yaml").out.replace(
        "replicas: 1", "replicas: 2"))  # fmt: skip
    said = moor(*READY, "--timeout", "50ms")
    assert said.code == 4


def test_the_deadline_tells_how_things_are(api: Served, moor: Moor) -> None:
    api.report(api.put(server("time")), message="Ready 0/1, 1 instance ERROR", phase="Failed")
    said = moor(*READY, "--timeout", "50ms")
    assert (said.code, said.out) == (4, "")
    assert said.err == (
        "Error: server/time is not Ready after 0.05 s: Ready 0/1, 1 instance ERROR. "
        "To see why: moor describe server/time\n"
    )


def test_several_objects_share_one_deadline(api: Served, moor: Moor) -> None:
    for name in ("a", "b"):
        api.report(api.put(server(name)), conditions=(condition("True"),))
    said = moor("wait", "--for=condition=Ready", "server/a", "server/b", "--timeout", "0")
    assert said.out == "server/a condition met\nserver/b condition met\n"
    api.put(server("c"))
    assert moor("wait", "--for=condition=Ready", "server/c", "--timeout", "0").code == 4


def test_what_is_not_there_is_not_waited_for(api: Served, moor: Moor) -> None:
    assert moor(*READY).code == 3
    assert moor("wait", "--for=delete", "server/time").out == "server/time deleted\n"


def test_an_object_that_is_deleted_meanwhile_ends_the_wait(api: Served, begin: Any) -> None:
    time = api.put(server("time"))
    running = begin(*READY, "--timeout", "10s")
    api.run(api.store.delete(time.ref))
    assert running.finish() == 3


def test_deletion_is_waited_for(api: Served, begin: Any) -> None:
    time = api.put(server("time"))
    running = begin("wait", "--for=delete", "server/time", "--timeout", "10s")
    api.run(api.store.delete(time.ref))
    assert running.line() == "server/time deleted"
    assert running.finish() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["server/time"],
        ["--for=ready", "server/time"],
        ["--for=condition=", "server/time"],
        ["--for=delete"],
        ["--for=delete", "server"],
        ["--for=delete", "server/time", "--timeout", "soon"],
    ],
)
def test_wrong_usage_ends_with_2(api: Served, moor: Moor, arguments: list[str]) -> None:
    assert moor("wait", *arguments).code == 2


def test_a_condition_speaks_of_the_spec_that_was_looked_at() -> None:
    claim = {"type": "Ready", "status": "True"}
    document = {"metadata": {"generation": 2}, "status": {"conditions": [claim]}}
    assert not holds(document, "Ready", "True")
    document["status"]["observedGeneration"] = 2
    assert holds(document, "ready", "true")
    assert not holds(document, "Other", "True")
    assert not holds({"metadata": {}}, "Ready", "True")
