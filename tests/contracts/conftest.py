"""What every contract is run over."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from lightkube.config.kubeconfig import KubeConfig
from support.real_cluster import OUR_SORTS, REAL, REAL_CLUSTER, emptied, real_cluster
from support.redis_here import RedisHere, redis_here

from mooring.clock import SystemClock
from mooring.core.ports import ObjectStore
from mooring.core.session_record import SessionStore
from mooring.stores.kubernetes import open_kubernetes
from mooring.stores.memory import MemoryStore
from mooring.stores.redis_address import parse
from mooring.stores.sessions_memory import MemorySessions
from mooring.stores.sessions_redis import open_redis
from mooring.stores.sessions_sqlite import open_session_file
from mooring.stores.sqlite import open_sqlite
from mooring.testing.clock import FakeClock
from mooring.testing.cluster import Cluster, ClusterStore, running

KEPT = 64
"""Changes of each kind that the stores under test keep at least."""

OpenStore = Callable[[], AbstractAsyncContextManager[ObjectStore]]
OpenSessions = Callable[[], AbstractAsyncContextManager[SessionStore]]


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


@pytest.fixture(params=[*OUR_SORTS, *([REAL_CLUSTER] if REAL else [])])
def open_store(
    request: pytest.FixtureRequest, clock: FakeClock, open_persistent: OpenStore
) -> OpenStore:
    """Opens a store, of every sort there is."""
    numbers = count(1)

    @asynccontextmanager
    async def memory() -> AsyncIterator[ObjectStore]:
        yield MemoryStore(clock, lambda: f"uid-{next(numbers)}", history=KEPT)

    @asynccontextmanager
    async def kubernetes() -> AsyncIterator[ObjectStore]:
        held = ClusterStore(clock, lambda: f"uid-{next(numbers) - 1}", history=KEPT)
        async with (
            running(Cluster(held)) as url,
            open_kubernetes(KubeConfig.from_server(url).get()) as store,
        ):
            yield store

    def real() -> AbstractAsyncContextManager[ObjectStore]:
        return emptied(real_cluster())

    sorts = {
        "memory": memory, "sqlite": open_persistent, "kubernetes": kubernetes, REAL_CLUSTER: real
    }  # fmt: skip
    return sorts[request.param]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHere]:
    """A real one, that is a cluster of one: it refuses what would not work in a larger one."""
    with redis_here(tmp_path_factory.mktemp("redis"), cluster=True) as server:
        yield server


SESSION_STORES = ["memory", "sqlite", pytest.param("redis", marks=pytest.mark.process)]


@pytest.fixture(params=SESSION_STORES)
def open_sessions(request: pytest.FixtureRequest, tmp_path: Path) -> OpenSessions:
    """Opens a store of session records, of every sort there is; the same one every time."""
    kept = MemorySessions(SystemClock())

    @asynccontextmanager
    async def memory() -> AsyncIterator[SessionStore]:
        yield kept

    def sqlite() -> AbstractAsyncContextManager[SessionStore]:
        return open_session_file(tmp_path / "sessions.db", SystemClock())

    def redis() -> AbstractAsyncContextManager[SessionStore]:
        server = request.getfixturevalue("redis_server")
        address = parse(f"{server.url}?prefix={tmp_path.name}")
        return open_redis(address, SystemClock())

    sorts = {"memory": memory, "sqlite": sqlite, "redis": redis}
    return sorts[request.param]
