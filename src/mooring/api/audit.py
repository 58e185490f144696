"""Who did what to which object, and how it ended: one log line for each write and each call.

What is refused before it is clear which object was meant is told by its path. A line never holds
a value that was written or an argument that was sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from mooring import telemetry
from mooring.core.identity import ANONYMOUS, Identity
from mooring.errors import MooringError

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_AUDITED = "audited"
"""Note on an error whose line is written."""

UNIX = "unix"
"""Issuer of those whose uid the kernel told us."""


def who(request: Request) -> Identity:
    """Who sent this request: by their token, or as far as the connection tells."""
    caller: Identity | None = getattr(request.state, "caller", None)
    if caller is not None:
        return caller
    uid: int | None = getattr(request.state, "peer_uid", None)
    return ANONYMOUS if uid is None else Identity(UNIX, f"uid:{uid}")


@contextmanager
def audited(
    caller: Identity, verb: str, target: object, *, dry_run: bool = False
) -> Iterator[None]:
    """Writes the line when the block ends, with the reason where it ended badly."""
    outcome = "failed"
    try:
        yield
        outcome = "ok"
    except MooringError as error:
        outcome = error.reason
        error.add_note(_AUDITED)
        raise
    finally:
        if not dry_run:
            telemetry.event(
                "audit", who=caller.subject, verb=verb, object=str(target), outcome=outcome
            )


def audit_refusal(request: Request, error: MooringError) -> None:
    """Writes the line of a write that was refused before anything was tried."""
    audited_before = _AUDITED in getattr(error, "__notes__", ())
    dry_run = "dryRun" in request.query_params
    if request.method in WRITING and not audited_before and not dry_run:
        verb, path = request.method.lower(), request.url.path
        caller = who(request).subject
        telemetry.event("audit", who=caller, verb=verb, object=path, outcome=error.reason)
