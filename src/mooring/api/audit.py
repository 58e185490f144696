"""Who did what to which object, and how it ended: one log line for each write and each call.

A line never holds a value that was written or an argument that was sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from mooring import telemetry
from mooring.core.identity import ANONYMOUS, Identity
from mooring.errors import MooringError

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
        raise
    finally:
        if not dry_run:
            telemetry.event(
                "audit", who=caller.subject, verb=verb, object=str(target), outcome=outcome
            )
