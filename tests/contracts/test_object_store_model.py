"""Any sequence of calls on a store does what a very simple store would do.

The simple store is a dictionary, and knows nothing of versions: writes go to what was read last.
Watchers come and go meanwhile; what they are told adds up to what the store holds.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightkube.config.kubeconfig import KubeConfig

from mooring.core.ports import Change, ObjectStore
from mooring.errors import Conflict, MooringError
from mooring.kinds.base import Object, ObjectMeta
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer, ServerSpec, ServerStatus, Source
from mooring.stores.kubernetes import open_kubernetes
from mooring.stores.memory import MemoryStore
from mooring.stores.sqlite import open_sqlite
from mooring.testing.cluster import Cluster, running

NAMES = ("a", "b", "c")
CALLS = st.lists(
    st.tuples(
        st.sampled_from(
            ["create", "scale", "hold", "free", "report", "delete", "watch", "settle", "reopen"]
        ),
        st.sampled_from(NAMES),
        st.integers(0, 2),
    ),
    max_size=30,
)


def server(name: str, replicas: int) -> MCPServer:
    spec = ServerSpec(source=Source(pypi="x"), replicas=replicas)
    return MCPServer(metadata=ObjectMeta(name=name), spec=spec)


class Simple:
    """What is expected: spec, status and finalizers by name, and whether it is leaving."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, str, bool, bool]] = {}

    def call(self, what: str, name: str, n: int) -> bool:
        """Does it; False where it is to be refused."""
        row = self.rows.get(name)
        if what == "create":
            if row is None:
                self.rows[name] = (n, "", False, False)
            return row is None
        if row is None:
            return False
        replicas, message, hold, leaving = row
        if what == "hold" and leaving and not hold:
            return False
        after = {
            "scale": (n, message, hold, leaving),
            "hold": (replicas, message, True, leaving),
            "free": (replicas, message, False, leaving),
            "report": (replicas, str(n), hold, leaving),
            "delete": (replicas, message, hold, True),
        }[what]
        if after[3] and not after[2]:
            del self.rows[name]
        else:
            self.rows[name] = after
        return True


def told(of: Object) -> tuple[int, str, bool, bool]:
    assert isinstance(of, MCPServer)
    leaving = of.metadata.deletion_timestamp is not None
    return of.spec.replicas, of.status.message, bool(of.metadata.finalizers), leaving


async def call(store: ObjectStore, what: str, name: str, n: int) -> None:
    ref = Ref("MCPServer", "default", name)
    found = await store.get(ref)
    if what == "create":
        await store.put(server(name, n))
    elif what == "delete":
        await store.delete(ref)
    else:
        base = found or server(name, n).model_copy(
            update={"metadata": ObjectMeta(name=name, resource_version="1")}
        )
        assert isinstance(base, MCPServer)
        finalizers = {"hold": ("a/b",), "free": ()}.get(what, base.metadata.finalizers)
        metadata = base.metadata.model_copy(update={"finalizers": finalizers})
        spec = base.spec.model_copy(update={"replicas": n}) if what == "scale" else base.spec
        new = base.model_copy(update={"metadata": metadata, "spec": spec})
        if what == "report":
            status = ServerStatus(message=str(n))
            await store.report(new.model_copy(update={"status": status}))
        else:
            await store.put(new)


class Mirror:
    """Somebody who listed once and watches since."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._rows: dict[str, Object] = {}
        self._version = 0
        self._changes: AsyncIterator[Change] | None = None

    async def start(self) -> None:
        listing = await self._store.list("MCPServer")
        self._rows = {item.metadata.name: item for item in listing.items}
        self._version = int(listing.version)
        self._changes = self._store.watch("MCPServer", listing.version)

    async def catch_up(self) -> None:
        """Takes changes until it is where the store is, and compares."""
        listing = await self._store.list("MCPServer")
        assert self._changes
        while self._version < int(listing.version):
            change = await anext(self._changes)
            name, version = change.object.metadata.name, change.object.metadata.resource_version
            assert int(version) > self._version
            self._version = int(version)
            assert (change.type == "ADDED") == (name not in self._rows)
            if change.type == "DELETED":
                del self._rows[name]
            else:
                self._rows[name] = change.object
        assert tuple(self._rows[name] for name in sorted(self._rows)) == listing.items


async def play(calls: list[tuple[str, str, int]], path: Path | None) -> None:
    """Plays all calls, on a file where there is one."""
    simple = Simple()
    store: ObjectStore = MemoryStore()
    rest = list(calls)
    while True:
        if path is None:
            await until_reopened(store, simple, rest)
        else:
            async with open_sqlite(path, b"k" * 32) as kept:
                found = {item.metadata.name: told(item) for item in await items(kept)}
                assert found == simple.rows
                await until_reopened(kept, simple, rest)
        if not rest:
            return


async def items(store: ObjectStore) -> tuple[Object, ...]:
    return (await store.list("MCPServer")).items


async def until_reopened(
    store: ObjectStore, simple: Simple, rest: list[tuple[str, str, int]]
) -> None:
    mirrors: list[Mirror] = []
    while rest:
        what, name, n = rest.pop(0)
        if what == "reopen":
            break
        if what == "watch":
            mirrors.append(Mirror(store))
            await mirrors[-1].start()
        elif what == "settle":
            for mirror in mirrors:
                await mirror.catch_up()
        else:
            await compare(store, simple, (what, name, n))
    for mirror in mirrors:
        await mirror.catch_up()


async def compare(store: ObjectStore, simple: Simple, one: tuple[str, str, int]) -> None:
    before = (await store.list("MCPServer")).version
    rows = dict(simple.rows)
    expected = simple.call(*one)
    try:
        await call(store, *one)
    except MooringError:
        assert not expected, one
        assert simple.rows == rows
    else:
        assert expected, one
    found = {item.metadata.name: told(item) for item in await items(store)}
    assert found == simple.rows
    changed = rows != simple.rows
    assert ((await store.list("MCPServer")).version != before) == changed


def bounded(work: Coroutine[Any, Any, None]) -> None:
    async def patiently() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(patiently())


@given(CALLS)
@settings(max_examples=100, deadline=None)
def test_memory(calls: list[tuple[str, str, int]]) -> None:
    bounded(play(calls, None))


@given(CALLS)
@settings(max_examples=25, deadline=None)
def test_sqlite(calls: list[tuple[str, str, int]]) -> None:
    with TemporaryDirectory() as directory:
        bounded(play(calls, Path(directory) / "s.db"))


@given(CALLS)
@settings(max_examples=15, deadline=None)
def test_kubernetes(calls: list[tuple[str, str, int]]) -> None:
    async def played() -> None:
        async with cluster() as store:
            await until_reopened(store, Simple(), [each for each in calls if each[0] != "reopen"])

    bounded(played())


@asynccontextmanager
async def cluster() -> AsyncIterator[ObjectStore]:
    """A store over a cluster in memory."""
    async with (
        running(Cluster()) as url,
        open_kubernetes(KubeConfig.from_server(url).get()) as store,
    ):
        yield store


@pytest.mark.parametrize("on", ["memory", "sqlite", "kubernetes"])
def test_many_writers_lose_none_of_their_turns(
    on: str, tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """Ten writers count up one object, each reading again when it was not first."""

    async def count(store: ObjectStore, turns: int) -> None:
        while turns:
            (found,) = await items(store)
            assert isinstance(found, MCPServer)
            spec = found.spec.model_copy(update={"replicas": found.spec.replicas + 1})
            try:
                await store.put(found.model_copy(update={"spec": spec}))
                turns -= 1
            except Conflict:
                continue

    async def race(store: ObjectStore) -> None:
        await store.put(server("a", 0))
        await asyncio.gather(*(count(store, 8) for _ in range(10)))
        (found,) = await items(store)
        assert isinstance(found, MCPServer)
        assert (found.spec.replicas, found.metadata.generation) == (80, 81)

    async def test() -> None:
        if on == "memory":
            await race(MemoryStore())
        elif on == "kubernetes":
            async with cluster() as store:
                await race(store)
        else:
            async with open_sqlite(tmp_path / "s.db", b"k" * 32) as store:
                await race(store)

    run(test())
