"""What `moor up` tells while servers come up."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from support.surface import Served, row, server

from mooring.cli.client import Api
from mooring.cli.failures import Failure
from mooring.cli.progress import Progress, bring_up, read_manifest, settled, turn

URL = "http://127.0.0.1:8470/servers/{}/mcp"
MANIFEST = """\
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {name: time}
spec: {source: {pypi: mcp-server-time}, replicas: 2}
"""


def shown(name: str = "time", **status: Any) -> dict[str, Any]:
    """A server's document with the given status, said of its present spec."""
    told = {"observedGeneration": 1, "url": URL.format(name), **status}
    metadata = {"name": name, "namespace": "default", "generation": 1}
    return {"metadata": metadata, "spec": {"replicas": 1}, "status": told}


def instance(state: str, message: str = "") -> dict[str, Any]:
    return {"name": "time-0", "state": state, "message": message}


def story(*documents: dict[str, Any]) -> tuple[Progress, list[str]]:
    lines: list[str] = []
    progress = Progress(lines.append)
    for document in documents:
        progress.take("MODIFIED", document)
    return progress, lines


def test_each_turn_is_told_once_as_it_happens() -> None:
    progress, lines = story(
        shown(observedGeneration=0, phase="Ready", message="Ready 1/1"),
        shown(phase="Pending"),
        shown(phase="Installing", instances=[instance("Installing", "resolving")]),
        shown(phase="Installing", instances=[instance("Installing", "resolving")]),
        shown(phase="Starting", instances=[instance("Starting")]),
        shown(phase="Ready", message="Ready 1/1", instances=[instance("Ready")]),
    )
    assert [line.split(None, 1) for line in lines] == [
        ["server/time", "Installing: resolving"],
        ["server/time", "Starting"],
        ["server/time", "Ready 1/1"],
    ]
    assert progress.settled


def test_a_failure_is_told_in_its_own_words_and_not_again_for_every_attempt() -> None:
    failed = 'Ready 0/1, 1 instance ERROR (exit 1, "no key", attempt {}, retry at 00:00:0{}Z)'
    progress, lines = story(
        shown(phase="Failed", message=failed.format(2, 3), instances=[instance("ERROR")]),
        shown(phase="Failed", message=failed.format(3, 5), instances=[instance("ERROR")]),
    )
    assert len(lines) == 1
    assert 'exit 1, "no key"' in lines[0]
    assert progress.settled
    progress.conclude()
    assert lines[-1] == "\nserver/time is not ready. To see why: moor describe server/time"


def test_the_end_is_something_to_paste() -> None:
    progress, lines = story(
        shown("b", phase="Ready", message="Ready 1/1"),
        shown("a", phase="Ready", message="Ready 1/1"),
        shown("late", phase="Ready", url=""),
    )
    far = shown("far", phase="Ready")
    far["metadata"]["namespace"] = "team-a"
    progress.take("ADDED", far)
    progress.take("DELETED", shown("late"))
    lines.clear()
    progress.conclude()
    assert lines[:4] == [
        "\nEndpoints:",
        f"  a           {URL.format('a')}",
        f"  b           {URL.format('b')}",
        f"  team-a/far  {URL.format('far')}",
    ]
    assert json.loads(lines[-1])["mcpServers"]["a"] == {"type": "http", "url": URL.format("a")}
    assert "team-a-far" in lines[-1]


def test_virtual_servers_are_at_the_end_of_the_list() -> None:
    progress, lines = story(shown(phase="Ready", message="Ready 1/1"))
    url = "http://127.0.0.1:8470/virtual/team/mcp"
    metadata = {"name": "team", "namespace": "default"}
    progress.conclude([{"metadata": metadata, "spec": {"group": "g"}, "status": {"url": url}}])
    assert lines[2:4] == [f"  time       {URL.format('time')}", f"  vmcp/team  {url}"]
    entries = json.loads(lines[-1])["mcpServers"]
    assert entries["vmcp-team"] == {"type": "http", "url": url}


def test_no_servers_is_no_error() -> None:
    progress, lines = story()
    assert progress.settled
    progress.conclude()
    assert "moor apply -f FILE" in lines[0]


@pytest.mark.parametrize(
    ("status", "over"),
    [
        ({"phase": "Pending"}, False),
        ({"phase": "Starting", "instances": [instance("Starting")]}, False),
        ({"phase": "Degraded", "instances": [instance("Ready"), instance("Starting")]}, False),
        ({"phase": "Degraded", "instances": [instance("Ready"), instance("ERROR")]}, True),
        ({"phase": "Failed", "instances": [instance("CrashLoopBackOff")]}, True),
        ({"phase": "Stopped"}, True),
        ({"phase": "Ready", "observedGeneration": 0}, False),
    ],
)
def test_a_server_is_settled_when_nothing_more_will_happen_soon(
    status: dict[str, Any], over: bool
) -> None:
    assert settled(shown(**status)) is over


def test_a_server_that_leaves_holds_nobody_up() -> None:
    leaving = shown(phase="Ready", observedGeneration=0)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert settled(leaving)
    assert turn(leaving) == "Terminating"


def client(api: Served) -> Api:
    return Api(str(api.path))


class Lines(io.StringIO):
    """An output that lets the world react to what was said."""

    def __init__(self, react: Any) -> None:
        super().__init__()
        self._react = react

    def write(self, text: str) -> int:
        written = super().write(text)
        self._react(text)
        return written


def test_servers_come_up_and_are_told_of(api: Served, tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(MANIFEST)

    def react(text: str) -> None:
        if "created" in text:
            api.report(server("time"), phase="Installing", url=URL.format("time"),
                       instances=(row("time-0", "Installing"),))  # fmt: skip
        elif "Installing" in text:
            api.report(server("time"), phase="Starting", url=URL.format("time"),
                       instances=(row("time-0", "Starting"),))  # fmt: skip
        elif "Starting" in text:
            api.report(server("time"), phase="Ready", url=URL.format("time"),
                       message="Ready 2/2", instances=(row("time-0"), row("time-1")))  # fmt: skip

    out = Lines(react)
    manifest = read_manifest(str(tmp_path / "fleet.yaml"))
    assert bring_up(client(api), manifest, out, seconds=10)
    said = out.getvalue()
    assert said.index("created") < said.index("Installing") < said.index("Ready 2/2")
    assert f"  time  {URL.format('time')}" in said
    assert '"mcpServers"' in said


def test_a_manifest_that_is_refused_is_a_failure(api: Served, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(MANIFEST.replace("replicas: 2", "replicas: 999"))
    with pytest.raises(Failure, match=r"spec\.replicas"):
        bring_up(client(api), read_manifest(str(tmp_path / "bad.yaml")), io.StringIO())
    with pytest.raises(Failure, match="cannot read"):
        read_manifest(str(tmp_path / "none.yaml"))


def test_patience_has_an_end(api: Served) -> None:
    api.put(server("time"))
    out = io.StringIO()
    assert bring_up(client(api), None, out, seconds=0.05)
    assert "server/time is not ready" in out.getvalue()


def test_a_daemon_that_ends_meanwhile_says_so_itself(api: Served) -> None:
    api.put(server("time"))

    def react(text: str) -> None:
        if "Starting" in text:
            api.stop()

    out = Lines(react)
    api.report(server("time"), phase="Starting", instances=(row("time-0", "Starting"),))
    assert bring_up(client(api), None, out, seconds=10)
    assert "Endpoints" not in out.getvalue()
