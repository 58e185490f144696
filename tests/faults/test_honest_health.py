"""The motivating case, for real: a server that needs a token is never healthy without it."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installation import Mooring, wait_until

pytestmark = pytest.mark.process

COUNTING = Path(__file__).resolve().parents[1] / "support/counting.py"
TOKENED = Path(__file__).resolve().parents[1] / "servers/tokened.py"
MANIFEST = f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: gitea}}
spec:
  source: {{command: ["{sys.executable}", "{TOKENED}"]}}
  env:
    - {{name: TOKEN, valueFrom: {{secretKeyRef: {{name: creds, key: token}}}}}}
  healthCheck: {{tool: whoami, intervalSeconds: 1, failureThreshold: 2}}
"""


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


def row(mooring: Mooring) -> dict[str, object]:
    found: dict[str, object] = mooring.instances()["gitea-0"]["status"]  # type: ignore[assignment]
    return found


def test_from_a_missing_secret_over_a_wrong_token_to_honest_health(mooring: Mooring) -> None:
    mooring.start("up")
    mooring.wait_for_api()
    mooring.apply(MANIFEST)
    wait_until("the missing secret", lambda: row(mooring)["state"] == "ERROR", 20)
    assert row(mooring)["health"] == "unhealthy"
    why = mooring.moor("why", "inst", "gitea-0")
    assert 'secret "creds" does not exist' in why
    assert "Next: moor create secret creds --from-literal token=" in why
    assert (
        "to see why: moor why inst gitea-0"
        in mooring.moor("probe", "inst", "gitea-0", code=4).lower()
    )

    mooring.moor("create", "secret", "creds", "--from-literal", "token=wrong")
    wait_until("the wrong token", lambda: row(mooring).get("reason") == "ProbeFailed", 20)
    found = row(mooring)
    assert (found["state"], found["health"]) == ("ERROR", "unhealthy")
    assert found["message"] == "token is required"
    (line,) = mooring.moor("get", "inst", "--no-headers").splitlines()
    assert line.split()[:4] == ["gitea-0", "gitea", "ERROR", "unhealthy"]
    assert line.endswith("token is required")
    (listed,) = json.loads(mooring.moor("get", "servers", "-o", "json"))
    assert "1 instance ERROR (token is required" in listed["status"]["message"]
    assert "wrong" not in mooring.moor("describe", "server", "gitea")

    mooring.moor("delete", "secret", "creds")
    mooring.moor("create", "secret", "creds", "--from-literal", "token=right")
    mooring.ready("gitea")
    found = row(mooring)
    assert (found["state"], found["health"]) == ("Ready", "healthy")
    assert found["safeTools"] == ["whoami"]
    said = mooring.moor("probe", "inst", "gitea-0")
    assert said.startswith("instance/gitea-0: whoami answered in ")
    assert "Ready" in mooring.moor("why", "server", "gitea")
    assert mooring.stop() == 0


def test_the_child_that_is_probed_outlives_the_daemon(mooring: Mooring, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.apply(f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: counting}}
spec:
  source: {{command: ["{sys.executable}", "{COUNTING}", "{notes}"]}}
  isolation: session
  healthCheck: {{intervalSeconds: 1}}
""")
    mooring.ready("counting")

    def probed() -> bool:
        (view,) = json.loads(mooring.moor("get", "inst", "-o", "json"))
        return "lastProbe" in view["status"]

    for _ in range(2):
        wait_until("a probe", probed, 20)
        assert mooring.stop(signal.SIGTERM) == 0
        mooring.start("serve")
        mooring.wait_for_api()
    wait_until("a probe", probed, 20)
    said = [line.split()[1] for line in notes.read_text().splitlines()]
    assert said == ["start", "initialize"]


def test_a_server_that_hangs_is_told_so_and_hurts_nobody_else(mooring: Mooring) -> None:
    mooring.start("up")
    mooring.wait_for_api()
    for name in ("hanging", "other"):
        mooring.apply(f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: {name}}}
spec:
  source: {{command: ["{sys.executable}", "{TOKENED}", "{name}"]}}
  healthCheck: {{intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 2}}
""")
        mooring.ready(name)
    child = mooring.find(str(TOKENED), "hanging")
    os.kill(child, signal.SIGSTOP)

    def healths() -> tuple[object, ...]:
        views = mooring.instances().values()
        return tuple(view["status"]["health"] for view in views)  # type: ignore[index]

    wait_until("the hang to be seen", lambda: healths() == ("unhealthy", "healthy"), 20)
    assert "timed out after 1 s" in mooring.moor("get", "inst")
    os.kill(child, signal.SIGCONT)
    wait_until("its end to be seen", lambda: healths() == ("healthy", "healthy"), 20)
