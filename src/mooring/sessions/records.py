"""Session records as stores hold them: sealed, so that a store learns nothing and forges nothing.

A record is bound to the key that it lies under: moved to another one it does not open. That is
why the digest of the session's id is part of the associated data.
"""

import msgspec

from mooring.core.session_record import SessionRecord
from mooring.sessions.ring import Ring

_PURPOSE = b"mooring session record 1 "


class Records:
    """Seals and opens the records of one installation."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._pack = msgspec.msgpack.Encoder().encode
        self._unpack = msgspec.msgpack.Decoder(SessionRecord).decode

    def seal(self, key: bytes, record: SessionRecord) -> bytes:
        """A value for a store, to be kept under `key`."""
        return self._ring.seal(self._pack(record), _PURPOSE + key)

    def open(self, key: bytes, value: bytes) -> SessionRecord | None:
        """The record; None where that value was not sealed for that key by this installation."""
        packed = self._ring.open(value, _PURPOSE + key)
        if packed is None:
            return None
        try:
            return self._unpack(packed)
        except msgspec.DecodeError:  # of a version of Mooring that wrote it otherwise
            return None
