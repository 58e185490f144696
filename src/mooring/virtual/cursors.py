"""Where the next page of a list goes on.

A cursor holds the last name of the page before and nothing else, sealed for one list of one
virtual server and one caller: nobody can make one, or use another's.
"""

import base64
from typing import Any, Final, NamedTuple

from mooring.core.identity import Identity
from mooring.kinds.ref import Ref
from mooring.sessions.ring import Ring

_PURPOSE: Final = b"mooring cursor 1"


class Whose(NamedTuple):
    """The caller, and the virtual server whose list it is."""

    server: Ref
    identity: Identity
    credentials: bytes = b""
    """Fingerprint of what the caller is known by to backends."""


class Cursors:
    """Seals and opens cursors with the keys of an installation."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def sealed(self, last: str, method: str, whose: Whose) -> bytes:
        """The cursor for what comes behind this name."""
        sealed = self._ring.seal(last.encode("utf-8", "surrogatepass"), _bound(method, whose))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=")

    def opened(self, cursor: Any, method: str, whose: Whose) -> str | None:
        """The name in a cursor; None where it is not one for this caller and list."""
        if not isinstance(cursor, str):
            return None
        try:
            sealed = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except ValueError:
            return None
        last = self._ring.open(sealed, _bound(method, whose))
        return None if last is None else last.decode("utf-8", "surrogatepass")


def _bound(method: str, whose: Whose) -> bytes:
    who, server = whose.identity, whose.server
    words = (method, server.namespace, server.name, who.issuer, who.subject, who.client)
    parts = (_PURPOSE, *(word.encode() for word in words), whose.credentials)
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)
