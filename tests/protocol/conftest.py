"""A whole Mooring, started and ended as a user would."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installation import Mooring


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    installation = Mooring(tmp_path)
    yield installation
    installation.end()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mooring]:
    """The example fleet, brought up by the README's command and ready."""
    installation = Mooring(tmp_path_factory.mktemp("fleet"))
    installation.start("up", "examples/fleet.yaml")
    try:
        installation.wait_for_output(r"mcpServers", 240)
        yield installation
    finally:
        installation.end()
