"""Where things are: the data directory and the sockets.

What is kept lies in the data directory, which is ours alone (0700, our own, no symlink, or we
refuse it). Sockets lie in a runtime directory with a short name, because the path of a Unix
socket is limited to 107 bytes; the name is derived from the data directory, so that every
command finds the daemon of its own data directory.
"""

import fcntl
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from mooring.errors import Conflict, Denied, Unavailable

SOCKET_PATH_LIMIT = 107


@dataclass(frozen=True, slots=True)
class Places:
    """Paths of one installation."""

    data: Path
    runtime: Path

    @property
    def api_socket(self) -> Path:
        """The control API."""
        return self.runtime / "api.sock"

    @property
    def keeper_socket(self) -> Path:
        """The keeper."""
        return self.runtime / "k.sock"

    @property
    def sessions(self) -> Path:
        """Records of sessions."""
        return self.data / "sessions.db"

    @property
    def database(self) -> Path:
        """Objects."""
        return self.data / "mooring.db"

    @property
    def lock(self) -> Path:
        """Held by the daemon while it runs; holds its pid."""
        return self.data / "daemon.lock"

    @property
    def keys(self) -> Path:
        """Keys, a file each, 0600."""
        return self.data / "keys"

    @property
    def packages(self) -> Path:
        """Installed packages."""
        return self.data / "packages"

    @property
    def work(self) -> Path:
        """Where servers start that name no directory."""
        return self.data / "work"

    @property
    def logs(self) -> Path:
        """What servers and Mooring itself said."""
        return self.data / "logs"

    @property
    def daemon_log(self) -> Path:
        """What a daemon said that has a terminal for its user."""
        return self.logs / "daemon.log"


def of(data_dir: str) -> Places:
    """The places of a data directory; touches nothing."""
    data = Path(data_dir).expanduser()
    data = Path(os.path.abspath(data))  # not resolve(): a symlink is refused, not followed
    digest = hashlib.sha256(str(data).encode()).hexdigest()[:8]
    given = os.environ.get("XDG_RUNTIME_DIR")
    runtime = Path(given) / f"mooring-{digest}" if given else None
    if runtime is None or len(str(runtime / "api.sock")) > SOCKET_PATH_LIMIT:
        runtime = Path("/tmp") / f"mooring-{os.getuid()}-{digest}"
    return Places(data, runtime)


def prepare(places: Places) -> None:
    """Makes both directories, or refuses them in words (Denied, Unavailable)."""
    for path, what in ((places.data, "data directory"), (places.runtime, "runtime directory")):
        _own(path, what)
    for path in (places.keys, places.logs, places.packages, places.work):
        path.mkdir(mode=0o700, exist_ok=True)


def _own(path: Path, what: str) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(path)
    except OSError as error:
        raise Unavailable("StoreUnavailable", f"{what} {path}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise Denied("Forbidden", f"{what} {path} is not a directory (a symlink is refused)")
    if found.st_uid != os.getuid():
        raise Denied(
            "Forbidden",
            f"{what} {path} belongs to uid {found.st_uid}, not to you (uid {os.getuid()}). "
            "Fix: choose another with --data-dir",
        )
    if found.st_mode & 0o077:
        raise Denied(
            "Forbidden",
            f"{what} {path} is open to other users (mode {found.st_mode & 0o777:04o}). "
            f"Fix: chmod 700 {path}",
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise Denied("Forbidden", f"{what} {path} cannot be written. Fix: chmod 700 {path}")


class Lock:
    """One daemon per data directory; the kernel frees it when the process ends."""

    def __init__(self, places: Places) -> None:
        self._path = places.lock
        self._descriptor = -1

    def acquire(self) -> None:
        """Takes the lock or raises Conflict, naming the process that holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise Conflict(
                "AlreadyRunning",
                f"a daemon (pid {pid}) already runs on {self._path.parent}. "
                "Fix: use it (moor get servers), stop it (moor down), or choose another --data-dir",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Gives the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder(places: Places) -> int:
    """The pid of the daemon that runs on this data directory; 0 where none does."""
    try:
        descriptor = os.open(places.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else 0
    else:
        return 0
    finally:
        os.close(descriptor)
