"""What nobody needs any more is removed, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mooring.core.packages import Package
from mooring.errors import NotFound
from mooring.kinds.ref import Ref
from mooring.runtimes.contents import MARKER, lock
from mooring.runtimes.storeroom import AT_ONCE, Storeroom
from mooring.testing.clock import FakeClock

Run = Callable[[Coroutine[Any, Any, None]], None]
DAY = 24 * 3600.0


class Room:
    """A storeroom whose things are as old as a test says."""

    def __init__(self, root: Path) -> None:
        self.packages = root / "packages"
        self.logs = root / "logs"
        self.clock = FakeClock()
        self.missing: set[str] = set()
        self.room = Storeroom(self.packages, self.logs, self._place, self.clock)

    def _place(self, package: Package) -> Path:
        if package.type in self.missing:
            raise NotFound("CommandNotFound", "no interpreter")
        return self.packages / package.type / package.name.ljust(32, "0")

    def age(self, path: Path, days: float) -> None:
        at = self.clock.now().timestamp() - days * DAY
        os.utime(path, (at, at))

    def install(self, name: str, days: float, kind: str = "pypi", whole: bool = True) -> Path:
        directory = self._place(Package("npm" if kind == "npm" else "pypi", name))
        (directory / "bin").mkdir(parents=True)
        directory.with_name(f"{directory.name}.lock").touch()
        if whole:
            (directory / MARKER).write_text("{}")
            self.age(directory / MARKER, days)
        self.age(directory, days)
        return directory

    def log(self, name: str, days: float) -> Path:
        path = self.logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.age(path, days)
        return path

    async def sweep(self, *names: str, servers: tuple[Ref, ...] = ()) -> int:
        return await self.room.sweep([Package("pypi", name) for name in names], servers)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def inside(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_a_package_that_nobody_needs_goes_with_its_lock(run: Run, room: Room) -> None:
    async def test() -> None:
        room.install("a", 2)
        kept = room.install("b", 2)
        assert await room.sweep("b") == 1
        assert inside(room.packages / "pypi") == [kept.name, f"{kept.name}.lock"]
        assert await room.sweep("b") == 0

    run(test())


def test_one_that_was_handed_out_lately_stays(run: Run, room: Room) -> None:
    async def test() -> None:
        room.install("a", 0.9)
        assert await room.sweep() == 0
        await room.clock.advance(0.2 * DAY)
        assert await room.sweep() == 1

    run(test())


def test_a_half_made_one_goes_unless_somebody_is_at_it(run: Run, room: Room) -> None:
    async def test() -> None:
        directory = room.install("a", 2, whole=False)
        descriptor = lock(directory.with_name(f"{directory.name}.lock"))
        assert await room.sweep() == 0
        os.close(descriptor)
        assert await room.sweep() == 1

    run(test())


def test_where_places_cannot_be_told_nothing_of_that_type_goes(run: Run, room: Room) -> None:
    async def test() -> None:
        room.install("a", 2)
        room.install("b", 2, kind="npm")
        room.missing.add("pypi")
        assert await room.sweep("c") == 1
        assert len(inside(room.packages / "pypi")) == 2

    run(test())


@pytest.mark.process
def test_one_that_something_runs_from_stays(run: Run, room: Room) -> None:
    program = room.install("a", 2) / "bin" / "a"
    program.write_text("import sys\nprint(flush=True)\nsys.stdin.read()\n")
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        async def running() -> None:
            assert await room.sweep() == 0

        run(running())
        process.communicate(timeout=10)

    async def ended() -> None:
        assert await room.sweep() == 1

    run(ended())


def test_what_is_no_package_is_left_alone(run: Run, room: Room) -> None:
    async def test() -> None:
        (room.packages / "pypi" / "mine").mkdir(parents=True)
        (room.packages / "pypi" / "note").touch()
        room.age(room.packages / "pypi" / "mine", 9)
        (room.packages / "pypi" / ("f" * 32)).symlink_to(room.packages)
        assert await room.sweep() == 0
        assert len(inside(room.packages / "pypi")) == 3

    run(test())


def test_what_a_removal_left_behind_goes_too(run: Run, room: Room) -> None:
    async def test() -> None:
        root = room.packages / "pypi"
        for name in ("a" * 32 + ".trash0", "b" * 32 + ".trash1"):
            (root / name / "bin").mkdir(parents=True)
        (root / ("c" * 32 + ".lock")).touch()
        room.age(root / ("a" * 32 + ".trash0"), 2)
        room.age(root / ("b" * 32 + ".trash1"), 0.5)
        room.age(root / ("c" * 32 + ".lock"), 2)
        assert await room.sweep() == 0
        assert inside(root) == ["b" * 32 + ".trash1"]

    run(test())


def test_a_sweep_is_bounded(run: Run, room: Room) -> None:
    async def test() -> None:
        for number in range(AT_ONCE + 3):
            room.install(f"{number:x}f", 2)
        assert [await room.sweep() for _ in range(3)] == [AT_ONCE, 3, 0]

    run(test())


def test_logs_of_servers_that_are_gone_go_after_a_week(run: Run, room: Room) -> None:
    async def test() -> None:
        gone = [room.log("default/old-0.log", 8), room.log("default/old-0.log.1", 9)]
        kept = [
            room.log("default/time-0.log", 30),
            room.log("default/time-0.log.2", 30),
            room.log("default/fresh-0.log", 6),
            room.log("team/other-12.log", 6),
            room.log("keeper.log", 90),
            room.log("default/notes.txt", 90),
        ]
        gone.append(room.log("team/time-0.log", 8))
        gone.append(room.log("installs/pypi-a-0123.log", 8))
        assert await room.sweep(servers=(Ref("MCPServer", "default", "time"),)) == 4
        assert [path.exists() for path in gone] == [False] * 4
        assert [path.exists() for path in kept] == [True] * 6

    run(test())


def test_an_installation_that_was_never_used_has_nothing_to_sweep(run: Run, room: Room) -> None:
    async def test() -> None:
        assert await room.sweep() == 0

    run(test())
