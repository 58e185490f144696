"""What tables say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mooring.core.columns import NONE, age, columns, message, phase, source

NOW = datetime(2026, 1, 4, tzinfo=UTC)
CREATED = "2026-01-01T00:00:00Z"
META = {"name": "time", "namespace": "default", "creationTimestamp": CREATED}


def cells(kind: str, document: dict[str, Any], wide: bool = True) -> dict[str, str]:
    return {column.name: column.cell(document, NOW) for column in columns(kind, wide)}


def server(**status: Any) -> dict[str, Any]:
    spec = {"source": {"pypi": "mcp-server-time"}, "replicas": 3}
    return {"metadata": META, "spec": spec, "status": status}


def test_a_server_in_one_line() -> None:
    rows = [
        {"name": "time-0", "era": "session", "restarts": 2},
        {"name": "time-1", "era": "stateless", "restarts": 1},
    ]
    told = server(
        phase="Degraded",
        readyInstances=2,
        instances=rows,
        url="http://x/mcp",
        message="Ready 2/3",
        resolved={"package": "mcp-server-time", "version": "1.2"},
    )
    assert cells("MCPServer", told) == {
        "NAME": "time",
        "READY": "2/3",
        "STATUS": "Degraded",
        "RESTARTS": "3",
        "AGE": "3d",
        "URL": "http://x/mcp",
        "ERA": "session,stateless",
        "SOURCE": "pypi: mcp-server-time (1.2)",
        "MESSAGE": "Ready 2/3",
    }
    assert list(cells("MCPServer", told, wide=False)) == [
        "NAME", "READY", "STATUS", "RESTARTS", "AGE",
    ]  # fmt: skip


def test_a_server_that_nobody_looked_at() -> None:
    told = cells("MCPServer", {"metadata": META, "spec": {"source": {"command": ["a", "b"]}}})
    assert told["READY"] == "0/1"
    assert told["STATUS"] == "Pending"
    assert told["URL"] == told["ERA"] == NONE
    assert told["SOURCE"] == "command: a b"


def test_an_object_that_leaves_says_so() -> None:
    leaving = {**META, "deletionTimestamp": CREATED}
    assert phase({"metadata": leaving, "status": {"phase": "Ready"}}) == "Terminating"


def test_an_instance_in_one_line() -> None:
    row = {"name": "time-0", "state": "ERROR", "health": "unhealthy", "restarts": 4, "era": "",
           "since": "2026-01-03T23:55:00Z", "nextRetryAt": "2026-01-04T00:00:16Z",
           "lastProbe": {"at": "2026-01-03T23:59:48Z"}, "message": "exit 1"}  # fmt: skip
    view = {"metadata": {**META, "name": "time-0"}, "spec": {"server": "time"}, "status": row}
    told = cells("MCPInstance", view)
    assert told == {
        "NAME": "time-0",
        "SERVER": "time",
        "STATUS": "ERROR",
        "HEALTH": "unhealthy",
        "RESTARTS": "4",
        "SINCE": "5m",
        "ERA": NONE,
        "ADDRESS": NONE,
        "RETRY": "in 16s",
        "PROBED": "12s",
        "MESSAGE": "exit 1",
    }
    late = {**view, "status": {**row, "nextRetryAt": CREATED}}
    assert cells("MCPInstance", late)["RETRY"] == "now"


def test_a_group_a_secret_and_an_event() -> None:
    group = {"metadata": META, "spec": {"description": "d"},
             "status": {"servers": ["a", "b"], "serverCount": 2, "readyServers": 1}}  # fmt: skip
    assert cells("MCPGroup", group) == {
        "NAME": "time", "READY": "1/2", "AGE": "3d", "SERVERS": "a,b", "DESCRIPTION": "d",
    }  # fmt: skip
    secret = {"metadata": META, "type": "Opaque", "data": {"b": "", "a": ""}}
    assert cells("Secret", secret) == {
        "NAME": "time", "TYPE": "Opaque", "DATA": "2", "AGE": "3d", "KEYS": "a,b",
    }  # fmt: skip
    event = {"metadata": META, "involvedObject": {"kind": "MCPServer", "name": "time"},
             "type": "Warning", "reason": "Exited", "message": "exit 1", "count": 3,
             "lastTimestamp": "2026-01-03T23:59:00Z"}  # fmt: skip
    assert cells("Event", event) == {
        "LAST SEEN": "60s", "TYPE": "Warning", "REASON": "Exited", "OBJECT": "server/time",
        "COUNT": "3", "MESSAGE": "exit 1",
    }  # fmt: skip


def test_other_kinds_have_a_name_and_an_age() -> None:
    assert cells("Pod", {"metadata": META}) == {"NAME": "time", "AGE": "3d"}
    assert cells("Pod", {"metadata": {"name": "x"}})["AGE"] == "<unknown>"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"npm": "pkg@1"}, "npm: pkg@1"),
        ({"url": "https://x/mcp"}, "url: https://x/mcp"),
        ({"command": ["python", "-m", "x"]}, "command: python -m x"),
    ],
)
def test_where_a_server_comes_from(given: dict[str, Any], text: str) -> None:
    assert source({"spec": {"source": given}}) == text


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("Ready 2/3", "Ready 2/3"),
        ("no, since 2025-12-31T00:00:00Z", "no, for 4d"),
        ("x (exit 1, retry at 00:00:16Z)", "x (exit 1, retry in 16 s)"),
        ("a, retry at 00:01:00Z, b, retry at 23:59:58Z", "a, retry in 60 s, b, retry in 0 s"),
    ],
)
def test_times_to_come_are_relative(stored: str, shown: str) -> None:
    assert message({"metadata": META, "status": {"message": stored}}, NOW) == shown


def test_a_retry_after_midnight_is_tomorrow() -> None:
    late = NOW - timedelta(seconds=10)
    said = message({"metadata": META, "status": {"message": "retry at 00:00:20Z"}}, late)
    assert said == "retry in 30 s"


def test_age_counts_from_the_moment_given() -> None:
    assert age(CREATED, NOW) == "3d"
    assert age(None, NOW) == "<unknown>"
