"""The keys of an installation: the first one seals, all of them open.

So a key can be replaced while what the one before sealed is still about. Everything that is
sealed carries its purpose as associated data, and opens as nothing else. AES-GCM-SIV, because
its nonces may collide without harm; for the same reason a nonce can afford to begin with a hint
of its key, so that opening costs the same however many keys there are.
"""

import hmac
import os
from collections.abc import Iterator, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

_NONCE = 12


class Ring:
    """Keys of 32 bytes each, newest first; they can be changed while in use."""

    def __init__(self, *keys: bytes) -> None:
        self.keys: tuple[bytes, ...] = ()
        self._subkeys: dict[bytes, tuple[bytes, ...]] = {}
        self.change(keys)

    def change(self, keys: Sequence[bytes]) -> None:
        """From now on these are the keys; those that are not among them open nothing more."""
        if not keys:
            raise ValueError("a ring without keys seals nothing")
        ciphers = [(_hint(key), AESGCMSIV(key)) for key in keys]
        self.keys = tuple(keys)
        self._subkeys.clear()
        self._sealing = ciphers[0]
        self._opening = tuple(
            tuple(cipher for _, cipher in sorted(ciphers, key=lambda each: each[0] != first))
            for first in range(256)
        )

    def seal(self, plain: bytes, purpose: bytes, chance: bytes = b"") -> bytes:
        """Opens again with `open`, for the same purpose, with this key on the ring.

        `chance`, 11 bytes or more, stands in for what is drawn, where the same must be sealed
        the same way every time.
        """
        hint, cipher = self._sealing
        nonce = b"%c%b" % (hint, chance[: _NONCE - 1] or os.urandom(_NONCE - 1))
        return nonce + cipher.encrypt(nonce, plain, purpose)

    def open(self, sealed: bytes, purpose: bytes) -> bytes | None:
        """What was sealed; None where no key here sealed it for that purpose."""
        if len(sealed) < _NONCE:
            return None
        nonce, body = sealed[:_NONCE], sealed[_NONCE:]
        for cipher in self._opening[nonce[0]]:
            try:
                return cipher.decrypt(nonce, body, purpose)
            except (InvalidTag, ValueError):
                continue
        return None

    def code(self, told: bytes, purpose: bytes) -> bytes:
        """32 bytes that only this installation can make of what is told."""
        return next(self.codes(told, purpose))

    def codes(self, told: bytes, purpose: bytes) -> Iterator[bytes]:
        """The same with each key, newest first, for comparing with a code that was given."""
        subkeys = self._subkeys.get(purpose)
        if subkeys is None:
            derived = (hmac.digest(key, purpose, "sha256") for key in self.keys)
            subkeys = self._subkeys[purpose] = tuple(derived)
        for subkey in subkeys:
            yield hmac.digest(subkey, told, "sha256")


def _hint(key: bytes) -> int:
    return hmac.digest(key, b"hint", "sha256")[0]
