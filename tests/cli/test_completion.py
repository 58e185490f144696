"""The shell is offered kinds, live names and tools."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from support.surface import Served

from mooring.cli.main import moor as command

Moor = Any
Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(data_dir: Any, monkeypatch: pytest.MonkeyPatch) -> Complete:
    def offered(line: str) -> list[str]:
        words = line.split(" ")
        assert os.environ["MOORING_DATA"]
        shell = ShellComplete(command, {}, "moor", "_MOOR_COMPLETE")
        found = shell.get_completions(words[1:-1], words[-1])
        return [item.value for item in found]

    return offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("moor descr", ["describe"]),
        ("moor get ser", ["servers"]),
        ("moor get servers ", ["gitea", "time"]),
        ("moor get servers t", ["time"]),
        ("moor get server/", ["server/gitea", "server/time"]),
        ("moor describe inst gi", ["gitea-0"]),
        ("moor logs ti", ["time"]),
        ("moor call ti", ["time"]),
        ("moor call time no", ["now"]),
        ("moor events --for se", ["server/", "secret/"]),
        ("moor events --for server/t", ["server/time"]),
        ("moor events --for what/t", []),
        ("moor get servers -n other ", []),
    ],
)
def test_what_is_offered(fleet: Served, complete: Complete, line: str, offered: list[str]) -> None:
    fleet.script.tools_of["time"] = [{"name": "now"}, {"name": "ping"}]
    assert complete(line) == offered


def test_nothing_is_offered_where_nobody_answers(complete: Complete) -> None:
    for line in ("moor get servers ", "moor call time n", "moor logs x"):
        assert complete(line) == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_for_a_shell(moor: Moor, shell: str) -> None:
    said = moor("completion", shell)
    assert said.code == 0
    assert "_MOOR_COMPLETE" in said.out


def test_an_unknown_shell_is_refused(moor: Moor) -> None:
    assert moor("completion", "tcsh").code == 2
