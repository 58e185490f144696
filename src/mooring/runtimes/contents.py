"""What an installed package's directory says about itself.

The marker is written last, in one step: a directory without a readable one is half made, and
is removed before its place is used.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

MARKER = "mooring.json"
TRIES = 100


@dataclass(frozen=True, slots=True)
class Contents:
    """What was installed."""

    package: str
    version: str
    hash: str
    """Of the archive: `sha256:…` for a wheel, `sha512-…` (SRI) for npm; empty where unknown."""
    programs: Mapping[str, str]
    """Programs of the package itself: name, and path within the directory."""


def read(directory: Path) -> Contents | None:
    """The contents of a finished directory; None where it is not, or where parts are missing."""
    try:
        document = json.loads((directory / MARKER).read_text())
        contents = Contents(**document)
        whole = all((directory / path).exists() for path in contents.programs.values())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return contents if whole else None


def finish(directory: Path, contents: Contents) -> None:
    """Writes the marker."""
    aside = directory / f"{MARKER}.new"
    with aside.open("w") as file:
        json.dump(asdict(contents), file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(directory / MARKER)


def discard(directory: Path) -> None:
    """Removes a directory, whose lock is held: it is out of the way at once, and deleted then."""
    for number in range(TRIES):
        try:
            directory.rename(directory.with_name(f"{directory.name}.trash{number}"))
        except FileNotFoundError:
            break
        except OSError:  # an earlier one of that name is still being deleted
            if number + 1 == TRIES:
                raise
        else:
            break
    for remains in directory.parent.glob(f"{directory.name}.trash*"):
        shutil.rmtree(remains, ignore_errors=True)


def lock(path: Path) -> int:
    """Takes the lock of a directory and returns its descriptor; -1 while another holds it.

    Tools inherit the descriptor, so that one that outlives us keeps others out.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    if not _is_still(path, descriptor):
        os.close(descriptor)
        return -1
    return descriptor


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether a file that was opened is the one of that name; it may have been removed since."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def touch(directory: Path, now: float) -> None:
    """Notes that a package was handed out."""
    with contextlib.suppress(OSError):
        os.utime(directory / MARKER, (now, now))
