"""Servers that run elsewhere; what all runtimes do is in the contract."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.core.actions import Start, Stop
from mooring.core.workload import Workload
from mooring.errors import Invalid
from mooring.kinds.ref import Ref
from mooring.kinds.server import Source
from mooring.runtimes.feed import Feed
from mooring.runtimes.remote import RemoteRuntime

Run = Callable[[Coroutine[Any, Any, None]], None]
REF = Ref("MCPServer", "default", "far")
URL = "https://mcp.example.com/x?y=1"


def start(url: str = URL, checksum: str = "c1", name: str = "far-0") -> Start:
    return Start(REF, name, Workload(REF, checksum, Source(url=url)))


async def uid(*starts: Start) -> str:
    runtime = RemoteRuntime(Feed())
    for one in starts:
        await runtime.perform(one)
    return (await runtime.observe(REF))[-1].uid


def test_a_remote_server_runs_where_its_url_says(run: Run) -> None:
    async def story() -> None:
        runtime = RemoteRuntime(Feed())
        await runtime.perform(start())
        (seen,) = await runtime.observe(REF)
        assert (seen.name, seen.state, seen.address) == ("far-0", "running", URL)

    run(story())


def test_its_uid_survives_a_restart_of_mooring(run: Run) -> None:
    async def story() -> None:
        assert await uid(start()) == await uid(start(checksum="c2"))

    run(story())


def test_another_url_or_name_is_another_instance(run: Run) -> None:
    async def story() -> None:
        uids = {await uid(start()), await uid(start("https://other/")), await uid(start(name="b"))}
        assert len(uids) == 3

    run(story())


def test_a_stop_meant_for_another_start_changes_nothing(run: Run) -> None:
    async def story() -> None:
        runtime = RemoteRuntime(Feed())
        await runtime.perform(start())
        await runtime.perform(Stop(REF, "far-0", "another", "test"))
        assert len(await runtime.observe(REF)) == 1

    run(story())


def test_a_server_without_a_url_is_refused(run: Run) -> None:
    async def story() -> None:
        work = Workload(REF, "c1", Source(command=("x",)))
        with pytest.raises(Invalid, match="no url"):
            await RemoteRuntime(Feed()).perform(Start(REF, "far-0", work))

    run(story())
