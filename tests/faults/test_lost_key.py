"""The key of the secrets is lost: everything else runs, and what lacks its secret says so."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installation import ROOT, Mooring, wait_until

pytestmark = pytest.mark.process


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


def manifest(name: str, env: str = "") -> str:
    return (
        f"---\napiVersion: mooring.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: {name}}}\n"
        f'spec:\n  source: {{command: ["{sys.executable}", "{ROOT}/tests/servers/toy.py"]}}\n{env}'
    )


KEEN = "  env: [{name: T, valueFrom: {secretKeyRef: {name: creds, key: token}}}]\n"


def reason(mooring: Mooring, instance: str) -> str:
    row = mooring.instances().get(instance)
    return str(row["status"].get("reason", "")) if row else ""  # type: ignore[attr-defined]  # JSON


def test_without_the_key_only_what_needs_it_waits(mooring: Mooring) -> None:
    mooring.start("serve")
    mooring.wait_for_api()
    mooring.moor("create", "secret", "creds", "--from-literal", "token=one")
    mooring.apply(manifest("plain") + manifest("keen", KEEN))
    mooring.ready("keen")
    mooring.moor("down")
    assert mooring.daemon is not None
    mooring.daemon.wait(30)
    (mooring.home / "data" / "keys" / "secrets.key").unlink()

    mooring.start("serve")
    mooring.wait_for_api()
    mooring.ready("plain")
    wait_until("the words", lambda: reason(mooring, "keen-0") == "SecretUndecryptable", 20)
    said = mooring.moor("describe", "server", "keen")
    assert 'server "keen" env T: secret "creds" (key "token") cannot be decrypted' in said
    mooring.moor("create", "secret", "creds", "--from-literal", "token=two")
    mooring.ready("keen")
