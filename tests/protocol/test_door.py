"""A real kubectl at the TLS door of a whole Mooring."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installation import Mooring

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine"),
]
FLEET = """
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {name: far}
spec: {source: {url: "http://127.0.0.1:9/mcp"}}
"""


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    installation.start("up")
    try:
        installation.wait_for_api()
        yield installation
    finally:
        installation.end()


def kubectl(mooring: Mooring, *arguments: str) -> "subprocess.CompletedProcess[str]":
    config = mooring.home / "kubeconfig"
    environment = {**os.environ, "KUBECONFIG": str(config), "HOME": str(mooring.home)}
    return subprocess.run(
        ["kubectl", *arguments], env=environment, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip


def let_in(mooring: Mooring) -> None:
    (mooring.home / "kubeconfig").write_text(mooring.moor("kubeconfig"))


def test_kubectl_comes_in_until_the_token_is_rotated(mooring: Mooring) -> None:
    mooring.apply(FLEET)
    let_in(mooring)
    assert "mcpserver.mooring.dev/far" in kubectl(mooring, "get", "mcpservers", "-o", "name").stdout
    gone = kubectl(mooring, "delete", "mcpserver", "far", "--wait=false")
    assert gone.returncode == 0, gone.stderr
    log = (mooring.home / "data/logs/daemon.log").read_text()
    assert "audit who=token:" in log
    assert "verb=delete object=server/far outcome=ok" in log
    before = mooring.moor("token").strip()
    after = mooring.moor("token", "rotate").strip()
    refused = kubectl(mooring, "get", "mcpservers")
    assert refused.returncode == 1
    assert "You must be logged in" in refused.stderr
    let_in(mooring)
    assert kubectl(mooring, "get", "mcpservers").returncode == 0
    log = (mooring.home / "data/logs/daemon.log").read_text()
    assert (before in log, after in log) == (False, False)


def test_a_taken_port_is_refused_in_words_and_off_needs_none(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        mooring = Mooring(tmp_path, more={"MOORING_API_LISTEN": f"127.0.0.1:{port}"})
        try:
            mooring.start("up")
            assert mooring.daemon is not None
            assert mooring.daemon.wait(30) == 1
            assert f"127.0.0.1 port {port}: another program does" in mooring.output
            mooring.start("up", "--api-listen", "off")
            mooring.wait_for_api()
            assert "--api-listen off" in mooring.moor("kubeconfig", code=1)
        finally:
            mooring.end()
