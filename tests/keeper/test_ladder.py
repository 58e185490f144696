"""The rungs: the best that works, and what an earlier keeper left."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.keeping import gone, skip_where_absent, workshop

from mooring.errors import Unavailable
from mooring.keeper import ladder as module
from mooring.keeper.forking import Forker, ForkRequest, InitLine
from mooring.keeper.ladder import MARKER, RUNGS, Ladder, home, marked

pytestmark = pytest.mark.process
Run = Callable[[Any], Any]


@pytest.fixture
def stray() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes that carry a marker, and cleans up."""
    started = []

    def start(marker: str, *command: str) -> subprocess.Popen[bytes]:
        env = {"PATH": os.environ["PATH"], MARKER: marker}
        argv = command or ("sleep", "1000")
        process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_the_home_of_a_keeper_is_its_socket() -> None:
    assert home("/run/a/k.sock") == home("/run/a/../a/k.sock") != home("/run/b/k.sock")
    assert len(home("/x")) == 8


def test_the_best_rung_that_works_is_chosen(run: Run) -> None:
    async def works(name: str) -> bool:
        try:
            async with workshop(name):  # type: ignore[arg-type]  # one of RUNGS
                return True
        except Unavailable:
            return False

    async def story() -> None:
        working = [name for name in RUNGS if await works(name)]
        assert "process-group" in working
        async with workshop() as made:
            assert made._ladder.rung == working[0]

    run(story())


def test_without_namespaces_the_next_rung_is_taken(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = Forker.fork

    async def poor(self: Forker, request: ForkRequest, *rest: Any) -> InitLine:
        if request.rung == "pid-namespace":
            raise PermissionError(1, "Operation not permitted")
        return await fork(self, request, *rest)

    monkeypatch.setattr(Forker, "fork", poor)
    monkeypatch.setattr(module, "_cgroup", lambda home: None)

    async def story() -> None:
        async with workshop() as made:
            assert made._ladder.rung == "process-group"

    run(story())


def test_a_forced_rung_that_does_not_work_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_cgroup", lambda home: Path("/proc/no-cgroup-here"))

    async def story() -> None:
        with pytest.raises(Unavailable, match="cannot be held by cgroup here"):
            async with workshop("cgroup"):
                pass

    run(story())


def test_a_process_that_carries_the_marker_is_found_and_ended(
    stray: Callable[..., subprocess.Popen[bytes]],
) -> None:
    ladder = Ladder("aaaaaaaa")
    ours, others = stray("aaaaaaaa/u1/1"), stray("bbbbbbbb/u1/1")
    assert ours.pid in ladder.sweep()
    assert gone([ours.pid])
    assert others.poll() is None


def test_one_child_can_be_swept_alone(stray: Callable[..., subprocess.Popen[bytes]]) -> None:
    ladder = Ladder("aaaaaaaa")
    first, second = stray("aaaaaaaa/u1/1"), stray("aaaaaaaa/u1/12")
    assert ladder.sweep("aaaaaaaa/u1/1") == [first.pid]
    assert gone([first.pid])
    assert second.poll() is None


def test_descendants_that_shed_the_marker_are_ended_with_the_one_that_has_it(
    stray: Callable[..., subprocess.Popen[bytes]],
) -> None:
    script = "env -i setsid sleep 1000 & echo $!; wait"
    parent = stray("aaaaaaaa/u1/1", "sh", "-c", script)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert pid in Ladder("aaaaaaaa").sweep()
    assert gone([parent.pid, pid])


def test_only_a_whole_variable_counts(stray: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = stray("x", "env", f"OTHER_{MARKER}=aaaaaaaa/u1/1", "sleep", "1000")
    assert marked(f"{MARKER}=aaaaaaaa/".encode(), whole=False) == []
    assert process.poll() is None


def test_a_sweep_never_ends_the_sweeper(tmp_path: Path) -> None:
    script = (
        "from mooring.keeper.ladder import Ladder\n"
        "assert Ladder('aaaaaaaa').sweep() == []\n"
        "print('alive')"
    )
    env = os.environ | {MARKER: "aaaaaaaa/u1/1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, timeout=20, check=True
    )
    assert done.stdout == b"alive\n"


def test_each_child_has_a_marker_of_its_own() -> None:
    ladder = Ladder("aaaaaaaa")
    markers = {ladder.marker("u1")[MARKER] for _ in range(3)}
    assert len(markers) == 3
    assert all(marker.startswith("aaaaaaaa/u1/") for marker in markers)


def test_cgroups_that_were_left_are_emptied_and_removed(run: Run) -> None:
    async def story() -> None:
        try:
            async with workshop("cgroup", home="cccccccc") as made:
                leaf = Path(made._ladder.leaf())
        except Unavailable as error:
            skip_where_absent("cgroup", error.message)
        left = await asyncio.create_subprocess_exec("sleep", "1000")
        (leaf / "cgroup.procs").write_text(str(left.pid))
        async with workshop("cgroup", home="cccccccc"):
            assert await left.wait() == -9
        for _ in range(2):
            async with workshop("cgroup", home="cccccccc"):
                pass
        assert not leaf.parent.exists()

    run(story())


def test_a_machine_without_cgroups_of_version_2_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Path, "read_text", lambda self: "9:name=systemd:/\n")
    assert module._cgroup("aaaaaaaa") is None
