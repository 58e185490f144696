"""`moor probe`."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.surface import Served, row, server

from mooring.core.health import Finding, Outcome, Probe

Moor = Any


def probe(outcome: Outcome, message: str = "", tool: str = "") -> Probe:
    health: Any = {"answered": "healthy", "failed": "degraded", "login": "unauthenticated"}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Probe(at, 0.0123, Finding(outcome, message), health[outcome], tool)


@pytest.mark.parametrize(
    "words", [["time-0"], ["inst", "time-0"], ["instance/time-0"], ["instance/default/time-0"]]
)
def test_one_that_answers(fleet: Served, moor: Moor, words: list[str]) -> None:
    fleet.script.probes["time-0"] = probe("answered")
    said = moor("probe", *words)
    assert (said.code, said.err) == (0, "")
    assert said.out == ("instance/time-0: tools/list answered in 12 ms; it is believed healthy\n")


def test_one_that_fails(fleet: Served, moor: Moor) -> None:
    fleet.script.probes["time-0"] = probe("failed", "ECONNREFUSED 10.0.0.1:3000", "whoami")
    said = moor("probe", "inst", "time-0")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "Error: instance/time-0: whoami failed after 12 ms: ECONNREFUSED 10.0.0.1:3000; "
        "it is believed degraded\n"
    )


def test_one_that_wants_a_login_is_alive(fleet: Served, moor: Moor) -> None:
    fleet.script.probes["time-0"] = probe("login")
    said = moor("probe", "time-0")
    assert said.code == 0
    assert "was told to log in after 12 ms; it is believed unauthenticated" in said.out


def test_as_json(fleet: Served, moor: Moor) -> None:
    fleet.script.probes["time-0"] = probe("failed", "no")
    said = moor("probe", "time-0", "-o", "json")
    assert said.code == 1
    assert json.loads(said.out)["outcome"] == "failed"


def test_one_that_does_not_run(api: Served, moor: Moor) -> None:
    rows = (row("gitea-0", "ERROR", message="exit 1"),)
    api.report(api.put(server("gitea")), instances=rows)
    said = moor("probe", "gitea-0")
    assert said.code == 4
    assert said.err == (
        "Error: instance/gitea-0 is not running (ERROR: exit 1). "
        "To see why: moor why inst gitea-0\n"
    )
    assert moor("probe", "gitea-7").code == 3


@pytest.mark.parametrize("words", [[], ["inst"], ["server/time"], ["time-0", "time-1"]])
def test_what_is_no_instance_is_refused(fleet: Served, moor: Moor, words: list[str]) -> None:
    assert moor("probe", *words).code == 2
