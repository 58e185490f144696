"""Secrets, closed before they are written.

AES-GCM-SIV (RFC 8452) under one key of 32 bytes; a repeated nonce would not give it away. What
the text is for and whose it is are bound to it, so that no sealed value opens as another.
"""

import json
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

KEY_BYTES = 32
_NONCE_BYTES = 12
_PURPOSE = b"mooring secret\0"


class Seal:
    """Closes and opens what is stored, under one key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this one has {len(key)}")
        self._cipher = AESGCMSIV(key)

    def close(self, clear: Mapping[str, str], owner: str) -> bytes:
        """The sealed text of a Secret's data; `owner` is the uid of the Secret."""
        nonce = os.urandom(_NONCE_BYTES)
        text = json.dumps(dict(clear)).encode()
        return nonce + self._cipher.encrypt(nonce, text, _PURPOSE + owner.encode())

    def open(self, sealed: bytes, owner: str) -> Mapping[str, str] | None:
        """What was closed for this owner; None for anything else, damaged or of another key."""
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            clear = self._cipher.decrypt(nonce, text, _PURPOSE + owner.encode())
        except (InvalidTag, ValueError):
            return None
        opened: Mapping[str, str] = json.loads(clear)
        return opened
