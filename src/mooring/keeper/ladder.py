"""How surely a child ends: three rungs, of which the best that works here is used.

`pid-namespace`: the kernel ends everything in it with its first process. `cgroup`: all members
of a cgroup of their own are killed at once. `process-group`: init looks for its descendants until
none is left. Whether a rung works is found out by trying it. Whatever the rung, children carry a
marker in their environment, and a keeper that starts ends what an earlier one of the same
socket left behind, which there is only if keeper and inits were all killed with SIGKILL.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import signal
from pathlib import Path

from mooring.errors import Unavailable
from mooring.keeper.forker import descendants
from mooring.keeper.forking import Forker, ForkRequest, Rung, Unborn

RUNGS: tuple[Rung, ...] = ("pid-namespace", "cgroup", "process-group")
"""Best first."""
MARKER = "MOORING_SLOT"
"""Variable of a child's environment: `HOME/UID/N`, home being eight digits for the keeper."""
_TRIAL = 5.0


def home(socket_path: str) -> str:
    """What tells the children of this keeper from those of others: digits of its socket's path."""
    return hashlib.sha256(os.path.abspath(socket_path).encode()).hexdigest()[:8]


class Ladder:
    """The rung of this keeper, and what is needed to stand on it."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.rung: Rung = "process-group"
        self._cgroup = _cgroup(home)
        self._number = 0

    async def climb(self, forker: Forker, forced: Rung | None = None) -> Rung:
        """Ends leftovers, and chooses the best rung that works.

        A forced one is taken or refused: Unavailable "CannotStart".
        """
        self.sweep()
        for rung in (forced,) if forced else RUNGS:
            self.rung = rung
            if await self._works(forker):
                return rung
        raise Unavailable("CannotStart", f"children cannot be held by {forced or 'any means'} here")

    def leaf(self) -> str:
        """A new directory for the next child's cgroup; empty on the other rungs. OSError."""
        if self.rung != "cgroup":
            return ""
        if self._cgroup is None:
            raise OSError(errno.ENOENT, "no cgroups of version 2 are mounted")
        self._number += 1
        leaf = self._cgroup / f"{os.getpid()}-{self._number}"
        leaf.mkdir(parents=True, exist_ok=True)
        return str(leaf)

    def marker(self, uid: str) -> dict[str, str]:
        """The variable that a child carries, different for each."""
        self._number += 1
        return {MARKER: f"{self.home}/{uid}/{self._number}"}

    def sweep(self, marker: str = "") -> list[int]:
        """Kills whatever carries the marker (else: any of this keeper's), with its descendants."""
        wanted = f"{MARKER}={marker or self.home + '/'}".encode()
        found: list[int] = []
        for pid in marked(wanted, whole=bool(marker)):
            found += [pid, *descendants(pid)]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not marker:
            self._sweep_cgroups()
        return found

    def close(self) -> None:
        """Leaves nothing behind."""
        if self._cgroup is not None:
            with contextlib.suppress(OSError):
                self._cgroup.rmdir()

    def _sweep_cgroups(self) -> None:
        if self._cgroup is None or not self._cgroup.is_dir():
            return
        for leaf in self._cgroup.iterdir():
            if leaf.is_dir():
                with contextlib.suppress(OSError):
                    (leaf / "cgroup.kill").write_text("1")
                with contextlib.suppress(OSError):
                    leaf.rmdir()

    async def _works(self, forker: Forker) -> bool:
        """Starts a process that only waits, has it ended, and sees whether it did."""
        ended: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue()
        null = os.open(os.devnull, os.O_RDWR)
        try:
            request = ForkRequest(rung=self.rung, leaf=self.leaf())
            line = await forker.fork(request, (null, null, null), ended.put_nowait)
            try:
                async with asyncio.timeout(_TRIAL):
                    await line.born
                    line.strike("kill")
                    return await ended.get() == (0, signal.SIGKILL)
            finally:
                line.cut()
        except (OSError, Unborn):
            return False
        finally:
            os.close(null)


def marked(variable: bytes, *, whole: bool) -> list[int]:
    """Pids of processes whose environment has this `NAME=VALUE`, or one that begins so."""
    end = b"\0" if whole else b""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                environment = b"\0" + Path("/proc", name, "environ").read_bytes()
                if b"\0" + variable + end in environment:
                    found.append(int(name))
    return found


def _cgroup(home: str) -> Path | None:
    """Where this keeper's cgroups go: under its own one of version 2, if that is mounted."""
    with contextlib.suppress(OSError, StopIteration):
        own = next(
            line[3:]
            for line in Path("/proc/self/cgroup").read_text().splitlines()
            if line.startswith("0::")
        )
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields = line.split()
            if fields[fields.index("-") + 1] == "cgroup2":
                return Path(fields[4] + own.rstrip("/"), f"mooring-{home}")
    return None
