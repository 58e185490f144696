"""Everything that can go wrong, as one tree.

    MooringError
    ├── Invalid       what was asked for makes no sense as it stands
    ├── Denied        the caller may not have it
    ├── NotFound      it is not there
    ├── Conflict      it is there, in a state that forbids this
    └── Unavailable   it may work later

Callers match the family; people and tests read the reason. A reason is a stable CamelCase
word that belongs to one family and fixes the HTTP status; `REASONS` is the whole list.
A message says what was wanted, what was found, and what to do next, and never holds a secret.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

REASONS: Mapping[str, int] = MappingProxyType(
    {
        # Invalid
        "BadRequest": 400,
        "BodyTooLarge": 413,
        "HeadTooLarge": 431,
        "Invalid": 422,
        "MethodNotAllowed": 405,
        "UnsupportedMediaType": 415,
        # Denied
        "Forbidden": 403,
        "Unauthorized": 401,
        # NotFound
        "NotFound": 404,
        # Conflict
        "AlreadyExists": 409,
        "Conflict": 409,
        "Expired": 410,
        "StaleVersion": 409,
        # Unavailable
        "CannotInstall": 503,
        "CannotStart": 503,
        "KeeperGone": 503,
        "StoreUnavailable": 503,
        "UpstreamRefused": 503,
        "UpstreamReset": 503,
        "UpstreamTimeout": 504,
    }
)
"""Each reason and the HTTP status that it stands for."""


class MooringError(Exception):
    """The root: a reason from `REASONS`, and a sentence for a person."""

    retryable: ClassVar[bool] = False

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.status = REASONS[reason]


class Invalid(MooringError):
    """What was asked for makes no sense as it stands; asking again will not help."""


class Denied(MooringError):
    """The caller may not have it."""


class NotFound(MooringError):
    """It is not there."""


class Conflict(MooringError):
    """It is there, in a state that forbids this; look again, then decide again."""

    retryable = True


class Unavailable(MooringError):
    """It may work later; back off."""

    retryable = True
