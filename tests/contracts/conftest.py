"""What every contract is run over."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from mooring.core.ports import ObjectStore
from mooring.stores.memory import MemoryStore
from mooring.stores.sqlite import open_sqlite
from mooring.testing.clock import FakeClock

KEPT = 64
"""Changes of each kind that the stores under test keep at least."""

OpenStore = Callable[[], AbstractAsyncContextManager[ObjectStore]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def open_persistent(tmp_path: Path, clock: FakeClock) -> OpenStore:
    """Opens a store that outlives its closing, the same one every time."""
    numbers = count(1)

    def sqlite() -> AbstractAsyncContextManager[ObjectStore]:
        path = tmp_path / "objects.db"
        return open_sqlite(path, b"k" * 32, clock, lambda: f"uid-{next(numbers)}", history=KEPT)

    return sqlite


@pytest.fixture(params=["memory", "sqlite"])
def open_store(
    request: pytest.FixtureRequest, clock: FakeClock, open_persistent: OpenStore
) -> OpenStore:
    """Opens a store, of every sort there is."""
    numbers = count(1)

    @asynccontextmanager
    async def memory() -> AsyncIterator[ObjectStore]:
        yield MemoryStore(clock, lambda: f"uid-{next(numbers)}", history=KEPT)

    return memory if request.param == "memory" else open_persistent
