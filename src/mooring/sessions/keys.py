"""Key files: secrets of this installation that live in its data directory.

A key is made on first use and kept: without it, every sealed session id becomes worthless.
A file that others could read or replace is refused rather than used.
"""

import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from mooring.errors import Denied, Invalid, Unavailable


def load_or_make(path: Path, size: int = 32) -> bytes:
    """The key in a file of ours, made (mode 0600) where there is none.

    Two programs that start at once get the same key. Raises Denied "Forbidden" for a file that
    is a symbolic link, belongs to somebody else, or is open to others; Invalid for one of
    another size; Unavailable "StoreUnavailable" where it cannot be read or written.
    """
    key = read_or_make(path, lambda: secrets.token_bytes(size), size)
    if len(key) != size:
        message = f"key file {path}: expected {size} bytes; restore it, or remove it (open "
        raise Invalid("Invalid", message + "sessions are then lost)")
    return key


def read_or_make(path: Path, make: Callable[[], bytes], limit: int) -> bytes:
    """What a file of ours holds, up to one byte past the limit; made where there is none."""
    try:
        found = _read(path, limit)
        if found is None:
            _make(path, make())
            found = _read(path, limit)
    except OSError as error:
        raise Unavailable("StoreUnavailable", f"key file {path}: {error.strerror}") from error
    if found is None:
        raise Unavailable("StoreUnavailable", f"key file {path}: it went away while being made")
    return found


def replace(path: Path, content: bytes) -> None:
    """Puts another content (mode 0600) in the place of a file, complete or not at all."""
    try:
        made = _written(path, content)
        os.replace(made, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise Unavailable("StoreUnavailable", f"key file {path}: {error.strerror}") from error


def _read(path: Path, limit: int) -> bytes | None:
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
        return os.read(found, limit + 1)
    finally:
        os.close(found)


def _inspect(path: Path, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise Denied("Forbidden", f"key file {path}: is not a regular file")
    if seen.st_uid != os.geteuid():
        raise Denied("Forbidden", f"key file {path}: belongs to user {seen.st_uid}, not to us")
    if seen.st_mode & 0o077:
        raise Denied("Forbidden", f"key file {path}: is open to others. Fix: chmod 600 {path}")


def _make(path: Path, key: bytes) -> None:
    """Complete or not at all, and never over an existing file."""
    made = _written(path, key)
    try:
        os.link(made, path)
        _sync_directory(path.parent)
    except FileExistsError:
        return  # somebody else was faster: theirs counts
    finally:
        os.unlink(made)


def _written(path: Path, content: bytes) -> str:
    """A new file beside a path, complete."""
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return made


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
