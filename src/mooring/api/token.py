"""The bearer token of the TLS door: a line in a file that only we can read.

The file is looked at with every use and read again when it is another one, so that a token
that was replaced opens nothing any more, without anybody having to tell the daemon.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from mooring import telemetry
from mooring.errors import Invalid, MooringError
from mooring.sessions.keys import read_or_make, replace

LENGTH = 43
"""Characters of a token: 32 bytes of chance."""


class TokenFile:
    """One token, in its file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._text = ""

    def text(self) -> str:
        """The token, made where there is none; raises what is wrong with the file."""
        found = read_or_make(self._path, _new, 1024).decode("ascii", "replace").strip()
        if len(found) < LENGTH or not found.isalnum():
            fix = f"key file {self._path}: holds no token. Fix: moor token rotate"
            raise Invalid("Invalid", fix)
        return found

    def rotate(self) -> str:
        """Another token; the one before opens nothing any more."""
        replace(self._path, _new())
        return self.text()

    def opened_by(self, given: bytes) -> str | None:
        """Which token it is, as the log may say it; None for a wrong one.

        Takes as long for any wrong one. A file that cannot be trusted lets nobody in.
        """
        try:
            current = self._current()
        except MooringError as error:
            telemetry.event("api.token", error=error.message)
            return None
        if not hmac.compare_digest(_digest(given), _digest(current.encode())):
            return None
        return f"token:{_digest(given).hex()[:8]}"

    def _current(self) -> str:
        seen = self._look()
        if seen is None or seen != self._seen:
            self._text = self.text()
            self._seen = seen
        return self._text

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = os.lstat(self._path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _new() -> bytes:
    """Letters and digits only: a token is selected with a double click."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(secrets.choice(alphabet) for _ in range(LENGTH)).encode() + b"\n"


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
