"""What the tests of this room share."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

PATIENCE = 30.0


@pytest.fixture(params=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine to its end, bounded, once on each kind of loop."""

    async def bounded(work: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(PATIENCE):
            await work

    def runner(work: Coroutine[Any, Any, None]) -> None:
        (uvloop.run if request.param == "uvloop" else asyncio.run)(bounded(work))

    return runner
