"""Key files: secrets of this installation that live in its data directory.

A key is made on first use and kept: without it, every sealed session id becomes worthless.
A file that others could read or replace is refused rather than used.
"""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from mooring.errors import Denied, Invalid, Unavailable


def load_or_make(path: Path, size: int = 32) -> bytes:
    """The key in a file of ours, made (mode 0600) where there is none.

    Two programs that start at once get the same key. Raises Denied "Forbidden" for a file that
    is a symbolic link, belongs to somebody else, or is open to others; Invalid for one of
    another size; Unavailable "StoreUnavailable" where it cannot be read or written.
    """
    try:
        found = _read(path, size)
        if found is None:
            _make(path, secrets.token_bytes(size))
            found = _read(path, size)
    except OSError as error:
        raise Unavailable("StoreUnavailable", f"key file {path}: {error.strerror}") from error
    if found is None:
        raise Unavailable("StoreUnavailable", f"key file {path}: it went away while being made")
    return found


def _read(path: Path, size: int) -> bytes | None:
    try:
        found = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        if path.is_symlink():
            raise Denied("Forbidden", f"key file {path}: is a symbolic link; remove it") from None
        raise
    try:
        _inspect(path, os.fstat(found))
        key = os.read(found, size + 1)
    finally:
        os.close(found)
    if len(key) != size:
        message = f"key file {path}: expected {size} bytes; restore it, or remove it (open "
        raise Invalid("Invalid", message + "sessions are then lost)")
    return key


def _inspect(path: Path, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise Denied("Forbidden", f"key file {path}: is not a regular file")
    if seen.st_uid != os.geteuid():
        raise Denied("Forbidden", f"key file {path}: belongs to user {seen.st_uid}, not to us")
    if seen.st_mode & 0o077:
        raise Denied("Forbidden", f"key file {path}: is open to others. Fix: chmod 600 {path}")


def _make(path: Path, key: bytes) -> None:
    """Complete or not at all, and never over an existing file."""
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        os.link(made, path)
        _sync_directory(path.parent)
    except FileExistsError:
        return  # somebody else was faster: theirs counts
    finally:
        os.unlink(made)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
