"""One keeper per socket.

The claim is a lock on a file beside the socket, which the kernel frees with the process, so a
socket file that a killed keeper left is known to be stale and replaced. The directory must be
ours alone, because whoever can connect can run commands as us.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from pathlib import Path

from mooring.errors import Conflict, Denied, Invalid

PATH_LIMIT = 107
"""Bytes of a Unix socket's path on Linux."""
PATIENCE = 10.0
"""Seconds that an ending keeper is waited for."""
_LOOK = 0.02


class Claim:
    """The right to serve one socket path."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._lock = -1

    def acquire(self) -> socket.socket:
        """The bound socket (0600).

        Raises Conflict "AlreadyRunning" while another keeper serves it, Denied for a directory
        that others can reach, Invalid for a path that cannot be a socket's.
        """
        if len(os.fsencode(self._path)) > PATH_LIMIT:
            raise Invalid(
                "Invalid",
                f"socket path {self._path} is longer than {PATH_LIMIT} bytes. "
                "Fix: set XDG_RUNTIME_DIR to a shorter directory",
            )
        try:
            self._check_directory()
            self._take_lock()
            return self._bind()
        except OSError as error:
            self.release()
            words = f"cannot serve {self._path}: {error.strerror or error}"
            raise Invalid("Invalid", words) from error

    def release(self) -> None:
        """Gives up the socket and the lock."""
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._lock)
            self._lock = -1

    def _check_directory(self) -> None:
        directory = self._path.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(directory)
        if not stat.S_ISDIR(found.st_mode):
            raise Denied("Forbidden", f"{directory} is not a directory (a symlink is refused)")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise Denied(
                "Forbidden",
                f"{directory} is open to other users (owner {found.st_uid}, mode "
                f"{found.st_mode & 0o777:04o}). Fix: make it yours alone, mode 0700",
            )

    def _take_lock(self) -> None:
        """Waits a while for a keeper that has stopped answering, and so is about to end."""
        lock = self._path.with_name(self._path.name + ".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        deadline = time.monotonic() + self._patience
        while not _locked(descriptor):
            if self._answers() or time.monotonic() > deadline:
                holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                words = f"another keeper (pid {holder}) already serves {self._path}"
                raise Conflict("AlreadyRunning", words)
            time.sleep(_LOOK)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock = descriptor

    def _answers(self) -> bool:
        """Whether somebody listens on the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.setblocking(False)
            return trial.connect_ex(str(self._path)) in (0, errno.EAGAIN)

    def _bind(self) -> socket.socket:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind(str(self._path))
            self._path.chmod(0o600)
        except OSError:
            sock.close()
            raise
        return sock


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
