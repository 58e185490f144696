"""`moor` itself: commands found, exit codes kept, nothing slow imported."""

import importlib
import json
import subprocess
import sys
from typing import Any

import click
import pytest
from support.surface import BASE, Served

from mooring.cli import main as program
from mooring.errors import Invalid

Moor = Any


@pytest.mark.parametrize("name", program.COMMANDS)
def test_every_command_is_there_and_explains_itself(name: str) -> None:
    module, _, attribute = program.COMMANDS[name].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help


def test_help_lists_commands_and_where_to_start(moor: Moor) -> None:
    said = moor("--help")
    assert said.code == 0
    for name in program.COMMANDS:
        assert f"  {name} " in said.out
    assert "moor up examples/fleet.yaml" in said.out
    assert "moor get inst -o wide" in moor("get", "-h").out


def test_no_command_is_answered_with_help_and_2(moor: Moor) -> None:
    said = moor()
    assert (said.code, said.out) == (2, "")
    assert "Usage: moor" in said.err


def test_an_unknown_command_is_answered_with_the_nearest(moor: Moor) -> None:
    said = moor("gte", "servers")
    assert said.code == 2
    assert "there is no command 'gte'. Did you mean get?" in said.err


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (Invalid("Invalid", "that is no address"), 1, "Error: that is no address"),
    ],
)
def test_every_end_has_its_code(
    moor: Moor, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, words: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr(program.moor, "main", fail)
    said = moor("version")
    assert said.code == code
    assert words in said.err


def test_settings_that_make_no_sense_are_told(moor: Moor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_KEEPER_ALONE_SECONDS", "soon")
    said = moor("get", "servers")
    assert said.code == 1
    assert "MOORING_KEEPER_ALONE_SECONDS" in said.err


def test_versions_of_both_ends(api: Served, moor: Moor) -> None:
    client, server = moor("version").lines
    assert client.startswith("Client: v")
    assert server.startswith("Server: v")
    assert server.endswith(f" at {BASE}")
    assert moor("version", "--client").lines == [client]


def test_without_a_server_the_clients_version_is_still_told(moor: Moor) -> None:
    said = moor("version")
    assert said.code == 5
    assert said.out.startswith("Client: v")


SLOW = {"pydantic", "starlette", "uvicorn", "yaml", "mooring.kinds.base", "asyncio"}
IMPORTS = """
import json, sys
from mooring.cli.main import main
try:
    main({arguments!r})
except SystemExit:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [["get", "servers"], ["get", "servers", "-o", "json"], ["describe", "server", "time"],
     ["logs", "time"], ["call", "time", "now"], ["apply", "-f", "-"], ["wait", "--for=delete",
     "server/x"], ["--help"]],
)  # fmt: skip
def test_nothing_slow_is_imported(fleet: Served, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(arguments=arguments)],
        input="", capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    assert modules & SLOW == set()


@pytest.mark.process
def test_a_reader_who_has_seen_enough_is_no_error(fleet: Served) -> None:
    command = f"{sys.executable} -c 'from mooring.cli.main import main; main()' get servers | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode in (0, 1)
