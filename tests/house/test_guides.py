"""What the guides tell people to write and to type is accepted by the program itself."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from mooring.cli.main import moor
from mooring.kinds.manifest import read

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/guides").glob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """Every code block of that language, with the page that it is on."""
    pattern = rf"```{language}\n(.*?)```"
    return [
        (page.name, block)
        for page in PAGES
        for block in re.findall(pattern, page.read_text(), re.DOTALL)
    ]


def commands() -> list[tuple[str, str]]:
    """Every command line of `moor` in a block, and every whole one between backticks."""
    typed = [(page, line) for page, block in blocks("sh") for line in block.splitlines()]
    quoted = [
        (page.name, text)
        for page in PAGES
        for text in re.findall(r"`(moor [^`…]+)`", page.read_text())
        if "NAME" not in text
    ]
    return sorted({(page, line) for page, line in typed + quoted if line.startswith("moor ")})


@pytest.mark.parametrize(("page", "block"), blocks("yaml"))
def test_a_manifest_of_a_guide_is_accepted(page: str, block: str) -> None:
    manifest = read(block, page)
    assert manifest.complaints == ()
    assert manifest.objects


@pytest.mark.parametrize(("page", "block"), blocks("json"))
def test_a_configuration_of_a_guide_is_json(page: str, block: str) -> None:
    assert "mcpServers" in json.loads(block)


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_of_a_guide_is_understood(page: str, line: str) -> None:
    context = click.Context(moor, info_name="moor", **moor.context_settings)
    arguments = shlex.split(line)[1:]
    command: click.Command = moor
    while isinstance(command, click.Group) and arguments and arguments[0][0] != "-":
        found = command.get_command(context, arguments[0])
        assert found is not None, f"{page}: {line}"
        command, arguments = found, arguments[1:]
    command.make_context("moor", arguments, parent=context)


def test_the_guides_hold_what_is_tried_here() -> None:
    assert len(blocks("yaml")) >= 3
    assert len(commands()) >= 10
