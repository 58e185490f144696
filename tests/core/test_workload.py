"""What a workload is made of, and what changes its checksum."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.environment import Complaint, Known, Resolution, resolve
from mooring.core.workload import Workload, asked, make, prepare, recorded
from mooring.kinds.server import MCPServer, Resolved
from mooring.testing.stage import server

HERE = frozenset({"command", "pypi", "npm", "url"})
NOTHING = Resolution({}, {})


def checksum(declared: MCPServer, own: dict[str, str] | None = None) -> str:
    return prepare(declared, resolve(declared, Known(own=own or {})), HERE).checksum


def stored(declared: MCPServer, **meta: Any) -> MCPServer:
    """The server, with other metadata."""
    return declared.model_copy(update={"metadata": declared.metadata.model_copy(update=meta)})


def with_resolved(declared: MCPServer, package: str, version: str = "1.0") -> MCPServer:
    source = asked(declared.spec.source)
    found = Resolved(package=package, version=version, source=source)
    status = declared.status.model_copy(update={"resolved": found})
    return declared.model_copy(update={"status": status})


def test_a_workload_has_all_that_the_spec_says() -> None:
    spec = {"args": ["-v"], "workingDirectory": "/srv", "transport": "streamable-http"}
    declared = server("time", **spec, path="/x", port=8080, installTimeoutSeconds=5)
    work = make(declared, Resolution({"A": "1"}, {"A": "m"}), None)
    assert (work.ref, work.source) == (declared.ref, declared.spec.source)
    assert (work.args, work.working_directory) == (("-v",), "/srv")
    assert (work.transport, work.path, work.port) == ("streamable-http", "/x", 8080)
    assert (work.env, work.install_timeout_seconds) == ({"A": "1"}, 5)


def test_a_workload_shows_no_value() -> None:
    assert "pl4nted" not in repr(make(server("time"), Resolution({"A": "pl4nted"}, {}), None))


@pytest.mark.parametrize(
    "change",
    [
        {"source": {"command": ["serve", "more"]}},
        {"source": {"pypi": "mcp-server-time"}},
        {"args": ["-v"]},
        {"workingDirectory": "/srv"},
        {"transport": "streamable-http"},
        {"env": [{"name": "A", "value": "1"}]},
        {"isolation": "session"},
        {"maxChildren": 3},
        {"idleSeconds": 3},
        {"spares": 3},
        {"eras": "session"},
    ],
)
def test_what_an_instance_sees_changes_the_checksum(change: dict[str, Any]) -> None:
    assert checksum(server("time", **change)) != checksum(server("time"))


@given(
    replicas=st.integers(0, 100),
    drain=st.integers(0, 3600),
    install=st.integers(1, 3600),
    handshake=st.integers(1, 3600),
    group=st.sampled_from([None, "core", "team-a"]),
    labels=st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")),
)
def test_what_an_instance_does_not_see_restarts_nothing(
    replicas: int, drain: int, install: int, handshake: int, group: str | None, labels: Any
) -> None:
    spec = {"replicas": replicas, "drainSeconds": drain, "group": group}
    times = {"installTimeoutSeconds": install, "handshakeTimeoutSeconds": handshake}
    declared = stored(server("time", **spec, **times), labels=labels, generation=replicas)
    assert checksum(declared) == checksum(server("time"))


@pytest.mark.parametrize("more", [{"recovery": "fail"}, {"retry": "never"}])
def test_what_becomes_of_sessions_restarts_nothing(more: dict[str, Any]) -> None:
    assert checksum(server("time", **more)) == checksum(server("time"))


@given(st.permutations([("A", "1"), ("B", "2"), ("C", "3"), ("D", "4")]))
def test_the_order_of_variables_restarts_nothing(pairs: list[tuple[str, str]]) -> None:
    env = [{"name": name, "value": value} for name, value in pairs]
    plain = [{"name": name, "value": value} for name, value in sorted(pairs)]
    assert checksum(server("time", env=env)) == checksum(server("time", env=plain))


def test_what_only_http_servers_have_is_nothing_to_stdio_servers() -> None:
    assert checksum(server("time", path="/other")) == checksum(server("time"))
    over_http = {"transport": "streamable-http"}
    assert checksum(server("time", **over_http, path="/other")) != checksum(
        server("time", **over_http)
    )
    assert checksum(server("time", **over_http, spares=2)) == checksum(server("time", **over_http))


def test_a_changed_variable_of_our_own_environment_changes_the_checksum() -> None:
    declared = server("time", env=[{"name": "A", "valueFrom": {"env": "OWN"}}])
    assert checksum(declared, {"OWN": "1"}) != checksum(declared, {"OWN": "2"})
    assert checksum(declared, {"OWN": "1", "ELSE": "x"}) == checksum(declared, {"OWN": "1"})


def test_an_image_is_refused_in_words() -> None:
    found = prepare(server("web", source={"image": "nginx"}), NOTHING, HERE)
    assert isinstance(found, Complaint)
    assert found.reason == "RuntimeAbsent"
    assert found.message == 'server "web" source.image: no container runtime is configured'


def test_a_complaint_has_a_checksum_that_changes_with_the_spec_and_the_words() -> None:
    env = [{"name": "A", "valueFrom": {"env": "OWN"}}]
    declared = server("time", env=env)
    missing, empty = checksum(declared), checksum(declared, {"OWN": ""})
    more = checksum(server("time", env=[*env, {"name": "B", "value": "1"}]))
    assert len({missing, empty, more, checksum(declared, {"OWN": "1"})}) == 4
    assert missing == checksum(stored(declared, generation=9))


def test_what_a_package_was_resolved_to_is_kept() -> None:
    declared = with_resolved(server("time", source={"pypi": "mcp_server.time"}), "mcp-server-time")
    work = prepare(declared, NOTHING, HERE)
    assert isinstance(work, Workload)
    assert work.resolved == declared.status.resolved
    assert work.checksum == checksum(server("time", source={"pypi": "mcp_server.time"}))


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ({"pypi": "time"}, True),
        ({"pypi": "time", "entryPoint": "serve"}, True),
        ({"pypi": "time==2.0"}, False),
        ({"pypi": "other"}, False),
        ({"npm": "time"}, False),
        ({"pypi": "time", "with": ["mcp<2"]}, False),
        ({"pypi": "time", "python": "python3"}, False),
        ({"command": ["serve"]}, False),
    ],
)
def test_a_resolution_belongs_to_what_was_asked_for(source: dict[str, Any], kept: bool) -> None:
    before = with_resolved(server("time", source={"pypi": "time"}), "time")
    now = server("time", source=source).model_copy(update={"status": before.status})
    assert (recorded(now) is not None) is kept
