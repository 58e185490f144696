"""When what is stored can be believed again after a start."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.controllers.loop import Controllers
from mooring.controllers.prober import Prober
from mooring.controllers.servers import Surroundings
from mooring.core.workload import Observed
from mooring.kinds.ref import Ref
from mooring.testing.runtime import FakeRuntime
from mooring.testing.stage import Stage, server

Run = Callable[[Coroutine[Any, Any, None]], None]


class Late(FakeRuntime):
    """Shows what runs only once it may."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.clock)
        self.asked = asyncio.Event()
        self.may = asyncio.Event()

    async def observe(self, about: Ref) -> tuple[Observed, ...]:
        self.asked.set()
        await self.may.wait()
        return await super().observe(about)


@pytest.mark.parametrize("names", [[], ["time"], ["time", "notes"]])
def test_everything_is_looked_at_once_before_it_is_believed(run: Run, names: list[str]) -> None:
    async def story() -> None:
        stage = Stage()
        for name in names:
            await stage.store.put(server(name))
        runtime = Late(stage)
        around = Surroundings(base="http://h", loads=dict, chance=lambda: 0.5)
        prober = Prober(stage.greetings.connect, stage.clock, lambda: 0.5)
        controllers = Controllers(stage.store, runtime, stage.clock, prober, around)
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(controllers.run())
            if names:
                await runtime.asked.wait()
                assert not controllers.looked.is_set()
            runtime.may.set()
            await controllers.looked.wait()
            for name in names:
                found = await stage.store.get(Ref("MCPServer", "default", name))
                assert found is not None
                assert found.status.instances
            work.cancel()

    run(story())
