"""Instances as objects."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.health import Finding, Probe
from mooring.core.instances import SERVER_LABEL, changes, probed, views


def server(*rows: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "time", "namespace": "a", "uid": "u", "resourceVersion": "7"}
    return {"metadata": {**metadata, "labels": {"team": "core"}}, "status": {"instances": rows}}


def test_each_row_is_an_object_of_its_own() -> None:
    row = {"name": "time-0", "uid": "u0", "state": "Ready", "since": "2026-01-01T00:00:00Z"}
    assert views(server(row)) == [
        {
            "apiVersion": "view.mooring.dev/v1alpha1",
            "kind": "MCPInstance",
            "metadata": {
                "name": "time-0",
                "namespace": "a",
                "uid": "u0",
                "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"team": "core", SERVER_LABEL: "time"},
            },
            "spec": {"server": "time"},
            "status": row,
        }
    ]


def test_a_server_that_nobody_looked_at_has_none() -> None:
    assert views({"metadata": {"name": "x", "namespace": "a"}}) == []


def test_a_row_without_a_start_has_a_uid_all_the_same() -> None:
    (view,) = views(server({"name": "time-0", "uid": ""}))
    assert view["metadata"]["uid"] == "u/time-0"


def test_the_last_probe_is_shown_and_is_no_change() -> None:
    (view,) = views(server({"name": "time-0", "uid": "u0"}))
    assert probed(view, None) == view
    finding = Finding("failed", "token is required\x1b[2J")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    shown = probed(view, Probe(at, 0.0123456789, finding, "degraded", "whoami"))
    assert shown["status"]["lastProbe"] == {
        "at": "2026-01-01T00:00:00Z",
        "seconds": 0.012346,
        "tool": "whoami",
        "outcome": "failed",
        "message": "token is required\\x1b[2J",
    }
    assert changes([view], [shown]) == changes([shown], [view]) == []


ROWS = st.dictionaries(st.sampled_from(["time-0", "time-1", "time-2"]), st.sampled_from("abc"))


@given(ROWS, ROWS)
def test_changes_lead_from_one_list_to_the_other(
    before: dict[str, str], after: dict[str, str]
) -> None:
    old = views(server(*({"name": name, "state": state} for name, state in before.items())))
    new = views(server(*({"name": name, "state": state} for name, state in after.items())))
    picture = {view["metadata"]["name"]: view for view in old}
    for happened, view in changes(old, new):
        name = view["metadata"]["name"]
        assert (name in picture) is (happened != "ADDED")
        if happened == "DELETED":
            del picture[name]
        else:
            picture[name] = view
    assert picture == {view["metadata"]["name"]: view for view in new}
    assert changes(new, new) == []
