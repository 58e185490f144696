"""What tests of runtimes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.keeping import short_directory


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with room for a socket's name."""
    with short_directory() as path:
        yield path
