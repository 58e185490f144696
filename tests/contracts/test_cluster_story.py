"""One story of our kinds in a Kubernetes API, with the CRDs that we generate.

It is played in the cluster in memory, and in a real one where there is one
(`support.real_cluster`).
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster as ClusterEntry
from lightkube.config.models import User
from support.real_cluster import REAL, real_cluster, with_our_kinds

from mooring.core.ports import Change
from mooring.errors import Conflict
from mooring.kinds.base import FINALIZER, ObjectMeta
from mooring.kinds.event import Event, Involved
from mooring.kinds.secret import Secret
from mooring.kinds.server import MCPServer, ServerSpec, ServerStatus, Source
from mooring.stores.kubernetes import KubernetesStore
from mooring.testing.cluster import Cluster, running

Run = Callable[[Coroutine[Any, Any, None]], None]


@asynccontextmanager
async def cluster(real: bool) -> AsyncIterator[KubernetesStore]:
    """A cluster that knows our kinds."""
    async with running(Cluster()) as url:
        here = KubeConfig.from_one(cluster=ClusterEntry(server=url), user=User()).get()
        async with with_our_kinds(real_cluster() if real else here) as store:
            yield store


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
