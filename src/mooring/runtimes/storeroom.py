"""Removes what nobody needs any more: packages that no server refers to, logs of servers gone.

A package goes only if no server refers to it, nothing runs from it, it was not handed out for a
day, and nobody is installing it (its lock is free). So little is removed at a time that a sweep
never takes long, and what a sweep leaves is found by the next one.
"""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from mooring import telemetry
from mooring.clock import Clock
from mooring.core.packages import Package
from mooring.errors import MooringError
from mooring.kinds.ref import Ref
from mooring.runtimes.contents import MARKER, discard, lock

UNUSED = 24 * 3600.0
"""Seconds since a package was handed out last until it may go."""
LOGS_KEPT = 7 * 24 * 3600.0
"""Seconds since a log was written last until it may go, once its server is gone."""
AT_ONCE = 20
"""Packages that one sweep removes."""
INSTALLS = "installs"
"""Directory of the logs of installations."""

_DIGEST = re.compile(r"[0-9a-f]{32}")
_TRASH = re.compile(_DIGEST.pattern + r"\.trash\d+")
_INSTANCE = re.compile(r"(?P<server>.+)-\d+\.log(\.\d+)?")


class Storeroom:
    """The packages and logs of one installation."""

    def __init__(
        self, packages: Path, logs: Path, place: Callable[[Package], Path], clock: Clock
    ) -> None:
        """`place` says where a package of an exact version is; it raises MooringError where that
        cannot be told."""
        self._packages = packages
        self._logs = logs
        self._place = place
        self._clock = clock

    async def sweep(self, wanted: Collection[Package], servers: Collection[Ref]) -> int:
        """Removes what neither of them needs; returns how much that was."""
        kept: set[Path] = set()
        unsure: set[str] = set()
        for package in wanted:
            try:
                kept.add(self._place(package))
            except MooringError:
                unsure.add(package.type)  # nothing of that type is touched
        now = self._clock.now().timestamp()
        return await asyncio.to_thread(self._sweep, kept, unsure, set(servers), now)

    def _sweep(self, kept: set[Path], unsure: set[str], servers: set[Ref], now: float) -> int:
        gone = 0
        for directory in self._unwanted(kept, unsure, now):
            gone += _remove(directory, now)
            if gone >= AT_ONCE:
                break
        for root in _inside(self._packages):
            _clear(root, now)
        return gone + self._sweep_logs(servers, now)

    def _unwanted(self, kept: set[Path], unsure: set[str], now: float) -> Iterator[Path]:
        running = _command_lines()
        for root in sorted(_inside(self._packages)):
            if root.name in unsure:
                continue
            for directory in sorted(_inside(root)):
                if not _DIGEST.fullmatch(directory.name) or directory in kept:
                    continue
                if _idle(directory, now) and os.fsencode(directory) not in running:
                    yield directory

    def _sweep_logs(self, servers: set[Ref], now: float) -> int:
        gone = 0
        for directory in _inside(self._logs):
            for file in _files(directory):
                instance = _INSTANCE.fullmatch(file.name)
                owner = instance and Ref("MCPServer", directory.name, instance["server"])
                ours = instance is not None or directory.name == INSTALLS
                if ours and owner not in servers and _age(file, now) > LOGS_KEPT:
                    file.unlink(missing_ok=True)
                    gone += 1
        return gone


def _remove(directory: Path, now: float) -> int:
    """Removes a package that is idle still, now that nobody else can be at it."""
    path = directory.with_name(f"{directory.name}.lock")
    try:
        descriptor = lock(path)
    except OSError:
        return 0
    if descriptor < 0:
        return 0
    try:
        if not _idle(directory, now):
            return 0
        discard(directory)
        path.unlink(missing_ok=True)
    except OSError as error:
        telemetry.event("package.kept", directory=directory, error=str(error))
        return 0
    finally:
        os.close(descriptor)
    telemetry.event("package.removed", directory=directory)
    return 1


def _clear(root: Path, now: float) -> None:
    """Removes what a removal that was cut off left: parts of packages, locks of none."""
    for directory in _inside(root):
        if _TRASH.fullmatch(directory.name) and _age(directory, now) > UNUSED:
            shutil.rmtree(directory, ignore_errors=True)
    for file in _files(root):
        alone = file.suffix == ".lock" and not file.with_suffix("").exists()
        if alone and _age(file, now) > UNUSED and (descriptor := lock(file)) >= 0:
            file.unlink(missing_ok=True)
            os.close(descriptor)


def _idle(directory: Path, now: float) -> bool:
    """Whether it was last handed out, or begun, long enough ago."""
    marker = directory / MARKER
    return _age(marker if marker.exists() else directory, now) > UNUSED


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except OSError:
        return 0.0


def _inside(directory: Path) -> list[Path]:
    """The directories in one."""
    with contextlib.suppress(OSError):
        return [path for path in directory.iterdir() if path.is_dir() and not path.is_symlink()]
    return []


def _files(directory: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(path for path in directory.iterdir() if path.is_file())
    return []


def _command_lines() -> bytes:
    """What every process of this machine was started as, as far as we may know it."""
    found = []
    for entry in _inside(Path("/proc")):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found.append((entry / "cmdline").read_bytes())
    return b"\0".join(found)
