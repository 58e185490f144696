"""What tests of the gateway are given."""

from collections.abc import Callable
from typing import Any

import pytest
from support import fronting


@pytest.fixture
def world() -> Callable[..., Any]:
    """`async with world({"notes": 2}) as w:` a gateway before two instances of `notes`."""
    return fronting.world
