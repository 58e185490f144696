"""Clients that list and watch while everything changes and their connections are cut at random.

What a client hears after a list is what happened after it, in order: nothing is lost, nothing
comes twice. So it is for lightkube, for the official Python client, and for our own store.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import kubernetes
import pytest
import urllib3
from kubernetes.client.exceptions import ApiException
from lightkube import AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster as ClusterEntry
from lightkube.config.models import User
from lightkube.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import OnErrorAction, OnErrorResult
from support.cutting import cutting

from mooring.errors import Conflict, Unavailable
from mooring.kinds.base import ObjectMeta
from mooring.kinds.server import MCPServer, ServerSpec, ServerStatus, Source
from mooring.stores.kubernetes import open_kubernetes
from mooring.testing.cluster import Cluster, ClusterStore, running

Run = Callable[[Coroutine[Any, Any, None]], None]
Told = tuple[str, str, int]
"""What happened, to which server, at which version."""

WRITES = 300
AHEAD = 40
"""Changes that the writer may be ahead of the slowest reader."""
SERVER: Any = create_namespaced_resource("mooring.dev", "v1alpha1", "MCPServer", "mcpservers")
GROUP = ("mooring.dev", "v1alpha1", "default", "mcpservers")


@dataclass
class Heard:
    """What one client was told: a list's version, and the changes after it, again and again."""

    parts: list[tuple[int, list[Told]]] = field(default_factory=list)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def version(self) -> int:
        """How far it is."""
        if not self.parts:
            return 0
        version, told = self.parts[-1]
        return told[-1][2] if told else version

    def listed(self, version: str) -> None:
        self.parts.append((int(version), []))
        self.moved.set()

    def changed(self, kind: str, name: str, version: str) -> None:
        self.parts[-1][1].append((kind, name, int(version)))
        self.moved.set()

    async def until(self, version: int) -> None:
        while self.version < version:
            self.moved.clear()
            await self.moved.wait()


async def by_lightkube(url: str, heard: Heard) -> None:
    config = KubeConfig.from_one(cluster=ClusterEntry(server=url), user=User())
    client = AsyncClient(config, namespace="default")
    try:
        while True:
            try:
                found = client.list(SERVER)
                _ = [each async for each in found]
                heard.listed(found.resourceVersion)
                changes = client.watch(
                    SERVER, resource_version=found.resourceVersion, on_error=_go_on
                )
                async for kind, server in changes:
                    heard.changed(kind, server.metadata.name, server.metadata.resourceVersion)
            except httpx2.HTTPError:
                continue
    finally:
        await client.close()


def _go_on(error: Exception, _: int) -> OnErrorResult:
    expired = isinstance(error, ApiError)
    return OnErrorResult(OnErrorAction.RAISE if expired else OnErrorAction.RETRY)


async def by_store(url: str, heard: Heard) -> None:
    async with open_kubernetes(KubeConfig.from_server(url).get()) as store:
        while True:
            try:
                listing = await store.list("MCPServer", "default")
                heard.listed(listing.version)
                async for change in store.watch("MCPServer", listing.version, "default"):
                    metadata = change.object.metadata
                    heard.changed(change.type, metadata.name, metadata.resource_version)
            except (Unavailable, Conflict):
                continue


async def by_official_client(url: str, heard: Heard) -> None:
    loop, ended = asyncio.get_running_loop(), []

    def tell(work: Callable[..., None], *given: str) -> None:
        if not ended:
            loop.call_soon_threadsafe(work, *given)

    reading = loop.run_in_executor(None, _read, url, heard, tell, ended)
    try:
        await asyncio.shield(reading)
    finally:
        ended.append(True)
        await reading


def _read(url: str, heard: Heard, tell: Callable[..., None], ended: list[bool]) -> None:
    configuration = kubernetes.client.Configuration(host=url)
    configuration.retries = False
    with kubernetes.client.ApiClient(configuration) as client:
        api = kubernetes.client.CustomObjectsApi(client)
        version = None
        while not ended:
            try:
                if version is None:
                    version = api.list_namespaced_custom_object(*GROUP)["metadata"][
                        "resourceVersion"
                    ]
                    tell(heard.listed, version)
                for event in _events(api, version):
                    metadata = event["object"]["metadata"]
                    version = metadata["resourceVersion"]
                    tell(heard.changed, event["type"], metadata["name"], version)
            except ApiException as error:
                version = None if error.status == 410 else version
            except (urllib3.exceptions.HTTPError, OSError):
                continue


def _events(api: Any, version: str) -> Iterator[Any]:
    watch = kubernetes.watch.Watch()
    list_them = api.list_namespaced_custom_object
    yield from watch.stream(list_them, *GROUP, resource_version=version, timeout_seconds=1)


READERS = [by_lightkube, by_store, by_official_client]


class Churn:
    """Makes, changes and deletes servers, and keeps a record of what happened."""

    def __init__(self, store: ClusterStore, chance: random.Random) -> None:
        self.truth: list[Told] = []
        self._store = store
        self._chance = chance

    async def write(self, count: int) -> None:
        for number in range(count):
            await self._one(number)

    async def _one(self, number: int) -> None:
        name = f"s{self._chance.randrange(8)}"
        ref = MCPServer(metadata=ObjectMeta(name=name), spec=_spec(0)).ref
        found = await self._store.get(ref)
        if found is None:
            made = await self._store.put(MCPServer(metadata=ObjectMeta(name=name), spec=_spec(1)))
            self._tell("ADDED", made)
        elif self._chance.random() < 0.2:
            self._tell("DELETED", await self._store.delete(ref))
        else:
            status = ServerStatus(message=f"{number} " + "x" * self._chance.randrange(900))
            changed = found.model_copy(update={"status": status})
            self._tell("MODIFIED", await self._store.report(changed))

    def _tell(self, kind: str, of: Any) -> None:
        self.truth.append((kind, of.metadata.name, int(of.metadata.resource_version)))


def _spec(replicas: int) -> ServerSpec:
    return ServerSpec(source=Source(pypi="x"), replicas=replicas)


@contextmanager
def judged(truth: list[Told], heard: Heard) -> Iterator[None]:
    yield
    for version, told in heard.parts:
        after = [each for each in truth if each[2] > version]
        assert told == after[: len(told)]
    assert heard.version == truth[-1][2]


async def played(read: Any, seed: int, *, ahead: int, history: int) -> tuple[Heard, int]:
    """One reader against the churn; what it heard, and how often it was cut off."""
    chance, heard = random.Random(seed), Heard()
    store = ClusterStore(history=history)
    churn = Churn(store, chance)
    async with running(Cluster(store)) as url, asyncio.timeout(20):
        port = int(url.rpartition(":")[2])
        async with cutting(port, chance, 500, 30_000) as (way, cutter):
            reading = asyncio.ensure_future(read(f"http://127.0.0.1:{way}", heard))
            with judged(churn.truth, heard):
                for _ in range(WRITES // 10):
                    await churn.write(10)
                    versions = [version for _, _, version in churn.truth]
                    await heard.until(versions[-min(ahead, len(versions))])
                await heard.until(churn.truth[-1][2])
            reading.cancel()
            await asyncio.wait([reading])
            return heard, cutter.cuts


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("read", READERS)
def test_nothing_is_lost_and_nothing_comes_twice(read: Any, seed: int, run: Run) -> None:
    async def story() -> None:
        heard, cuts = await played(read, seed, ahead=AHEAD, history=2000)
        assert cuts >= 5
        assert sum(len(told) for _, told in heard.parts) >= WRITES / 2

    run(story())


@pytest.mark.parametrize("read", READERS)
def test_who_falls_too_far_behind_lists_again(read: Any, run: Run) -> None:
    async def story() -> None:
        heard, _ = await played(read, 3, ahead=20, history=4)
        assert len(heard.parts) > 1

    run(story())
