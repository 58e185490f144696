"""A Kubernetes cluster that is there for tests, where MOORING_TEST_KUBECONFIG names its kubeconfig.

Its user must be allowed to make CRDs and namespaces. Whatever of our kinds is in it goes, and so
do the Secrets and Events of the namespaces that the tests use.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.core_v1 import Namespace

from mooring.core.ports import ObjectStore
from mooring.errors import MooringError, NotFound
from mooring.kinds.crd import definition, own_kinds
from mooring.stores.kubernetes import KubernetesStore, open_kubernetes

REAL = os.environ.get("MOORING_TEST_KUBECONFIG", "")
OUR_SORTS = ("memory", "sqlite", "kubernetes")
"""Object stores whose clock and memory are a test's to choose."""
REAL_CLUSTER = "real cluster"
OURS = tuple(kind.name for kind in own_kinds())
EVERYWHERE = ("Secret", "Event")
"""Kinds that every cluster has, and uses for itself."""
NAMESPACES = ("default", "team")


def real_cluster() -> SingleConfig:
    """How it is reached."""
    found = KubeConfig.from_file(Path(REAL)).get()
    assert found is not None, f"{REAL} names no cluster"
    return found


@asynccontextmanager
async def with_our_kinds(config: SingleConfig | None) -> AsyncIterator[KubernetesStore]:
    """The store of a cluster, which knows our kinds from now on."""
    client = AsyncClient(config)
    made = [CustomResourceDefinition.from_dict(definition(kind)) for kind in own_kinds()]
    spaces = [Namespace(metadata=ObjectMeta(name=name)) for name in NAMESPACES]
    for each in (*made, *spaces):
        with suppress(ApiError):  # a real cluster may have it from before
            await client.create(each)
    await client.close()
    async with open_kubernetes(config) as store:
        await _known(store)
        yield store


@asynccontextmanager
async def emptied(config: SingleConfig) -> AsyncIterator[KubernetesStore]:
    """The same, without anything of ours in it, before and after."""
    async with with_our_kinds(config) as store:
        await _empty(store)
        try:
            yield store
        finally:
            await _empty(store)


async def _empty(store: ObjectStore) -> None:
    wheres = [(kind, None) for kind in OURS]
    for kind, namespace in [*wheres, *((k, n) for k in EVERYWHERE for n in NAMESPACES)]:
        for item in (await store.list(kind, namespace)).items:
            with suppress(NotFound):
                free = item.metadata.model_copy(update={"finalizers": ()})
                await store.put(item.model_copy(update={"metadata": free}))
                await store.delete(item.ref)


async def _known(store: KubernetesStore) -> None:
    """Returns once the cluster serves our kinds, which takes a real one a moment."""
    async with asyncio.timeout(20):
        while True:
            try:
                await store.list("MCPServer")
                return
            except MooringError:
                await asyncio.sleep(0.2)  # noqa: TID251  # a real cluster's time, nobody's clock
