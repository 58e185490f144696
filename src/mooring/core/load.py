"""How busy an instance is, as one gateway sees it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Load:
    """Open sessions, and calls that were sent and are not answered yet."""

    sessions: int = 0
    calls: int = 0


Loads = Mapping[str, Load]
"""Load by instance uid; an instance that is not in it has none."""
