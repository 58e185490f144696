"""Ids of events, so that a client can resume its own streams and nobody else's.

Some servers count the events of all their sessions in one row, and replay to whoever names a
number. So the ids that clients see carry a code over their session and its generation, and only
an id with the right one is given back to the server.
"""

import base64
import hmac
import re

from mooring.sessions.ring import Ring

GENERATION = b"0"
"""Of a session that was never moved."""
_PURPOSE = b"event ids"
_CODE = 12
_LINE = re.compile(rb"(^(?:\xef\xbb\xbf)?|[\r\n])(id: ?)([^\r\n\0]+)(?=[\r\n])")


class EventIds:
    """Marks ids for the sessions of one installation."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def mark(self, scope: bytes, id: bytes) -> bytes:
        """An id as the client sees it; `scope` names its session."""
        return b"%b.%b" % (id, _shown(self._ring.code(_told(scope, id), _PURPOSE)))

    def original(self, scope: bytes, marked: bytes) -> bytes | None:
        """The server's own id; None where this session was never given this one."""
        id, _, code = marked.rpartition(b".")
        codes = map(_shown, self._ring.codes(_told(scope, id), _PURPOSE))
        return id if any(hmac.compare_digest(code, right) for right in codes) else None

    def mark_event(self, scope: bytes, raw: bytes) -> bytes:
        """An event with its id marked and nothing else changed."""
        return _LINE.sub(lambda m: m[1] + m[2] + self.mark(scope, m[3]), raw)


def _told(scope: bytes, id: bytes) -> bytes:
    return b"%d:%b:%b:%b" % (len(scope), scope, GENERATION, id)


def _shown(code: bytes) -> bytes:
    return base64.urlsafe_b64encode(code)[:_CODE]
