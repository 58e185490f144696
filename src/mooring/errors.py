"""Everything that can go wrong, as one tree.

    MooringError
    ├── Invalid       what was asked for makes no sense as it stands
    ├── Denied        the caller may not have it
    ├── NotFound      it is not there
    ├── Conflict      it is there, in a state that forbids this
    └── Unavailable   it may work later

Callers match the family; people and tests read the reason. A reason is a stable CamelCase
word that belongs to one family and fixes the HTTP status; `FAMILIES` is the whole list, to add to.
A message says what was wanted, what was found, and what to do next, and never holds a secret.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

FAMILIES: Mapping[str, Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "Invalid": {
            "BadRequest": (400, "The request cannot be understood."),
            "BodyTooLarge": (413, "The body of the request is larger than is accepted."),
            "HashMismatch": (422, "A package is not the one whose hash was recorded."),
            "HeaderMismatch": (400, "Headers that repeat the body disagree with it."),
            "HeadTooLarge": (431, "The head of the request is larger than is accepted."),
            "Invalid": (422, "The document breaks rules of its kind; each is listed."),
            "MethodNotAllowed": (405, "The path exists, and does not know this method."),
            "NoEntryPoint": (422, "Which of a package's programs to run cannot be told."),
            "UnsupportedMediaType": (415, "The body is of a type that is not accepted here."),
            "UpstreamRejected": (422, "The server says that the request makes no sense to it."),
        },
        "Denied": {
            "Forbidden": (403, "The caller is known, and may not do this."),
            "LoginNeeded": (401, "The server answers only callers that it knows."),
        },
        "NotFound": {
            "CommandNotFound": (404, "A program that is needed is not on this machine."),
            "NotFound": (404, "There is nothing of that name."),
            "PackageNotFound": (404, "There is no package of that name and version."),
            "SessionLost": (404, "The session has ended, or its server's half is gone."),
        },
        "Conflict": {
            "AlreadyExists": (409, "There is an object of that name already."),
            "AlreadyRunning": (409, "A daemon runs on this data directory already."),
            "Conflict": (409, "The object is in a state that forbids this."),
            "Expired": (410, "The version is too old to watch from; list again."),
            "KeeperVersion": (409, "Keeper and daemon are of versions that do not go together."),
            "NotRunning": (409, "The instance does not run, so there is nobody to ask."),
            "PortInUse": (409, "The port is taken by another program."),
            "StaleVersion": (409, "The object was changed since it was read; read it again."),
        },
        "Unavailable": {
            "AnswerUnreadable": (503, "A server answered with what is no message, or too long."),
            "BackendLeftAlone": (
                503,
                "A remote backend failed too often; it is tried again after a while.",
            ),
            "CannotInstall": (503, "The package of a server could not be installed."),
            "CannotStart": (503, "The program of a server could not be started."),
            "CannotStop": (503, "A program of Mooring's own does not end."),
            "ChildExited": (
                503,
                "A server's process ended before it answered; what it had in hand may have run.",
            ),
            "ChildSilent": (504, "The process of a server runs, and does not read or answer."),
            "Draining": (503, "This Mooring is going away; try again in a moment."),
            "InternalError": (500, "Something went wrong in Mooring itself; its log says what."),
            "KeeperGone": (503, "The keeper does not answer."),
            "Loop": (508, "The request came through this Mooring before."),
            "NoReadyInstance": (503, "No instance of the server can take new work."),
            "OutcomeUnknown": (
                503,
                "The server was lost with the request in hand; it may have run.",
            ),
            "RecoveryFailed": (503, "A session's instance is gone, and none could take it over."),
            "SessionLimit": (429, "The caller has as many sessions open as it may."),
            "SessionStoreUnavailable": (503, "Records of sessions cannot be read or written now."),
            "NotRoutableHere": (503, "The instance is there, and out of this gateway's reach."),
            "StoreUnavailable": (503, "What is stored could not be read or written."),
            "TooManyConnections": (503, "As many connections are open as are allowed."),
            "TooManyChildren": (503, "Every process that a server may have is in use."),
            "TooManySessions": (503, "An instance holds as many sessions as it can."),
            "UpstreamBusy": (429, "The server asks to be left alone for a while."),
            "UpstreamError": (502, "The server answered with an error of its own."),
            "UpstreamMalformed": (502, "What the server sent is not an HTTP/1.1 answer."),
            "UpstreamRefused": (503, "The server refused the connection; nothing was sent."),
            "UpstreamReset": (503, "The server cut the connection; the request may have run."),
            "UpstreamSessionIdTooLong": (502, "The server's session id is over 1 KiB."),
            "UpstreamTimeout": (504, "The server did not answer in time."),
            "UpstreamTooLarge": (502, "The answer of the server is larger than is accepted."),
            "UpstreamUnreadable": (502, "The server's answer is no JSON and no event stream."),
        },
    }
)
"""Each family with its reasons: the HTTP status that one stands for, and what it means."""

REASONS: Mapping[str, int] = MappingProxyType(
    {reason: status for family in FAMILIES.values() for reason, (status, _) in family.items()}
)
"""Each reason and its HTTP status."""


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
