"""What an instance of the stateless era gave out, and must get back itself.

A `requestState` or the id of a task means something to the instance that made it and to no other.
So a client gets it wrapped: sealed together with the instance's uid, for this caller, server,
method and these parameters, and it comes back to that instance as the very bytes that it gave.
A state ends after 15 minutes. The id of a task has no end of ours and is wrapped the same way
every time, because clients compare ids; the instance itself knows how long a task lives.
"""

import base64
import hashlib
import json
from typing import Final, NamedTuple

import msgspec

from mooring.clock import Clock
from mooring.core.checksum import canonical
from mooring.core.identity import Identity
from mooring.kinds.ref import Ref
from mooring.sessions.ring import Ring
from mooring.transports.members import NotAnObject, NotJson, members

STATE_SECONDS: Final = 900
_STATE: Final = b"mooring request state 1"
_TASK: Final = b"mooring task 1"
_OTHER: Final = frozenset({"requestState", "inputResponses", "_meta"})
"""Parameters that differ between a request and its continuation."""


class Circumstances(NamedTuple):
    """Whose it is; it opens under the same ones only."""

    server: Ref
    identity: Identity
    method: str = ""
    """Of the request; empty for tasks, which are asked for by another one than they began with."""
    parameters: bytes = b""
    """Fingerprint of what was asked, empty for tasks."""


class Found(NamedTuple):
    """What was wrapped."""

    uid: str
    """Of the instance that gave it."""
    raw: bytes
    """Its raw JSON text."""


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    uid: str
    expires: int
    raw: bytes


class Affinity:
    """Wraps and unwraps with the keys of an installation."""

    def __init__(self, ring: Ring, clock: Clock) -> None:
        self._ring = ring
        self._clock = clock
        self._pack = msgspec.msgpack.Encoder().encode
        self._unpack = msgspec.msgpack.Decoder(_Packed).decode

    def wrap_state(self, about: Circumstances, uid: str, raw: bytes) -> bytes:
        """The raw JSON string that a client gets instead of this `requestState`."""
        expires = int(self._clock.now().timestamp()) + STATE_SECONDS
        packed = self._pack(_Packed(uid, expires, raw))
        return _spelled(self._ring.seal(packed, _bound(_STATE, about)))

    def wrap_task(self, about: Circumstances, uid: str, raw: bytes) -> bytes:
        """The raw JSON string that a client gets instead of this id of a task."""
        packed = self._pack(_Packed(uid, 0, raw))
        bound = _bound(_TASK, about)
        return _spelled(self._ring.seal(packed, bound, self._ring.code(bound + packed, _TASK)))

    def unwrap_state(self, about: Circumstances, raw: bytes) -> Found | None:
        """What a client brought back as `requestState`; None where it is not ours, or is over."""
        found = self._opened(raw, _bound(_STATE, about))
        if found is None or found.expires <= self._clock.now().timestamp():
            return None
        return Found(found.uid, found.raw)

    def unwrap_task(self, about: Circumstances, raw: bytes) -> Found | None:
        """What a client named as a task; None where it is not ours."""
        found = self._opened(raw, _bound(_TASK, about))
        return None if found is None else Found(found.uid, found.raw)

    def _opened(self, raw: bytes, bound: bytes) -> _Packed | None:
        text = raw[1:-1]
        try:
            sealed = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
            packed = self._ring.open(sealed, bound)
            return None if packed is None else self._unpack(packed)
        except (ValueError, msgspec.DecodeError):
            return None


def fingerprint(params: bytes) -> bytes:
    """Of the raw parameters of a request, but for what its continuation adds.

    A client may write the same parameters in another order or spacing.
    """
    try:
        kept = {key: json.loads(raw) for key, raw in members(params) if key not in _OTHER}
        text = canonical(kept)
    except (NotJson, NotAnObject, ValueError, RecursionError):
        text = params
    return hashlib.sha256(text).digest()


def _spelled(sealed: bytes) -> bytes:
    """As a JSON string."""
    return b'"' + base64.urlsafe_b64encode(sealed).rstrip(b"=") + b'"'


def _bound(purpose: bytes, about: Circumstances) -> bytes:
    """The associated data: every part with its length, so that none runs into the next."""
    who = about.identity
    words = (about.server.namespace, about.server.name, who.issuer, who.subject, who.client)
    parts = (purpose, *(word.encode() for word in words), about.method.encode(), about.parameters)
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)
