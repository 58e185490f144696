"""The README's tour on the example fleet, with the clients that people use."""

import json
import os
import re
import signal
import subprocess

import pytest
from support.installation import BIN, ROOT, Mooring, alive, wait_until

pytestmark = pytest.mark.process

CLIENTS = ROOT / "tests/protocol/clients"
TOOLS = ROOT / ".tools"
CALLS = {
    "time": ("get_current_time", '{"timezone": "UTC"}', "UTC"),
    "everything": ("echo", '{"message": "ahoy"}', "ahoy"),
    "notes": ("add_note", '{"text": "ahoy"}', "kept note 1"),
}
"""A tool of each server, its arguments, and what the answer must contain."""


def tour() -> list[str]:
    """The commands of the README's second terminal, in order."""
    page = (ROOT / "README.md").read_text()
    block = re.search(r"In a second terminal.*?```sh\n(.*?)```", page, re.DOTALL)
    assert block is not None
    return block.group(1).strip().splitlines()


def client(fleet: Mooring, *command: str) -> dict[str, object]:
    done = subprocess.run(
        command, env=fleet.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_the_fleet_comes_up_and_says_how_to_use_it(fleet: Mooring) -> None:
    for server in CALLS:
        assert re.search(rf"{server}\b.*Installing|{server}\b.*Starting", fleet.output)
        assert re.search(rf"{server}\b.*Ready", fleet.output)
        assert fleet.url(server) in fleet.output
    assert '"mcpServers"' in fleet.output


@pytest.mark.parametrize("server", CALLS)
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_official_client_works(fleet: Mooring, server: str, mode: str) -> None:
    tool, arguments, expected = CALLS[server]
    script = str(CLIENTS / "sdk2.py")
    answer = client(fleet, str(BIN / "python"), script, fleet.url(server), mode, tool, arguments)
    assert tool in answer["tools"]
    assert expected in answer["text"]
    modern = mode == "auto" and server == "time"
    assert (answer["version"] == "2026-07-28") == modern


@pytest.mark.parametrize("server", CALLS)
def test_the_previous_official_client_works(fleet: Mooring, server: str) -> None:
    tool, arguments, expected = CALLS[server]
    python = str(TOOLS / "sdk1/bin/python")
    answer = client(fleet, python, str(CLIENTS / "sdk1.py"), fleet.url(server), tool, arguments)
    assert answer["session"]
    assert tool in answer["tools"]
    assert expected in answer["text"]


@pytest.mark.parametrize("server", CALLS)
@pytest.mark.parametrize("era", ["legacy", "auto"])
def test_the_inspector_works(fleet: Mooring, server: str, era: str) -> None:
    tool, arguments, expected = CALLS[server]
    given = [f"--tool-arg={key}={value}" for key, value in json.loads(arguments).items()]
    answer = client(
        fleet,
        str(TOOLS / "node_modules/node/bin/node"),
        str(TOOLS / "node_modules/.bin/mcp-inspector"),
        "--cli", fleet.url(server), "--transport", "http", "--protocol-era", era,
        "--method", "tools/call", "--tool-name", tool, *given,
    )  # fmt: skip
    assert expected in answer["content"][0]["text"]


def test_the_commands_of_the_readme_work(fleet: Mooring) -> None:
    said = {}
    for command in tour():
        done = subprocess.run(
            command, shell=True, cwd=ROOT, env=fleet.environment, capture_output=True, text=True,
            timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        said[command] = done.stdout
    assert re.search(r"time\s+2/2\s+Ready", said["moor get servers"])
    assert "time-1" in said["moor get inst"]
    assert "Events" in said["moor describe server time"]
    assert "echo" in said["moor tools everything"]
    assert "UTC" in said["moor call time get_current_time timezone=UTC"]
    assert "unchanged" in said["moor apply -f examples/fleet.yaml"]
    assert "deleted" in said["moor delete server notes"]
    assert re.search(r"desk-picked\s+3/3\s+3\s+Ready", said["moor get vmcp"])
    assert "vmcp/desk-work has add_note: it is work/add_note" in said["moor why tool add_note"]
    assert "kept note 1" in said["moor call vmcp/desk work_add_note text=hello"]


def test_ctrl_c_leaves_no_process(fleet: Mooring) -> None:
    before = fleet.processes()
    assert len(before) >= 5
    assert fleet.stop(signal.SIGINT) == 0
    wait_until("every process to end", lambda: not any(alive(pid) for pid in before), 20)
    assert fleet.processes() - {os.getpid()} == set()
