"""An API to ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.surface import Served, served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "api.sock") as running:
        yield running
