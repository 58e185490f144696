"""How a command ends badly: an exit code and words for a person.

Exit codes: 0 ok, 1 failed (or `diff` found differences), 2 usage, 3 not found, 4 not ready (or
`wait` timed out), 5 Mooring cannot be reached, 6 denied.
"""

from collections.abc import Mapping
from typing import Any

FAILED, USAGE, NOT_FOUND, NOT_READY, UNREACHABLE, DENIED = 1, 2, 3, 4, 5, 6

_BY_STATUS = {404: NOT_FOUND, 401: DENIED, 403: DENIED}


class Failure(Exception):
    """Ends the command with a message on stderr."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Refusal(Failure):
    """Mooring understood and said no."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        message = str(document.get("message") or f"Mooring answered {status}")
        super().__init__(message, _BY_STATUS.get(status, FAILED))
        self.status = status
        self.reason = str(document.get("reason", ""))
        details = document.get("details") or {}
        self.causes: list[Mapping[str, Any]] = list(details.get("causes") or ())


def unreachable(path: str, why: str) -> Failure:
    """Nobody answers at the socket."""
    return Failure(
        f"cannot reach Mooring at {path} ({why}): is it running? Start it: moor up", UNREACHABLE
    )
