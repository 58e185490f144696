"""Fixtures that every room's tests may use."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
"""How long one example takes says something of the machine, and nothing of what is tested."""

T = TypeVar("T")
PATIENCE = 30.0
"""Seconds until an asynchronous test is given up."""


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs a coroutine to its end on a loop of its own, bounded."""

    async def bounded(work: Awaitable[T]) -> T:
        async with asyncio.timeout(PATIENCE):
            return await work

    def runner(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(bounded(work))

    return runner
