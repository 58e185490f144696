"""The file of the keys that seal sessions, and how one key takes the place of another.

It holds keys of 32 bytes, one behind the other: the first seals, all open. The second one is
there to seal next: whoever has a copy of the file knows it before it is used, so that a copy may
arrive late and no session is lost meanwhile. A file of a single key is fine, too.
"""

import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from mooring import telemetry
from mooring.clock import Clock
from mooring.errors import Invalid, MooringError
from mooring.sessions.keys import read_or_make, replace
from mooring.sessions.ring import Ring

SIZE = 32
LIMIT = 8
"""Keys in a file; the oldest make room."""
LOOK_SECONDS = 5.0
"""How late a change of the file is noticed."""

Seen = tuple[int, int, int]


class KeyFile:
    """Keys in a file for us alone (mode 0600), newest first but for the second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: Seen | None = None

    def keys(self) -> tuple[bytes, ...]:
        """The keys, made where there is no file. Raises what is wrong with it, in words."""
        self._seen = self._look()
        held = read_or_make(self.path, lambda: _new() + _new(), LIMIT * SIZE)
        if not held or len(held) % SIZE or len(held) > LIMIT * SIZE:
            message = f"key file {self.path}: expected 1 to {LIMIT} keys of {SIZE} bytes; restore "
            raise Invalid("Invalid", message + "it, or remove it (open sessions are then lost)")
        return tuple(held[at : at + SIZE] for at in range(0, len(held), SIZE))

    def ring(self) -> Ring:
        """A ring of the keys as they are now."""
        return Ring(*self.keys())

    def rotate(self) -> tuple[bytes, ...]:
        """Has the next key seal from now on, and makes another next one; the old ones open."""
        first, *rest = self.keys()
        sealing, *older = rest or [_new()]
        return self._keep((sealing, _new(), first, *older))

    def renew(self) -> tuple[bytes, ...]:
        """Other keys throughout: what was sealed so far opens no more."""
        return self._keep((_new(), _new()))

    async def follow(self, ring: Ring, clock: Clock, changed: Callable[[], None]) -> None:
        """Changes the ring whenever the file was changed, and says so, for ever.

        A file that cannot be used changes nothing, and is told of in the log.
        """
        while True:
            await clock.sleep(LOOK_SECONDS)
            seen = self._look()
            if seen is None or seen == self._seen:
                continue
            try:
                keys = self.keys()
            except MooringError as error:
                telemetry.event("session_keys.refused", logging.ERROR, why=error.message)
                continue
            if keys != ring.keys:
                ring.change(keys)
                changed()
                telemetry.event("session_keys.changed", keys=len(keys))

    def _keep(self, keys: tuple[bytes, ...]) -> tuple[bytes, ...]:
        replace(self.path, b"".join(keys[:LIMIT]))
        return keys[:LIMIT]

    def _look(self) -> Seen | None:
        try:
            found = os.lstat(self.path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _new() -> bytes:
    return secrets.token_bytes(SIZE)
