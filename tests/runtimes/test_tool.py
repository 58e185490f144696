"""Tools are run to their end, heard, and killed whole."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mooring.errors import Unavailable
from mooring.runtimes import tool
from mooring.runtimes.contents import lock
from mooring.runtimes.tool import LINES, LOG, Finished, Job, begin

pytestmark = pytest.mark.process

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    log = tmp_path / "logs" / "tool.log"
    begin(log)
    return Job({"PATH": os.environ["PATH"], "A": "b"}, tmp_path, log)


def shell(script: str, job: Job) -> Coroutine[Any, Any, Finished]:
    return tool.run(["sh", "-c", script], job)


def test_a_tool_is_heard_on_both_outputs(run: Run, job: Job) -> None:
    done = run(shell("echo out; echo err >&2; printf rest; exit 3", job))
    assert (done.code, done.lines) == (3, ("out", "err", "rest"))
    log = job.log.read_text()
    assert log.startswith("$ sh -c echo out")
    assert log.endswith("out\nerr\nrest")


def test_a_tool_sees_what_it_is_given_and_nothing_else(run: Run, job: Job) -> None:
    done = run(shell("env", job))
    assert {"A=b", f"PATH={os.environ['PATH']}"} <= set(done.lines)
    assert {line.partition("=")[0] for line in done.lines} <= {"A", "PATH", "PWD", "SHLVL", "_"}


def test_a_tool_has_nothing_to_read(run: Run, job: Job) -> None:
    assert run(shell("cat; echo over", job)).lines == ("over",)


def test_what_is_kept_of_a_flood_is_bounded(run: Run, job: Job) -> None:
    done = run(shell("yes 0123456789abcdef | head -c 3000000; echo; echo last", job))
    assert len(done.lines) == LINES
    assert done.lines[-1] == "last"
    assert job.log.stat().st_size == LOG


def test_a_line_is_what_stays_on_the_screen(run: Run, job: Job) -> None:
    assert run(shell(r"printf '1%%\r50%%\r100%%\n'", job)).lines == ("100%",)


def test_a_tool_that_is_not_there_is_told(run: Run, job: Job) -> None:
    with pytest.raises(Unavailable, match="cannot run no-such-tool: No such file"):
        run(_tool("no-such-tool", job))


def test_a_tool_whose_caller_gives_up_is_killed_with_all_it_started(run: Run, job: Job) -> None:
    async def story() -> None:
        fifo = job.directory / "alive"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        closed, began = asyncio.Event(), asyncio.Event()

        def read() -> None:
            (began if os.read(reader, 100) else closed).set()

        asyncio.get_running_loop().add_reader(reader, read)
        script = f"exec > {fifo}; (trap '' TERM; echo child; exec sleep 60) & wait"
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(shell(script, job))
            await began.wait()
            task.cancel()
        await closed.wait()  # the last process that held the fifo is gone
        asyncio.get_running_loop().remove_reader(reader)
        os.close(reader)

    run(story())


def test_a_tool_that_outlives_us_keeps_the_lock(run: Run, job: Job) -> None:
    path = job.directory / "a.lock"
    held = lock(path)
    script = f"import fcntl; fcntl.flock({held}, fcntl.LOCK_EX | fcntl.LOCK_NB); print('mine')"
    done = run(_python(script, Job(job.environment, job.directory, job.log, lock=held)))
    assert done.lines == ("mine",)
    os.close(held)


def _tool(name: str, job: Job) -> Coroutine[Any, Any, Finished]:
    return tool.run([name], job)


def _python(script: str, job: Job) -> Coroutine[Any, Any, Finished]:
    return tool.run([sys.executable, "-c", script], job)
