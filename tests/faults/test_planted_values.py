"""No value of a secret leaves Mooring: planted ones are looked for everywhere, as text and coded.

One server gets a value from every store there is, crashes, is rolled out anew, fails a rollout and
asks for what is missing; then everything is searched that somebody may read or that is kept.
"""

import base64
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from support.installation import ROOT, Mooring, descendants, wait_until
from support.talking import Client

from mooring.cli.client import Api
from mooring.cli.failures import Refusal

pytestmark = pytest.mark.process

OBJECT, LATER = "pl4nted-in-an-object", "pl4nted-in-another-version"
FILE, VARIABLE, OWN = "pl4nted-in-a-file", "pl4nted-in-a-variable", "pl4nted-in-our-own"
FILED = "pl4nted-in-a-file-that-was-changed"
PLANTED = (OBJECT, LATER, FILE, FILED, VARIABLE, OWN)
PLAIN = "pl4in"
"""No secret: it shows that the search finds what is there."""

GROUP = "/apis/mooring.dev/v1alpha1"
VIEWS = "/apis/view.mooring.dev/v1alpha1"
PATHS = [
    "/api/v1/secrets",
    "/api/v1/namespaces/default/secrets/creds",
    "/api/v1/events",
    f"{GROUP}/mcpservers",
    f"{GROUP}/namespaces/default/mcpservers/keen",
    f"{VIEWS}/mcpinstances",
    "/openapi/v2",
    "/openapi/v3",
]


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    files = tmp_path / "secrets" / "creds"
    files.mkdir(parents=True)
    (files / "token").write_text(f"{FILE}\n")
    more = {
        "MOORING_SECRETS_DIR": str(tmp_path / "secrets"),
        "MOORING_SECRET_CREDS_TOKEN": VARIABLE,
        "OUR_OWN": OWN,
    }
    installation = Mooring(tmp_path, more=more)
    yield installation
    installation.end()


def manifest(args: str = "", more: str = "") -> str:
    def kept(name: str, store: str) -> str:
        ref = f"{{name: creds, key: token, store: {store}}}"
        return f"  - {{name: {name}, valueFrom: {{secretKeyRef: {ref}}}}}\n"

    return (
        "apiVersion: mooring.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: keen}\nspec:\n"
        f'  source: {{command: ["{sys.executable}", "{ROOT}/tests/servers/toy.py"]}}\n'
        f"  args: [{args}]\n  env:\n"
        + kept("A", "encrypted")
        + kept("B", "directory")
        + kept("C", "environment")
        + "  - {name: D, valueFrom: {env: OUR_OWN}}\n"
        + f"  - {{name: F, value: {PLAIN}}}\n"
        + more
    )


TELLING = f"""
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: telling}}
spec:
  source: {{command: ["{sys.executable}", "{ROOT}/tests/servers/tokened.py", telling]}}
  env: [{{name: TOKEN, valueFrom: {{secretKeyRef: {{name: creds, key: token}}}}}}]
  healthCheck: {{tool: whoami, failureThreshold: 1}}
---
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {{name: dying}}
spec:
  source: {{command: [sh, -c, 'echo "$TOKEN is no token" >&2; exit 1']}}
  env: [{{name: TOKEN, valueFrom: {{secretKeyRef: {{name: creds, key: token}}}}}}]
"""
"""Servers that say themselves what they were given."""


def forms(value: str) -> list[bytes]:
    """What a value may look like where it is hidden badly."""
    text = value.encode()
    return [text, base64.b64encode(text).rstrip(b"="), base64.urlsafe_b64encode(text).rstrip(b"=")]


def told(mooring: Mooring) -> dict[str, bytes]:
    """Everything that Mooring says to those who ask."""
    api = Api(f"{next(mooring.home.glob('run/*/api.sock'))}")
    found = {}
    for path in PATHS:
        try:
            found[path] = str(api.get(path)).encode()
        except Refusal as refusal:
            found[path] = refusal.message.encode()
        except UnicodeDecodeError:
            continue
    for page in ("/metrics", "/status"):
        with urlopen(f"http://127.0.0.1:{mooring.port}{page}", timeout=10) as answer:
            found[page] = answer.read()
    keeper = Api(f"{next(mooring.home.glob('run/*/k.sock'))}")
    for path in ("/v1/keeper", "/v1/slots", "/v1/changes?since=0"):
        with suppress(Refusal):
            found[f"keeper {path}"] = str(keeper.get(path)).encode()
    commands = (
        ("describe", "server", "keen"), ("describe", "secret", "creds"), ("events",),
        ("get", "secrets", "-o", "yaml"), ("logs", "keen-0"), ("describe", "server", "telling"),
        ("get", "inst", "-o", "json"), ("logs", "telling-0"), ("why", "server", "dying"),
        ("describe", "server", "dying"), ("rollout", "history", "keen"),
    )  # fmt: skip
    for command in commands:
        found[" ".join(command)] = mooring.moor(*command).encode()
    return found


def kept(mooring: Mooring) -> dict[str, bytes]:
    """Everything that is written down, and what processes are started as.

    A gateway of its own is given no secrets either, though Mooring's environment has some.
    """
    secrets = mooring.home / "secrets"
    files = (path for path in mooring.home.rglob("*") if secrets not in path.parents)
    found = {str(path): path.read_bytes() for path in files if path.is_file()}
    for pid in {mooring.daemon.pid if mooring.daemon else 0, *mooring.processes()}:
        for process in {pid, *descendants(pid)}:
            with suppress(OSError):
                found[f"command line of {process}"] = Path(f"/proc/{process}/cmdline").read_bytes()
    for pid in mooring.processes():
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"mooring.programs." in command:
                environ = Path(f"/proc/{pid}/environ").read_bytes().replace(OWN.encode(), b"")
                found[f"environment of {command!r}"] = environ
    return found


def refused(mooring: Mooring) -> bytes:
    """What is answered to writes that are wrong, and hold values."""
    wrong = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: creds}\n"
        f"data: {{token: '{OBJECT}', 'no such key!': x}}\n"
    )
    unknown = (
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: creds}}\nstringDat: {{token: {OBJECT}}}\n"
    )
    answers = [mooring.moor("apply", "-f", "-", text=text, code=1) for text in (wrong, unknown)]
    changed = (
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: creds}}\nstringData: {{token: {LATER}}}\n"
    )
    answers.append(mooring.moor("diff", "-f", "-", text=changed, code=1))
    return "\n".join(answers).encode()


def searched(where: dict[str, bytes], *values: str) -> list[str]:
    """What is found of the planted values, or of others."""
    return [
        f"{value} in {Path(name).name}"
        for name, content in where.items()
        for value in values or PLANTED
        if any(form in content for form in forms(value))
    ]


def test_planted_values_are_found_nowhere(mooring: Mooring) -> None:
    mooring.start("serve", "--workers", "2")
    mooring.wait_for_api()
    mooring.moor("create", "secret", "creds", f"--from-literal=token={OBJECT}")
    mooring.apply(manifest())
    mooring.ready("keen")
    mooring.apply(TELLING)
    wait_until("what they say", lambda: said(mooring) == SAID, 20)
    assert "my token is ***" in mooring.moor("logs", "telling-0")
    environ = environment_of(mooring)
    assert all(value in environ for value in (OBJECT, FILE, VARIABLE, OWN))

    Client(mooring.url("keen")).open().post(
        {"id": 1, "method": "tools/call", "params": {"name": "die", "arguments": {}}}
    )
    wait_until("a restart", lambda: restarts(mooring) == 1, 20)
    mooring.moor("rollout", "restart", "keen")
    mooring.moor("rollout", "status", "keen", "--timeout", "30s")
    answers = refused(mooring)
    later = (
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: creds}}\nstringData: {{token: {LATER}}}\n"
    )
    mooring.apply(later)
    wait_until("the new value", lambda: LATER in environment_of(mooring), 20)
    (mooring.home / "secrets" / "creds" / "token").write_text(FILED)
    wait_until("the new file", lambda: FILED in environment_of(mooring), 30)
    absent = "  - {name: E, valueFrom: {secretKeyRef: {name: creds, key: absent}}}\n"
    mooring.apply(manifest("-v", absent))
    wait_until("the complaint", lambda: "absent" in mooring.moor("get", "inst", "-o", "json"), 20)

    everything = {**told(mooring), "refusals": answers}
    assert searched(everything) == []
    assert searched(kept(mooring)) == []
    assert f"{PLAIN} in mcpservers" in searched(everything, PLAIN)
    assert any(hit.startswith(f"{PLAIN} in mooring.db") for hit in searched(kept(mooring), PLAIN))
    mooring.moor("down")
    assert searched(kept(mooring)) == []


SAID = {
    "telling-0": "*** is no token",
    "dying-0": 'it ended before it was ready: exit 1, "*** is no token"',
}


def said(mooring: Mooring) -> dict[str, str]:
    rows = mooring.instances()
    return {name: rows[name]["status"]["message"] for name in SAID if name in rows}  # type: ignore[index]  # JSON


def environment_of(mooring: Mooring) -> str:
    """What the instances that run were given."""
    found = b""
    for pid in mooring.processes():
        with suppress(OSError):
            if b"toy.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found += Path(f"/proc/{pid}/environ").read_bytes()
    return os.fsdecode(found)


def restarts(mooring: Mooring) -> int:
    rows = mooring.instances().values()
    return sum(row["status"].get("restarts", 0) for row in rows)  # type: ignore[attr-defined]  # JSON
