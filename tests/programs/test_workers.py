"""The processes of the gateway, as the daemon holds them."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.clock import SystemClock
from mooring.core.reporting import Report, Reports
from mooring.errors import Unavailable
from mooring.programs.workers import Workers

pytestmark = pytest.mark.process

Run = Callable[[Coroutine[Any, Any, None]], None]


def workers(reports: Reports) -> Workers:
    """Two that end at once, because they do not understand their arguments."""
    return Workers(
        2, socket.create_server(("127.0.0.1", 0)), ["--nonsense"], reports, SystemClock()
    )


def test_processes_that_do_not_come_up_are_given_up_in_words(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        several = workers(Reports())
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(several.run())
            with pytest.raises(Unavailable, match="do not come up") as told:
                await several.open()
            assert told.value.reason == "CannotStart"
            await several.drain(asyncio.Event())
            running.cancel()

    with caplog.at_level(logging.INFO):
        run(story())
    assert "worker.ended worker=1 code=2" in caplog.text


def test_they_answer_once_each_has_reported(run: Run) -> None:
    async def story() -> None:
        reports = Reports()
        several = workers(reports)
        for name in ("1", "2", "3"):
            reports.hear(name, Report(loads={"u": (1, 0)}), SystemClock().monotonic())
        await several.open()
        await several.drain(asyncio.Event())

    run(story())
