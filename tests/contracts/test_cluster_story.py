"""One story of our kinds in a Kubernetes API, with the CRDs that we generate.

It is played in the cluster in memory, and in a real one where MOORING_TEST_KUBECONFIG names a
kubeconfig (its user must be allowed to make CRDs; what the story makes, it deletes).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster as ClusterEntry
from lightkube.config.models import User
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition

from mooring.core.ports import Change
from mooring.errors import Conflict, MooringError
from mooring.kinds.base import FINALIZER, ObjectMeta
from mooring.kinds.crd import definition, own_kinds
from mooring.kinds.event import Event, Involved
from mooring.kinds.secret import Secret
from mooring.kinds.server import MCPServer, ServerSpec, ServerStatus, Source
from mooring.stores.kubernetes import KubernetesStore, open_kubernetes
from mooring.testing.cluster import Cluster, running

Run = Callable[[Coroutine[Any, Any, None]], None]
REAL = os.environ.get("MOORING_TEST_KUBECONFIG", "")


@asynccontextmanager
async def cluster(real: bool) -> AsyncIterator[KubernetesStore]:
    """A cluster that knows our kinds."""
    async with running(Cluster()) as url:
        here = KubeConfig.from_one(cluster=ClusterEntry(server=url), user=User())
        config = (KubeConfig.from_file(REAL) if real else here).get()
        client = AsyncClient(config)
        for kind in own_kinds():
            wanted = CustomResourceDefinition.from_dict(definition(kind))
            with suppress(ApiError):  # a real cluster may have them from before
                await client.create(wanted)
        await client.close()
        async with open_kubernetes(config) as store:
            await known(store)
            yield store


async def known(store: KubernetesStore) -> None:
    """Returns once the cluster serves our kinds, which takes a real one a moment."""
    async with asyncio.timeout(20):
        while True:
            try:
                await store.list("MCPServer")
                return
            except MooringError:
                await asyncio.sleep(0.2)  # noqa: TID251  # a real cluster's time, nobody's clock


@pytest.mark.parametrize(
    "real",
    [
        False,
        pytest.param(True, marks=[
            pytest.mark.process,
            pytest.mark.skipif(not REAL, reason="no cluster: MOORING_TEST_KUBECONFIG is not set"),
        ]),
    ],
)  # fmt: skip
def test_the_life_of_our_objects(real: bool, run: Run) -> None:
    async def story() -> None:
        async with cluster(real) as store:
            start = (await store.list("MCPServer", "default")).version
            changes = store.watch("MCPServer", start, "default")
            spec = ServerSpec(source=Source(pypi="mcp-server-time"))
            meta = ObjectMeta(name="mooring-story", finalizers=(FINALIZER,))
            made = await store.put(MCPServer(metadata=meta, spec=spec))
            assert (made.spec, made.metadata.generation) == (spec, 1)
            assert await store.put(made) == made
            status = ServerStatus(phase="Ready", message="Ready 1/1", observed_generation=1)
            reported = await store.report(made.model_copy(update={"status": status}))
            assert (reported.status, reported.spec) == (status, spec)
            with pytest.raises(Conflict) as stale:
                await store.put(made.model_copy(update={"spec": ServerSpec(source=spec.source)}))
            assert stale.value.reason == "StaleVersion"
            marked = await store.delete(made.ref)
            assert marked.metadata.deletion_timestamp is not None
            free = marked.metadata.model_copy(update={"finalizers": ()})
            await store.put(marked.model_copy(update={"metadata": free}))
            assert await store.get(made.ref) is None
            seen = [await anext(changes) for _ in range(3)]
            assert seen == [Change("ADDED", made), *(Change("MODIFIED", each) for each in (
                reported, marked))]  # fmt: skip
            assert (await anext(changes)).type == "DELETED"
            await others(store)

    run(story())


async def others(store: KubernetesStore) -> None:
    """Secrets and Events, which every cluster has."""
    meta = ObjectMeta(name="mooring-story")
    secret = await store.put(Secret(metadata=meta, string_data={"k": "v"}))
    assert secret.value("k") == "v"
    await store.delete(secret.ref)
    about = Involved(kind="MCPServer", name="mooring-story")
    event = await store.put(Event(metadata=meta, involved_object=about, reason="Started"))
    again = await store.put(event.model_copy(update={"count": 2}))
    assert again.count == 2
    await store.delete(event.ref)
