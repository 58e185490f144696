"""`moor apply` and `moor diff`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.surface import Served, row, server

from mooring.kinds.base import FINALIZER
from mooring.kinds.ref import Ref

Moor = Any
Write = Callable[..., str]

SERVER = """\
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata:
  name: {name}
spec:
  source: {{pypi: mcp-server-time}}
  replicas: {replicas}
"""
CREDS = "apiVersion: v1\nkind: Secret\nmetadata: {name: creds}\nstringData: {token: s3cret}\n"


def manifest(*names: str, replicas: int = 1) -> str:
    return "---\n".join(SERVER.format(name=name, replicas=replicas) for name in names)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def keep(text: str, name: str = "fleet.yaml") -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return keep


def ready(api: Served, name: str = "a") -> None:
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "AllInstancesReady",
        "last_transition_time": "2026-01-01T00:00:00Z",
        "observed_generation": 1,
    }
    api.report(server(name), phase="Ready", conditions=(condition,), instances=(row(f"{name}-0"),))


def test_each_change_is_one_line(api: Served, moor: Moor, write: Write) -> None:
    said = moor("apply", "-f", write(manifest("a", "b") + "---\n" + CREDS))
    assert (said.code, said.err) == (0, "")
    assert said.out == "server/a created\nserver/b created\nsecret/creds created\n"
    again = moor("apply", "-f", write(manifest("a") + "---\n" + manifest("b", replicas=2)))
    assert again.out == "server/a unchanged\nserver/b configured\n"


def test_a_dry_run_says_so_and_changes_nothing(api: Served, moor: Moor, write: Write) -> None:
    said = moor("apply", "--dry-run", "-f", write(manifest("a")))
    assert said.out == "server/a created (dry run)\n"
    assert api.get(Ref("MCPServer", "default", "a")) is None


def test_standard_input_and_json_are_taken(api: Served, moor: Moor) -> None:
    assert moor("apply", "-f", "-", text=manifest("a")).out == "server/a created\n"
    json = (
        '{"apiVersion": "mooring.dev/v1alpha1", "kind": "MCPServer", '
        '"metadata": {"name": "j"}, "spec": {"source": {"url": "https://x/mcp"}}}'
    )
    assert moor("apply", "-f", "-", "-n", "team-a", text=json).out == "server/team-a/j created\n"


def test_all_mistakes_are_told_with_their_lines(api: Served, moor: Moor, write: Write) -> None:
    path = write(manifest("a", replicas=999) + "  sorce: {}\n")
    said = moor("apply", "-f", path)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"Error: {path}:7:3: server/a: spec.replicas: must be at most 100, found 999\n"
        f"{path}:8:3: server/a: spec.sorce: unknown field (did you mean source?)\n"
        "2 problems, so nothing was changed\n"
    )


def test_a_directory_is_all_or_nothing(api: Served, moor: Moor, write: Write) -> None:
    good = write(manifest("a"), "d/a.yaml")
    write(manifest("b", replicas=-1), "d/b.yml")
    write("not a manifest", "d/readme.txt")
    said = moor("apply", "-f", str(Path(good).parent))
    assert said.code == 1
    assert "b.yml:7:3: server/b: spec.replicas" in said.err
    assert said.err.endswith("1 problem, so nothing was changed\n")
    assert api.get(Ref("MCPServer", "default", "a")) is None
    write(manifest("b"), "d/b.yml")
    assert moor("apply", "-f", str(Path(good).parent)).out == (
        "server/a created\nserver/b created\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "which file?"),
        (["-f", "/nowhere/x.yaml"], 1, "cannot read /nowhere/x.yaml: No such file"),
        (["-f", "-"], 1, "stdin: declares no objects"),
        (["-f", "-", "--wait", "--timeout", "soon"], 1, "declares no objects"),
    ],
)
def test_what_cannot_be_applied_is_told(
    api: Served, moor: Moor, arguments: list[str], code: int, words: str
) -> None:
    said = moor("apply", *arguments)
    assert said.code == code
    assert words in said.err


def test_a_relative_directory_is_relative_to_its_file(
    api: Served, moor: Moor, write: Write, tmp_path: Path
) -> None:
    path = write(manifest("a") + "  workingDirectory: work\n", "d/a.yaml")
    moor("apply", "-f", path)
    held = api.get(Ref("MCPServer", "default", "a"))
    assert held.spec.working_directory == str(tmp_path / "d" / "work")


def test_a_directory_without_manifests_is_told(api: Served, moor: Moor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = moor("apply", "-f", str(tmp_path / "empty"))
    assert said.code == 1
    assert "holds no manifests" in said.err


def test_what_is_being_deleted_is_not_applied(api: Served, moor: Moor, write: Write) -> None:
    held = server("a")
    meta = held.metadata.model_copy(update={"finalizers": (FINALIZER,)})
    api.put(held.model_copy(update={"metadata": meta}))
    moor("delete", "server", "a")
    said = moor("apply", "-f", write(manifest("a")))
    assert said.code == 1
    assert "Fix: moor wait --for=delete server/a" in said.err


def test_apply_waits_until_servers_are_ready(api: Served, begin: Any, write: Write) -> None:
    running = begin("apply", "-f", write(manifest("a") + "---\n" + CREDS), "--wait")
    assert running.line() == "server/a created"
    assert running.line() == "secret/creds created"
    ready(api)
    assert running.line() == "server/a is up"
    assert running.finish() == 0


def test_a_server_without_instances_is_not_waited_for(
    api: Served, begin: Any, write: Write
) -> None:
    running = begin("apply", "-f", write(manifest("a", replicas=0)), "--wait")
    assert running.line() == "server/a created"
    api.report(server("a"), phase="Stopped")
    assert running.line() == "server/a is up"
    assert running.finish() == 0


def test_apply_does_not_wait_for_ever(api: Served, moor: Moor, write: Write) -> None:
    said = moor("apply", "-f", write(manifest("a")), "--wait", "--timeout", "50ms")
    assert said.code == 4
    assert said.out == "server/a created\n"
    assert "server/a is not Ready after 0.05 s" in said.err
    assert moor("apply", "-f", write(manifest("a")), "--wait", "--timeout", "x").code == 2


def test_differences_are_shown_and_end_with_1(api: Served, moor: Moor, write: Write) -> None:
    api.put(server("a", labels={"team": "core"}))
    same = manifest("a").replace("metadata:\n", "metadata:\n  labels: {team: core}\n")
    assert moor("diff", "-f", write(same)).out == ""
    said = moor("diff", "-f", write(same.replace("replicas: 1", "replicas: 3")))
    assert said.code == 1
    assert said.lines[:2] == ["--- server/a (stored)", "+++ server/a (declared)"]
    changed = [line for line in said.lines[2:] if line[0] in "+-"]
    assert changed == ["-  replicas: 1", "+  replicas: 3"]
    assert api.get(Ref("MCPServer", "default", "a")).spec.replicas == 1


def test_a_new_value_of_a_secret_shows_as_changed(api: Served, moor: Moor, write: Write) -> None:
    moor("apply", "-f", write(CREDS))
    said = moor("diff", "-f", write(CREDS.replace("s3cret", "s4cret")))
    assert [line for line in said.lines[2:] if line[0] in "+-"] == [
        "-  token: ''",
        "+  token: (changed)",
    ]
    assert "cret" not in said.out.replace("secret", "").replace("Secret", "")


def test_a_new_object_is_all_new(api: Served, moor: Moor, write: Write) -> None:
    said = moor("diff", "-f", write(manifest("a")))
    assert said.code == 1
    assert "+kind: MCPServer" in said.lines
    assert not [line for line in said.lines[2:] if line.startswith("-")]
    assert moor("diff", "-f", write("kind: x")).code == 1
